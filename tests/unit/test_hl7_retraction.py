"""Results that the RIS has and that do not stand: taken back as they were told, once, before anything new is told."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import hl7
import pytest

from cxr_node.domain.correction import Rejection, Word
from cxr_node.domain.order import Deed, Said
from cxr_node.domain.patient import Change, Identifier, Person
from cxr_node.domain.reading import Actor
from cxr_node.errors import Transient
from cxr_node.hl7.mllp import Peer, exchange
from cxr_node.store import corrections, identities, tellings, withdrawal
from tests import films
from tests.bench import JUDGING
from tests.ris import Ris
from tests.unit.test_hl7_outbound import RIS, Site, strict, values

ANA = Actor("ana", overrules=True)


class Told(Site):
    """A node that has told a RIS of a study; the RIS has `ris.heard`."""

    def told(self, ris: Ris, **attributes: Any) -> str:
        self.tell(ris, probabilities=(0.9,) * 4)
        study = self.settled(**attributes)
        self.do("transmit")
        return study

    def withdraw(self, study: str) -> None:
        self.clock.turn(60)
        with self.store.transaction() as tx:
            withdrawal.withdraw(tx, study, "wrong", ANA, judging=JUDGING, now=self.clock())

    def release(self, study: str) -> None:
        self.clock.turn(60)
        with self.store.transaction() as tx:
            withdrawal.release(tx, study, ANA, JUDGING, self.clock())

    def go_on(self) -> None:
        self.clock.turn(600)
        self.do("compare", "analyse")
        self.clock.turn(600)
        self.do("settle", "announce", "transmit")

    def abouts(self, study: str) -> list[str]:
        return [each["about"] for each in self.messages(study) if each["state"] == "sent"]


@pytest.fixture
def ris() -> Iterator[Ris]:
    with Ris() as found:
        yield found


@pytest.fixture
def site(tmp_path: Path) -> Told:
    return Told(tmp_path)


def states(text: str) -> tuple[str, set[str]]:
    """OBR-25, and what is in OBX-11."""
    return str(hl7.parse(text).segment("OBR")[25]), {status for _, _, status in values(text).values()}


def test_a_study_that_a_person_takes_back_is_posted_as_wrong_once(site: Told, ris: Ris) -> None:
    study = site.told(ris, AccessionNumber="ACC7", PatientID="P7", PatientName="O|Brien^Ana")
    site.withdraw(study)
    site.go_on()
    first, second = ris.heard
    strict(second)
    assert states(second) == ("C", {"W"})
    one, two = hl7.parse(first), hl7.parse(second)
    assert str(one.segment("PID")) == str(two.segment("PID"))
    assert [str(one.segment("OBR")[n]) for n in (3, 4, 18)] == [str(two.segment("OBR")[n]) for n in (3, 4, 18)]
    assert {name: value for name, (value, _, _) in values(second).items()} == {
        "111012": "", "121071": "", "260870009": "", "113014": study,
    }  # fmt: skip
    assert str(two.segment("MSH")[7]) > str(one.segment("MSH")[7])
    assert ris.ids[0] != ris.ids[1]
    site.withdraw(study)
    site.go_on()
    assert (len(ris.heard), site.abouts(study)) == (2, ["1", "withdrawn"])


def test_an_order_that_is_cancelled_has_no_result(site: Told, ris: Ris) -> None:
    study = site.told(ris, AccessionNumber="ACC7")
    said = Said(Deed.CANCEL, "ACC7", "")
    with site.store.transaction() as tx:
        corrections.say_of_order(tx, study, Word.CANCELLED, said, "RIS", now=site.clock(), at=site.clock())
        withdrawal.follow(tx, study, JUDGING, site.clock())
    site.go_on()
    assert [states(text) for text in ris.heard] == [("P", {"P"}), ("X", {"X"})]


def test_films_that_were_rejected_leave_no_result(site: Told, ris: Ris) -> None:
    study = site.told(ris)
    (uid,) = (str(row["sop_instance_uid"]) for row in site.rows("SELECT sop_instance_uid FROM instance"))
    with site.store.transaction() as tx:
        corrections.reject(tx, uid, Rejection.QUALITY, "PACS", note="1.2", now=site.clock())
        withdrawal.follow(tx, study, JUDGING, site.clock())
    site.go_on()
    assert states(ris.heard[-1]) == ("X", {"X"})


def test_a_study_that_is_released_is_told_again_and_can_be_taken_back_again(site: Told, ris: Ris) -> None:
    study = site.told(ris)
    for _ in range(2):
        site.withdraw(study)
        site.go_on()
        site.release(study)
        site.go_on()
    assert site.abouts(study) == ["1", "withdrawn", "1 (2)", "withdrawn (2)", "1 (3)"]
    assert [states(text)[0] for text in ris.heard] == ["P", "C", "P", "C", "P"]
    assert len(set(ris.ids)) == 5
    times = [str(message.segment("MSH")[7]) for message in ris.messages]
    assert times == sorted(times)
    assert values(ris.heard[-1]) == values(ris.heard[0])


def test_what_the_ris_never_got_is_not_taken_back(site: Told, ris: Ris) -> None:
    ris.stop()
    study = site.told(ris)
    site.withdraw(study)
    site.go_on()
    ris.start()
    site.go_on()
    assert ris.heard == []
    site.release(study)
    site.go_on()
    assert [states(text)[0] for text in ris.heard] == ["P"]


def test_what_it_may_have_got_is_taken_back(site: Told, ris: Ris) -> None:
    """It has taken the result, and its answer was lost; then the study is withdrawn."""
    site.tell(ris, probabilities=(0.9,) * 4)
    study = site.settled()
    step, stage = site.worker.stages["transmit"]

    def lost(peer: Peer, message: bytes) -> bytes:
        exchange(peer, message)
        raise Transient("NO_ANSWER", "lost")

    site.worker.stages = {**site.worker.stages, "transmit": (step, replace(stage, exchange=lost))}  # type: ignore[type-var]
    site.do("transmit")
    site.worker.stages = {**site.worker.stages, "transmit": (step, stage)}
    site.withdraw(study)
    site.go_on()
    assert [states(text)[0] for text in ris.heard] == ["P", "C"]


def test_what_it_refused_is_not_taken_back(site: Told, ris: Ris) -> None:
    ris.behave = "AE"
    study = site.told(ris)
    ris.behave = "AA"
    site.withdraw(study)
    site.go_on()
    assert len(ris.heard) == 1


def test_a_study_that_stands_again_before_the_ris_is_back_keeps_its_result(site: Told, ris: Ris) -> None:
    study = site.told(ris)
    ris.stop()
    site.withdraw(study)
    site.go_on()
    site.release(study)
    ris.start()
    site.go_on()
    assert [states(text)[0] for text in ris.heard] == ["P"]
    assert [each["state"] for each in site.messages(study)] == ["sent", "failed"]
    with site.store.reading() as tx:
        assert list(tellings.standing(tx, study)) == ["ris"]


def test_a_study_that_is_withdrawn_on_two_grounds_is_taken_back_once(site: Told, ris: Ris) -> None:
    study = site.told(ris, AccessionNumber="ACC7")
    ris.stop()
    site.withdraw(study)
    site.go_on()
    said = Said(Deed.CANCEL, "ACC7", "")
    with site.store.transaction() as tx:
        corrections.say_of_order(tx, study, Word.CANCELLED, said, "RIS", now=site.clock(), at=site.clock())
        withdrawal.follow(tx, study, JUDGING, site.clock())
    site.go_on()
    ris.start()
    site.go_on()
    assert [states(text)[0] for text in ris.heard] == ["P", "C"]


@pytest.mark.parametrize("changed", [{"PatientID": "P8"}, {"AccessionNumber": "ACC8"}])
def test_a_film_that_is_sent_again_for_another_patient_or_order(site: Told, ris: Ris, changed: dict[str, str]) -> None:
    film = films.chest(AccessionNumber="ACC7", PatientID="P7")
    site.tell(ris, probabilities=(0.9,) * 4)
    site.send(film)
    site.go_on()
    site.send(films.change(film, **changed))
    site.go_on()
    assert [states(text)[0] for text in ris.heard] == ["P", "C", "P"]
    assert [str(message.segment("PID")[3][0][0][0]) for message in ris.messages] == [
        "P7",
        "P7",
        changed.get("PatientID", "P7"),
    ]
    assert site.abouts(str(film.StudyInstanceUID)) == ["1", "withdrawn", "2"]


def test_a_film_that_is_sent_again_under_another_study(site: Told, ris: Ris) -> None:
    film = films.chest(AccessionNumber="ACC7", PatientID="P7")
    site.tell(ris, probabilities=(0.9,) * 4)
    site.send(film)
    site.go_on()
    left = str(film.StudyInstanceUID)
    site.send(films.change(film, StudyInstanceUID="1.2.3.99"))
    site.go_on()
    assert sorted(states(text)[0] for text in ris.heard) == ["C", "P", "P"]
    assert site.abouts(left) == ["1", "withdrawn"]
    assert site.abouts("1.2.3.99") == ["1"]


@pytest.mark.parametrize("issuer", [None, "HOSP"])
def test_a_merge_that_the_ris_has_told_of_is_no_news_to_it(site: Told, ris: Ris, issuer: str | None) -> None:
    authority = {"IssuerOfPatientID": issuer} if issuer else {}
    study = site.told(ris, PatientID="TEMP1", **authority)
    now = Identifier("P1", "HOSP")
    change = Change(Person((now,), "Doe^Jane"), (Identifier("TEMP1", "HOSP"),))
    with site.store.transaction() as tx:
        identities.say(tx, change, "ADT", at=site.clock(), now=site.clock())
        withdrawal.follow(tx, study, JUDGING, site.clock())
    site.go_on()
    assert [states(text)[0] for text in ris.heard] == ["P", "P"]
    assert [str(message.segment("PID")[3][0][0][0]) for message in ris.messages] == ["TEMP1", "P1"]


def test_an_order_number_that_the_ris_has_changed_is_no_news_to_it(site: Told, ris: Ris) -> None:
    study = site.told(ris, AccessionNumber="ACC7")
    said = Said(Deed.ORDER, "ACC8", study, changes=True)
    with site.store.transaction() as tx:
        corrections.say_of_order(tx, study, Word.ORDERED, said, "RIS", now=site.clock(), at=site.clock())
        withdrawal.follow(tx, study, JUDGING, site.clock())
    site.go_on()
    assert [states(text)[0] for text in ris.heard] == ["P", "P"]
    assert [str(message.segment("OBR")[18]) for message in ris.messages] == ["ACC7", "ACC8"]


def test_a_retraction_that_the_ris_refuses_is_held_for_a_person(site: Told, ris: Ris) -> None:
    study = site.told(ris)
    ris.behave = "AE"
    site.withdraw(study)
    site.go_on()
    assert [each["state"] for each in site.messages(study)] == ["sent", "failed"]
    assert site.jobs("transmit")[-1] == ("failed", "MESSAGE_FAULTY")


def test_a_charset_that_switches(site: Told, ris: Ris) -> None:
    site.tell(ris, replace(RIS, charset="ISO IR87"))
    study = site.settled(PatientName="Yamada=山田^太郎", SpecificCharacterSet="ISO_IR 192")
    ris.behave = lambda _: "AA"
    heard: list[bytes] = []
    step, stage = site.worker.stages["transmit"]

    def taken(_: Peer, message: bytes) -> bytes:
        heard.append(message)
        control_id = message.split(b"\r")[0].split(b"|")[9].decode()
        return f"MSH|^~\\&|RIS|H|||20260101||ACK|a1|P|2.5.1\rMSA|AA|{control_id}\r".encode()

    site.worker.stages = {**site.worker.stages, "transmit": (step, replace(stage, exchange=taken))}  # type: ignore[type-var]
    site.do("transmit")
    site.withdraw(study)
    site.go_on()
    first, second = (text.decode("iso2022_jp").split("\r") for text in heard)
    assert [line for line in first if line.startswith("PID")] == [line for line in second if line.startswith("PID")]
