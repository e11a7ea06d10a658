"""From a film that is analysed to what the RIS has got: real store and spool, a real socket, and readers not ours."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import hl7
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from pydicom import Dataset

from cxr_node.domain.finding import Tier
from cxr_node.domain.priority import Priority
from cxr_node.domain.reading import Actor
from cxr_node.errors import Transient
from cxr_node.hl7.mllp import Peer, exchange
from cxr_node.hl7.outbound import Ours, Recipient
from cxr_node.stages.announce import Announce
from cxr_node.stages.transmit import OnError, Transmit
from cxr_node.store import messages, reading, requeue, withdrawal, worklist
from cxr_node.worker import Lane
from tests import films
from tests.bench import CUTOFFS, JUDGING, NOON
from tests.documents import PROFILE
from tests.ris import Ris
from tests.unit.test_stages import STEPS, Node, same_study

OURS = Ours("NODE", "HOSPITAL", "MPI", ZoneInfo("Europe/Madrid"))
RIS = Recipient("ris", "ORU", "RIS", "SITE", "UNICODE UTF-8", "OBR-18", "XO", {Tier.HIGH: "A", Tier.MEDIUM: "R"})
KINDS = ("analyse", "settle", "announce", "transmit")


class Site(Node):
    """A node that tells a RIS; `exchange` may be replaced."""

    kinds = KINDS

    def tell(self, ris: Ris, recipient: Recipient = RIS, on_error: OnError = "hold", **changes: Any) -> "Site":
        self.informed = [recipient.name] if recipient.message == "ORU" else []
        self.asked = {tier: [recipient.name] for tier in recipient.priorities} if not self.informed else {}
        self.ris, self.exchanges = ris, 0
        self.begin(*changes.pop("probabilities", (0.9,)))
        profile = replace(PROFILE, cutoffs=CUTOFFS)
        announce = Announce(
            self.store, self.spool, {recipient.name: recipient}, OURS, profile, JUDGING, ("NODE", "cxr_node 0.1.0"), {},
            self.clock,
        )  # fmt: skip
        peer = Peer(recipient.name, "127.0.0.1", ris.port, timeout=60.0)
        transmit = Transmit(self.store, {peer.name: peer}, {peer.name: on_error}, self._exchange, self.clock)
        stages = {"announce": announce, "transmit": transmit}
        self.worker.random = lambda: 0.0
        self.worker.stages = {**self.worker.stages, **{kind: (STEPS[kind], stage) for kind, stage in stages.items()}}
        return self

    def _exchange(self, peer: Peer, message: bytes) -> bytes:
        self.exchanges += 1
        return exchange(replace(peer, timeout=0.3) if self.ris.behave == "silent" else peer, message)

    def film(self, **attributes: Any) -> str:
        film = films.chest(**attributes)
        self.send(film)
        return str(film.StudyInstanceUID)

    def settled(self, **attributes: Any) -> str:
        """A film comes, and its study settles; nothing is told yet."""
        study = self.film(**attributes)
        self.do("analyse")
        self.clock.turn(600)
        self.do("settle", "announce")
        return study

    def do(self, *kinds: str) -> None:
        while self.worker.run_once(Lane("test", kinds)):
            pass

    def messages(self, study: str) -> list[dict[str, Any]]:
        with self.store.reading() as tx:
            return messages.of_study(tx, study)

    def message(self, study: str) -> dict[str, Any]:
        (found,) = self.messages(study)
        return found

    def jobs(self, kind: str) -> list[tuple[str, str | None]]:
        rows = self.rows("SELECT state, error_code FROM job WHERE kind = ? ORDER BY id", kind)
        return [(row["state"], row["error_code"]) for row in rows]


@pytest.fixture
def ris() -> Iterator[Ris]:
    with Ris() as found:
        yield found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def strict(text: str) -> Any:
    """The message as hl7apy understands it, which knows the segments and groups of v2.5.1; it must find no fault."""
    found = parse_message(text.replace("\r\n", "\r").strip("\r"), validation_level=VALIDATION_LEVEL.STRICT)
    found.validate()
    return found


def values(text: str) -> dict[str, list[str]]:
    """The OBX of a message by the identifier of OBX-3: value, flag, status."""
    message = hl7.parse(text)
    return {str(obx[3][0][0]): [str(obx[5]), str(obx[8]), str(obx[11])] for obx in message.segments("OBX")}


def request_item(**changes: Any) -> Dataset:
    item = Dataset()
    for keyword, value in {"RequestedProcedureID": "RP1", "ScheduledProcedureStepID": "SPS1", **changes}.items():
        setattr(item, keyword, value)
    return item


# -- results


def test_a_settled_study_is_told_as_a_result_of_our_own(site: Site, ris: Ris) -> None:
    site.tell(ris)
    study = site.settled(
        AccessionNumber="ACC7", PatientID="P7", IssuerOfPatientID="HOSP", PatientName="Peña^Ana^^Dr^Jr"
    )
    site.do("transmit")
    (text,) = ris.heard
    message = strict(text)
    assert text.split("\r")[0].startswith("MSH|^~\\&|NODE|HOSPITAL|RIS|SITE|20260101130000+0100||ORU^R01^ORU_R01|")
    assert message.msh.msh_18.value == "UNICODE UTF-8"
    order = message.oru_r01_patient_result.oru_r01_order_observation
    pid = message.oru_r01_patient_result.oru_r01_patient.pid
    assert pid.pid_3.value == "P7^^^HOSP^MR"
    assert pid.pid_5.value == "Peña^Ana^^Jr^Dr^^L^A"
    assert (pid.pid_7.value, pid.pid_8.value) == ("19600229", "F")
    obr = order.obr
    assert (obr.obr_2.value, obr.obr_18.value, obr.obr_25.value) == ("", "ACC7", "P")
    assert obr.obr_4.value == "AI-CXR^AI result of a chest radiograph^L"
    assert obr.obr_3.value.startswith("AI")
    assert obr.obr_3.value.endswith("^NODE")
    assert "ACC7" not in obr.obr_3.value
    assert values(text) == {
        "111012": ["90.0", "AA", "P"],
        "121071": ["233604007^Pneumonia^SCT", "AA", "P"],
        "260870009": ["RID49481^ACR Category 2 Actionable Finding^RADLEX^high^tier high^L", "AA", "P"],
        "113014": [study, "", "P"],
    }
    probability = hl7.parse(text).segments("OBX")[0]
    assert [str(probability[n]) for n in (2, 6, 7, 14)] == ["NM", "%^percent^UCUM", "<30", "20260101130000+0100"]
    assert [str(probability[n]) for n in (17, 18)] == ["cxr-test 1.0.0^cxr-test 1.0.0^L", "NODE^cxr_node 0.1.0"]
    assert "not for diagnosis" in str(hl7.parse(text).segment("NTE")[3])
    found = site.message(study)
    assert (found["state"], found["answer"], found["message"], found["about"]) == ("sent", "AA", "ORU^R01", "1")
    assert {"message.written", "message.sent"} <= set(site.events())


def test_below_the_threshold_there_is_no_finding_and_no_category(site: Site, ris: Ris) -> None:
    site.tell(ris, probabilities=(0.1239,)).settled()
    site.do("transmit")
    found = values(ris.heard[0])
    assert found["111012"] == ["12.3", "N", "P"]
    assert found["260870009"] == ["none^tier none^L", "N", "P"]
    assert "121071" not in found


def test_a_probability_is_one_only_where_the_site_has_stated_its_prevalence(site: Site, ris: Ris) -> None:
    site.tell(ris)
    site.worker.stages["settle"] = (
        STEPS["settle"],
        replace(site.worker.stages["settle"][1], judging=replace(JUDGING, prevalence=0.2)),
    )  # type: ignore[type-var, index]
    site.settled()
    site.do("transmit")
    assert "122157" in values(ris.heard[0])


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("O|Brien^Ana", "O\\F\\Brien^Ana^^^^^L^A"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada^Tarou^^^^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P"),
        ("=山田^太郎", "山田^太郎^^^^^L^I"),
        ("Müller^Zoë^~&", "Müller^Zoë^\\R\\\\T\\^^^^L^A"),
    ],
)
def test_names_of_all_kinds(site: Site, ris: Ris, name: str, written: str) -> None:
    site.tell(ris).settled(PatientName=name, SpecificCharacterSet="ISO_IR 192")
    site.do("transmit")
    assert str(hl7.parse(ris.heard[0]).segment("PID")[5]) == written
    strict(ris.heard[0])


@pytest.mark.parametrize(
    ("charset", "name", "codec"), [("8859/1", "Müller^Zoë", "latin-1"), ("ISO IR87", "Yamada=山田^太郎", "iso2022_jp")]
)
def test_other_character_sets(site: Site, ris: Ris, charset: str, name: str, codec: str) -> None:
    site.tell(ris, replace(RIS, charset=charset))
    study = site.settled(PatientName=name, SpecificCharacterSet="ISO_IR 192")
    control_id = site.message(study)["control_id"]
    with site.store.reading() as tx:
        message = messages.find(tx, control_id)
    assert message
    assert name.rpartition("=")[2] in message.content.decode(codec)


def test_what_the_character_set_cannot_say_is_held_and_says_what_to_do(site: Site, ris: Ris) -> None:
    site.tell(ris, replace(RIS, charset="8859/1")).settled(PatientName="山田", SpecificCharacterSet="ISO_IR 192")
    assert site.jobs("announce") == [("failed", "CHARSET")]
    (row,) = site.rows("SELECT error FROM job WHERE kind = 'announce'")
    assert "set charset to UNICODE UTF-8" in row["error"]
    assert "山田" not in row["error"]


def test_a_patient_without_an_id_is_not_told_of(site: Site, ris: Ris) -> None:
    site.tell(ris).settled(PatientID="")
    assert site.jobs("announce") == [("skipped", "NO_PATIENT_ID")]


def test_the_sites_own_authority_where_the_film_names_none_and_an_oid_where_it_does(site: Site, ris: Ris) -> None:
    site.tell(ris, probabilities=(0.9, 0.9))
    site.settled(PatientID="A")
    qualifier = Dataset()
    qualifier.UniversalEntityID, qualifier.UniversalEntityIDType = "1.2.3.4", "ISO"
    site.settled(PatientID="B", IssuerOfPatientIDQualifiersSequence=[qualifier])
    site.do("transmit")
    assert [str(hl7.parse(text).segment("PID")[3]) for text in ris.heard] == ["A^^^MPI^MR", "B^^^MPI&1.2.3.4&ISO^MR"]


def test_a_later_revision_is_a_message_of_its_own_with_the_same_filler_number(site: Site, ris: Ris) -> None:
    site.tell(ris, probabilities=(0.2, 0.9))
    whose = {"PatientID": "P7", "AccessionNumber": "ACC7"}
    first = films.chest(**whose)
    site.send(first)
    for film in (None, same_study(first, films.chest(**whose))):
        if film:
            site.send(film)
        site.do("analyse")
        site.clock.turn(600)
        site.do("settle", "announce", "transmit")
    assert [each["about"] for each in site.messages(str(first.StudyInstanceUID))] == ["1", "2"]
    one, two = (hl7.parse(text) for text in ris.heard)
    assert str(one.segment("OBR")[3]) == str(two.segment("OBR")[3])
    assert ris.ids[0] != ris.ids[1]


# -- priorities


@pytest.mark.parametrize(("kind", "probability", "code"), [("ORM", 0.9, "A"), ("OMI", 0.9, "A"), ("ORM", 0.5, "R")])
def test_a_promoted_study_is_asked_for_at_once(site: Site, ris: Ris, kind: Any, probability: float, code: str) -> None:
    site.tell(ris, replace(RIS, message=kind), probabilities=(probability,))
    numbers = {"PlacerOrderNumberImagingServiceRequest": "PL7", "FillerOrderNumberImagingServiceRequest": "FI7"}
    request = {"RequestAttributesSequence": [request_item()]}
    study = site.film(AccessionNumber="ACC7", PatientID="P7", **numbers, **request)
    site.do("analyse", "announce", "transmit")
    (text,) = ris.heard
    if kind == "OMI":  # of ORM^O01 hl7apy wants every alternative of its choice at once
        strict(text)
    message = hl7.parse(text)
    assert str(message.segment("MSH")[9]) == {"ORM": "ORM^O01^ORM_O01", "OMI": "OMI^O23^OMI_O23"}[kind]
    orc, obr = message.segment("ORC"), message.segment("OBR")
    assert [str(orc[n]) for n in (1, 2, 3)] == ["XO", "PL7", "FI7"]
    assert [str(obr[n]) for n in (2, 3, 4, 18)] == ["PL7", "FI7", "^Chest PA", "ACC7"]
    if kind == "OMI":
        assert [str(message.segment("IPC")[n]) for n in (1, 2, 3, 4, 5)] == ["ACC7", "RP1", study, "SPS1", "DX^^DCM"]
        assert str(message.segment("TQ1")[9]) == f"{code}^^HL70485"
    else:
        assert str(obr[27]) == f"^^^^^{code}"
    assert site.message(study)["about"] == code


@pytest.mark.parametrize(
    ("place", "stands"),
    [("OBR-18", ("PL7", "FI7", "ACC7")), ("OBR-3", ("PL7", "ACC7", "")), ("OBR-2", ("ACC7", "FI7", ""))],
)
def test_where_the_accession_number_stands_is_configured(
    site: Site, ris: Ris, place: Any, stands: tuple[str, ...]
) -> None:
    site.tell(ris, replace(RIS, message="ORM", accession=place, order_control="SC"))
    site.film(
        AccessionNumber="ACC7",
        PlacerOrderNumberImagingServiceRequest="PL7",
        FillerOrderNumberImagingServiceRequest="FI7",
    )
    site.do(*KINDS)
    message = hl7.parse(ris.heard[0])
    orc, obr = message.segment("ORC"), message.segment("OBR")
    assert [str(orc[n]) for n in (1, 2, 3)] == ["SC", *stands[:2]]
    assert (str(obr[2]), str(obr[3]), str(obr[18]) if len(obr) > 18 else "") == stands


def test_a_study_below_the_tiers_asks_for_nothing(site: Site, ris: Ris) -> None:
    site.tell(ris, replace(RIS, message="ORM"), probabilities=(0.1,))
    site.film(AccessionNumber="ACC7")
    site.do(*KINDS)
    assert site.jobs("announce") == []


def test_an_order_that_the_film_does_not_name_whole_is_left_out_and_says_why(site: Site, ris: Ris) -> None:
    site.tell(ris, replace(RIS, message="OMI"))
    site.film(AccessionNumber="ACC7")
    site.do(*KINDS)
    assert site.jobs("announce") == [("skipped", "ORDER_INCOMPLETE")]
    (row,) = site.rows("SELECT error FROM job WHERE kind = 'announce'")
    assert "Requested Procedure ID (0040,1001), Scheduled Procedure Step ID (0040,0009)" in row["error"]


def freeze(site: Site, study: str) -> None:
    with site.store.transaction() as tx:
        worklist.freeze(tx, True, NOON, "ana")


def urge(site: Site, study: str) -> None:
    with site.store.transaction() as tx:
        reading.prioritise(tx, study, Priority.STAT, Actor("ana"), NOON)


def read(site: Site, study: str) -> None:
    with site.store.transaction() as tx:
        reading.mark_read(tx, study, Actor("ana"), NOON)


@pytest.mark.parametrize(("before", "code"), [(freeze, "FROZEN"), (urge, "PRIORITY_STANDS"), (read, "STUDY_CLOSED")])
def test_what_is_urgent_frozen_or_read_asks_for_nothing(
    site: Site, ris: Ris, before: Callable[[Site, str], None], code: str
) -> None:
    site.tell(ris, replace(RIS, message="ORM"))
    study = site.film(AccessionNumber="ACC7")
    site.do("analyse")
    before(site, study)
    site.do("announce", "transmit")
    assert site.jobs("announce") == [("skipped", code)]
    assert ris.heard == []


def test_two_films_ask_once(site: Site, ris: Ris) -> None:
    site.tell(ris, replace(RIS, message="ORM"), probabilities=(0.9, 0.95))
    first = films.chest(AccessionNumber="ACC7")
    site.send(first)
    site.do(*KINDS)
    site.send(same_study(first, films.chest(AccessionNumber="ACC7")))
    site.do(*KINDS)
    assert len(ris.heard) == 1


# -- sending


@pytest.mark.parametrize(
    ("behave", "code"),
    [("AR", "MESSAGE_REJECTED"), ("silent", "NO_ANSWER"), ("half", "NO_ANSWER"), ("close", "NO_ANSWER"),
     ("other", "ANSWER_INVALID"), ("garbage", "ANSWER_INVALID")],
)  # fmt: skip
def test_without_an_acceptance_the_same_message_is_sent_again(site: Site, ris: Ris, behave: str, code: str) -> None:
    ris.behave = behave
    study = site.tell(ris).settled()
    site.do("transmit")
    assert site.jobs("transmit") == [("ready", code)]
    assert site.message(study)["state"] == "pending"
    ris.behave = "AA"
    site.clock.turn(60)
    site.do("transmit")
    assert site.message(study)["state"] == "sent"
    assert len(ris.heard) == 2
    assert ris.heard[0] == ris.heard[1]


def test_what_the_ris_finds_faulty_is_held_with_its_words_and_the_next_has_its_turn(site: Site, ris: Ris) -> None:
    ris.behave = lambda text: "AE" if "ACC1" in text else "AA"
    ris.error = "Patient DOE^JANE is unknown"
    site.tell(ris, probabilities=(0.9, 0.9))
    one, two = site.settled(AccessionNumber="ACC1"), site.settled(AccessionNumber="ACC2")
    assert site.jobs("transmit") == [("ready", None)]
    site.do("transmit")
    held = site.message(one)
    assert (held["state"], held["answer"], held["said"]) == ("failed", "AE", ris.error)
    assert held["error"] == "ris finds the message faulty (AE 204 PID-3); its words stand in the study"
    assert site.message(two)["state"] == "sent"
    assert site.jobs("transmit") == [("failed", "MESSAGE_FAULTY"), ("done", None)]
    ris.behave = "AA"
    with site.store.transaction() as tx:
        requeue.requeue_failed(tx, site.clock())
    site.do("transmit")
    assert site.message(one)["state"] == "sent"
    assert ris.ids[0] == ris.ids[2]


def test_where_it_is_configured_what_is_faulty_is_tried_again(site: Site, ris: Ris) -> None:
    ris.behave = "AE"
    site.tell(ris, on_error="retry").settled()
    site.do("transmit")
    assert site.jobs("transmit") == [("ready", "MESSAGE_FAULTY")]


def test_a_ris_that_is_away_for_a_day_gets_all_in_order_and_none_twice(site: Site, ris: Ris) -> None:
    ris.stop()
    site.tell(ris, probabilities=(0.9,) * 12)
    studies = []
    for number in range(12):
        studies.append(site.settled(AccessionNumber=f"ACC{number}"))
        for _ in range(120):  # two hours
            site.clock.turn(60)
            site.do("transmit")
    assert site.exchanges > 1000
    assert [state for state, _ in site.jobs("transmit")] == ["ready"]
    with site.store.reading() as tx:
        assert messages.pending_by_destination(tx) == {"ris": 12}
    ris.start()
    site.clock.turn(60)
    site.do("transmit")
    assert [str(message.segment("OBR")[18]) for message in ris.messages] == [f"ACC{number}" for number in range(12)]
    assert len(set(ris.ids)) == 12
    assert {site.message(study)["state"] for study in studies} == {"sent"}


def test_a_message_whose_study_is_withdrawn_does_not_leave_and_holds_nothing_up(site: Site, ris: Ris) -> None:
    site.tell(ris, probabilities=(0.9, 0.9, 0.9))
    first, second, third = (site.settled(AccessionNumber=f"ACC{number}") for number in range(3))
    with site.store.transaction() as tx:
        for study in (first, second):
            withdrawal.withdraw(tx, study, "taken back", Actor("ana"), judging=JUDGING, now=NOON)
    site.do("transmit")
    assert [str(message.segment("OBR")[18]) for message in ris.messages] == ["ACC2"]
    assert [site.message(study)["state"] for study in (first, second, third)] == ["failed", "failed", "sent"]


def test_an_older_message_that_was_held_does_not_undo_a_newer_one(site: Site, ris: Ris) -> None:
    ris.behave = lambda _: "AE" if len(ris.heard) == 1 else "AA"
    site.tell(ris, probabilities=(0.2, 0.9))
    first = films.chest()
    site.send(first)
    site.do("analyse")
    site.clock.turn(600)
    site.do("settle", "announce", "transmit")
    site.send(same_study(first, films.chest()))
    site.do("analyse")
    site.clock.turn(600)
    site.do("settle", "announce", "transmit")
    with site.store.transaction() as tx:
        requeue.requeue_study(tx, str(first.StudyInstanceUID), JUDGING, site.clock())
    site.do("transmit")
    assert site.jobs("transmit") == [("skipped", "OVERTAKEN"), ("done", None)]
    assert len(ris.heard) == 2


def test_a_destination_that_is_gone_and_a_message_that_is_gone_are_said(site: Site, ris: Ris) -> None:
    site.tell(ris, probabilities=(0.9, 0.9)).settled()
    site.worker.stages = _without_peers(site.worker.stages)
    site.do("transmit")
    site.settled()
    assert site.jobs("transmit") == [("failed", "DESTINATION_UNKNOWN"), ("ready", None)]


def _without_peers(stages: Mapping[str, Any]) -> Mapping[str, Any]:
    step, stage = stages["transmit"]
    return {**stages, "transmit": (step, replace(stage, told={}))}


def test_a_lost_answer_does_not_make_a_second_message(site: Site, ris: Ris) -> None:
    """The RIS has taken it, and the answer was lost: it comes again under the same control id."""
    study = site.tell(ris).settled()
    step, stage = site.worker.stages["transmit"]

    def lost(peer: Peer, message: bytes) -> bytes:
        exchange(peer, message)
        raise Transient("NO_ANSWER", "lost")

    site.worker.stages = {**site.worker.stages, "transmit": (step, replace(stage, exchange=lost))}  # type: ignore[type-var]
    site.do("transmit")
    site.worker.stages = {**site.worker.stages, "transmit": (step, stage)}
    site.clock.turn(60)
    site.do("transmit")
    assert ris.ids == [site.message(study)["control_id"]] * 2
