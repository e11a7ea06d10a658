"""What the RIS says moves the worklist: committed before it is answered, once, of the right patient, on record."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import hl7
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxr_node.domain.callers import Refusals
from cxr_node.domain.correction import CANCELLED, LATE
from cxr_node.domain.intake import Refusal
from cxr_node.domain.priority import Policy, Priority
from cxr_node.domain.reading import Actor
from cxr_node.errors import Transient
from cxr_node.stages.orders import Orders
from cxr_node.store import jobs, messages, orders, reading, withdrawal, worklist
from cxr_node.store.db import Store, Tx
from cxr_node.store.messages import Outgoing
from tests import films
from tests.bench import JUDGING, NOON, Bench
from tests.ris import merge, message, order, report
from tests.unit.test_hl7_inbound import TERMS

POLICY = Policy(max_wait_seconds=7200)
ANA = Actor("ana")


class Desk(Bench):
    """A bench with the desk for messages of a RIS."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refused: list[Refusal] = []
        refusals = Refusals(self.refused.append, self.clock)
        self.desk = Orders(self.store, TERMS, "8859/1", JUDGING, refusals, self.clock, self._wake, str)

    def film(self, accession: str = "ACC1", **attributes: Any) -> str:
        film = films.chest(AccessionNumber=accession, **attributes)
        self.send(film)
        return str(film.StudyInstanceUID)

    def say(self, text: str | bytes) -> str:
        """The code of the answer."""
        return str(hl7.parse(self.answer(text)).segment("MSA")[1])

    def answer(self, text: str | bytes) -> str:
        data = text if isinstance(text, bytes) else text.encode()
        return self.desk.answer(data, "192.0.2.9").decode()

    def entry(self, study: str) -> dict[str, Any]:
        with self.store.reading() as tx:
            found = worklist.entries(tx, POLICY, NOON, closed=True)
        return next(entry for entry in found if entry["study_instance_uid"] == study)

    def last(self, event: str) -> dict[str, Any]:
        rows = self.rows("SELECT detail FROM event WHERE event = ? ORDER BY sequence DESC", event)
        return json.loads(rows[0]["detail"]) if rows else {}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_an_order_moves_its_study_and_is_on_record(desk: Desk) -> None:
    study, other = desk.film("ACC1"), desk.film("ACC2")
    woken = desk.woken
    assert desk.say(order("1", "ACC1", "S")) == "AA"
    assert (desk.entry(study)["priority"], desk.entry(study)["position"]) == ("stat", 1)
    assert desk.entry(other)["priority"] is None
    assert desk.woken == woken + 1
    move = desk.last("worklist.moved")
    assert (move["cause"], move["by"], move["before"]["priority"], move["after"]["priority"]) == (
        "order", "RIS^HOSPITAL", None, "stat",
    )  # fmt: skip
    assert desk.last("order.received")["control_id"] == "1"


def test_an_order_that_comes_before_its_film_waits_for_it(desk: Desk) -> None:
    assert desk.say(order("1", "ACC1", "R")) == "AA"
    assert desk.say(order("2", "ACC1", "S")) == "AA"
    study = desk.film("ACC1")
    assert desk.entry(study)["priority"] == "stat"
    assert desk.last("order.applied") == {"sender": "RIS^HOSPITAL", "priority": "stat"}
    with desk.store.transaction() as tx:  # a person decides otherwise, and a further film does not undo that
        reading.prioritise(tx, study, Priority.ROUTINE, ANA, NOON)
    desk.send(films.change(films.chest(AccessionNumber="ACC1"), StudyInstanceUID=study))
    assert desk.entry(study)["priority"] == "routine"


def test_an_order_that_was_cancelled_before_its_film_gives_no_priority(desk: Desk) -> None:
    desk.say(order("1", "ACC1", "S"))
    assert desk.say(order("2", "ACC1", control="CA")) == "AA"
    assert desk.entry(desk.film("ACC1"))["priority"] is None


def test_orders_are_not_kept_for_ever(desk: Desk) -> None:
    desk.say(order("1", "ACC1", "S"))
    desk.clock.turn(31 * 86_400)
    desk.say(order("2", "ACC9", "S"))
    assert desk.entry(desk.film("ACC1"))["priority"] is None
    assert desk.rows("SELECT control_id FROM answered_message") == [{"control_id": "2"}]


def test_the_ris_may_take_back_what_it_said_and_never_what_a_person_said(desk: Desk) -> None:
    study = desk.film("ACC1")
    for number, (code, priority) in enumerate([("S", "stat"), ("R", "routine"), ("A", "high")]):
        desk.say(order(str(number), "ACC1", code))
        assert desk.entry(study)["priority"] == priority
    with desk.store.transaction() as tx:
        reading.prioritise(tx, study, Priority.STAT, ANA, NOON)
    desk.say(order("7", "ACC1", "R"))
    assert desk.entry(study)["priority"] == "stat"


def test_an_order_without_a_priority_changes_nothing(desk: Desk) -> None:
    study = desk.film("ACC1")
    desk.say(order("1", "ACC1", "S"))
    assert desk.say(order("2", "ACC1", "")) == "AA"
    assert desk.entry(study)["priority"] == "stat"


@pytest.mark.parametrize(
    ("said", "known", "issuer", "meant"),
    [
        ("P1", "P1", "", True), ("P2", "P1", "", False), ("", "P1", "", True), ("P1", "", "", True),
        ("P1^^^HOSP", "P1", "HOSP", True), ("P1^^^HOSP", "P1", "OTHER", False), ("P1^^^HOSP", "P1", "", True),
        ("X~P1^^^HOSP", "P1", "HOSP", True),
    ],
)  # fmt: skip
def test_an_accession_number_of_another_patient_is_another_order(
    desk: Desk, said: str, known: str, issuer: str, meant: bool
) -> None:
    study = desk.film("ACC1", PatientID=known, IssuerOfPatientID=issuer)
    assert desk.say(order("1", "ACC1", "S", patient=said)) == "AA"
    assert desk.entry(study)["priority"] == ("stat" if meant else None)


def test_the_same_of_an_order_that_waits_for_its_film(desk: Desk) -> None:
    desk.say(order("1", "ACC1", "S", patient="P1^^^HOSP"))
    assert desk.entry(desk.film("ACC1", PatientID="P2"))["priority"] is None
    assert desk.entry(desk.film("ACC1", PatientID="P1"))["priority"] == "stat"


def test_a_study_uid_goes_before_an_accession_number(desk: Desk) -> None:
    one, two = desk.film("ACC1", PatientID="P1"), desk.film("ACC1", PatientID="P1")
    text = message("OMI^O23", "1", "PID|||P1", "ORC|NW", "TQ1|1||||||||S", "OBR|1|X", f"IPC|ACC1|RP|{two}|SPS")
    assert desk.say(text) == "AA"
    assert (desk.entry(one)["priority"], desk.entry(two)["priority"]) == (None, "stat")


def test_a_final_report_closes_the_study_even_when_somebody_has_claimed_it(desk: Desk) -> None:
    study = desk.film("ACC1")
    assert desk.say(report("1", "ACC1", "P")) == "AA"
    assert desk.entry(study)["state"] == "waiting"
    with desk.store.transaction() as tx:
        reading.claim(tx, study, ANA, NOON)
    assert desk.say(report("2", "ACC1", "F")) == "AA"
    entry = desk.entry(study)
    assert (entry["state"], entry["reader"]) == ("read", "RIS^HOSPITAL")
    move = desk.last("worklist.moved")
    assert (move["cause"], move["by"], move["before"]["state"]) == ("report", "RIS^HOSPITAL", "reading")
    assert desk.say(report("3", "ACC1", "C")) == "AA"
    assert desk.entry(study)["state"] == "read"


def test_a_report_that_is_final_no_more_opens_what_its_sender_had_closed(desk: Desk) -> None:
    study, mine = desk.film("ACC1"), desk.film("ACC2")
    desk.say(report("1", "ACC1", "F"))
    with desk.store.transaction() as tx:
        reading.mark_read(tx, mine, ANA, NOON)
    assert desk.say(report("2", "ACC1", "X")) == desk.say(report("3", "ACC2", "X")) == "AA"
    assert (desk.entry(study)["state"], desk.entry(mine)["state"]) == ("waiting", "read")


def test_a_report_of_a_study_that_is_not_here_is_on_record(desk: Desk) -> None:
    assert desk.say(report("1", "ACC9")) == "AA"
    assert desk.last("report.received")["accession_number"] == "ACC9"


def test_a_cancelled_order_withdraws_its_study_and_an_order_brings_it_back(desk: Desk) -> None:
    study = desk.film("ACC1")
    assert desk.say(order("1", "ACC1", control="CA")) == "AA"
    entry = desk.entry(study)
    assert (entry["state"], entry["reason"]) == ("withdrawn", CANCELLED)
    assert desk.last("study.withdrawn")["alarm"] is True
    assert desk.say(order("2", "ACC1", "S")) == "AA"
    entry = desk.entry(study)
    assert (entry["state"], entry["priority"], entry["reason"]) == ("waiting", "stat", None)
    assert desk.last("worklist.moved")["cause"] == "order"


def test_what_was_withdrawn_for_another_reason_stays_so(desk: Desk) -> None:
    study = desk.film("ACC1")
    with desk.store.transaction() as tx:
        withdrawal.withdraw(tx, study, "taken back", ANA, judging=JUDGING, now=NOON)
    assert desk.say(order("1", "ACC1", "S")) == desk.say(report("2", "ACC1")) == "AA"
    assert (desk.entry(study)["state"], desk.entry(study)["priority"]) == ("withdrawn", None)


def test_a_study_that_is_held_is_not_closed_by_a_report(desk: Desk) -> None:
    study = desk.film("ACC1")
    with desk.store.transaction() as tx:
        worklist.put(tx, study, worklist.EntryState.HELD, "whose is it", NOON)
    assert desk.say(report("1", "ACC1")) == "AA"
    assert desk.entry(study)["state"] == "held"


def test_our_own_priority_that_the_ris_repeats_is_no_persons(desk: Desk) -> None:
    study = desk.film("ACC1")
    with desk.store.transaction() as tx:
        jobs.enqueue(tx, messages.add(tx, Outgoing("c1", "ris", study, "ORM^O01", "A", b"x"), NOON), NOON)
        jobs.claim(tx, "transmit", "me", NOON, 60)
    assert desk.say(order("1", "ACC1", "A")) == "AA"
    assert desk.entry(study)["priority"] is None
    assert desk.last("order.echoed")["code"] == "A"
    desk.say(order("2", "ACC1", "S"))
    assert desk.entry(study)["priority"] == "stat"


def test_the_same_message_again_is_answered_the_same_and_done_once(desk: Desk) -> None:
    study = desk.film("ACC1")
    assert desk.say(order("1", "ACC1", "S")) == "AA"
    with desk.store.transaction() as tx:
        reading.prioritise(tx, study, None, ANA, NOON)
    assert desk.say(order("1", "ACC1", "S")) == "AA"
    assert desk.entry(study)["priority"] is None
    assert desk.say(order("1", "ACC1", "A")) == "AA"  # another message under the same number
    assert desk.entry(study)["priority"] == "high"
    assert desk.say(order("1", "ACC1", "S").replace("RIS|", "RIS2|")) == "AA"  # and one of another sender
    assert desk.entry(study)["priority"] == "stat"


def test_a_message_of_several_orders_is_taken_whole_or_not_at_all(desk: Desk) -> None:
    one, two = desk.film("ACC1"), desk.film("ACC2")
    both = message("ORM^O01", "1", "ORC|NW", "TQ1|1||||||||S", "OBR|1|ACC1", "ORC|NW", "TQ1|1||||||||Q", "OBR|2|ACC2")
    assert desk.say(both) == "AE"
    assert desk.entry(one)["priority"] is None
    assert desk.say(both.replace("|Q", "|A")) == "AA"
    assert (desk.entry(one)["priority"], desk.entry(two)["priority"]) == ("stat", "high")


def test_what_is_refused_is_answered_with_its_place_and_on_record_without_the_patient(desk: Desk) -> None:
    text = desk.answer(message("MDM^T02^MDM_T02", "9", "PID|||SECRET||Secret^Name"))
    answer = hl7.parse(text)
    assert [str(answer.segment("MSA")[n]) for n in (1, 2)] == ["AR", "9"]
    assert str(answer.segment("ERR")[3]) == "200^Unsupported message type^HL70357"
    (refused,) = desk.refused
    assert (refused.event, refused.calling, refused.address) == ("message.refused", "RIS^HOSPITAL", "192.0.2.9")
    assert "ecret" not in refused.reason.lower()


@pytest.mark.parametrize("text", [b"", b"nonsense", b"MSH|^~\\&|\xff", b"\x00" * 50, b"MSH|^~\\&\r" * 3])
def test_what_is_no_message_is_answered_too(desk: Desk, text: bytes) -> None:
    assert "\rMSA|AE" in desk.answer(text)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from("MSHORCBPIDTQ1^|~\\&\r0123456789AFNWS."), max_size=300))
def test_no_message_is_without_an_answer(desk: Desk, text: str) -> None:
    assert "\rMSA|" in desk.answer(message("ORM^O01", "1") + text)


def test_names_of_all_kinds_do_no_harm(desk: Desk) -> None:
    study = desk.film("ACC1")
    text = order("1", "ACC1", "S", name="O\\F\\Brien^山田")
    assert desk.say(text) == "AA"
    japanese = order("2", "ACC1", "A", name="山田").replace("UNICODE UTF-8", "~ISO IR87").encode("iso2022_jp")
    assert desk.say(japanese) == "AA"
    assert desk.say(order("3", "ACC1", "R", name="Müller").replace("UNICODE UTF-8", "").encode("latin-1")) == "AA"
    assert desk.entry(study)["priority"] == "routine"


class Busy(Store):
    """A database that fails as the test wants it to."""

    failure: Exception | None = None

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        with super().transaction() as tx:
            yield tx
            if self.failure:
                raise self.failure


@pytest.mark.parametrize(
    ("failure", "error"), [(Transient("DISK_FULL", "full"), "206"), (sqlite3.IntegrityError("bug"), "207")]
)
def test_what_cannot_be_committed_is_not_accepted(desk: Desk, failure: Exception, error: str) -> None:
    study = desk.film("ACC1")
    store = Busy.open(desk.root / "cxr-node.sqlite")
    assert isinstance(store, Busy)
    store.failure = failure
    good, desk.desk = desk.desk, replace(desk.desk, store=store)
    answer = hl7.parse(desk.answer(order("1", "ACC1", "S")))
    assert (str(answer.segment("MSA")[1]), str(answer.segment("ERR")[3][0][0])) == ("AR", error)
    assert desk.entry(study)["priority"] is None
    desk.desk = good
    assert desk.say(order("1", "ACC1", "S")) == "AA"
    assert desk.entry(study)["priority"] == "stat"


def test_a_correction_brings_a_film_to_the_order_that_waits_for_it(desk: Desk) -> None:
    desk.say(order("1", "RIGHT", "S"))
    study = desk.film("WRONG")
    with desk.store.transaction() as tx:
        tx.execute("UPDATE worklist_entry SET accession_number = 'RIGHT'")
        orders.film_came(tx, study, NOON)
    assert desk.entry(study)["priority"] == "stat"


def test_an_accession_number_of_several_studies_means_each_of_them_and_a_uid_one(desk: Desk) -> None:
    one, two = desk.film("ACC1"), desk.film("ACC1")
    assert desk.say(order("1", "ACC1", control="CA")) == "AA"
    assert [desk.entry(study)["state"] for study in (one, two)] == ["withdrawn", "withdrawn"]
    again = message("ORM^O01", "2", "PID|||", "ORC|NW", "OBR|1||" + "|" * 14 + "ACC1", f"ZDS|{two}")
    assert desk.say(again) == "AA"
    assert [desk.entry(study)["state"] for study in (one, two)] == ["withdrawn", "waiting"]


def test_a_cancellation_that_comes_before_the_films_of_several_studies_holds_each(desk: Desk) -> None:
    assert desk.say(order("1", "ACC1", control="CA")) == "AA"
    studies = [desk.film("ACC1"), desk.film("ACC1")]
    assert [(desk.entry(study)["state"], desk.entry(study)["reason"]) for study in studies] == [("held", LATE)] * 2


def test_an_older_order_that_comes_late_does_not_undo_a_cancellation(desk: Desk) -> None:
    study = desk.film("ACC1")
    desk.say(order("1", "ACC1", control="CA").replace("20260101120000", "20260101120500"))
    desk.say(order("2", "ACC1", "S").replace("20260101120000", "20260101120100"))
    assert desk.entry(study)["state"] == "withdrawn"
    desk.say(order("3", "ACC1", "S").replace("20260101120000", "20260101120600"))
    assert desk.entry(study)["state"] == "waiting"


def test_a_study_that_was_read_stays_read_when_its_order_is_cancelled(desk: Desk) -> None:
    study = desk.film("ACC1")
    desk.say(report("1", "ACC1"))
    desk.say(order("2", "ACC1", control="CA"))
    assert desk.entry(study)["state"] == "read"


def test_what_is_recorded_of_a_merge_and_a_withdrawal_is_enough_to_tell(desk: Desk) -> None:
    study = desk.film("ACC1", PatientID="TEMP1")
    assert desk.say(merge("1", "TEMP1^^^HOSP", "P1^^^HOSP")) == "AA"
    changed = desk.last("patient.changed")
    assert (changed["patient_id"], changed["issuer_of_patient_id"], changed["prior_patient_id"]) == (
        "P1",
        "HOSP",
        "TEMP1",
    )
    assert (changed["accession_number"], changed["sender"]) == ("ACC1", "RIS^HOSPITAL")
    with desk.store.transaction() as tx:
        withdrawal.withdraw(tx, study, "wrong", ANA, judging=JUDGING, now=NOON)
        withdrawal.release(tx, study, ANA, JUDGING, NOON)
    for name in ("study.withdrawn", "study.released"):
        said = desk.last(name)
        assert (said["patient_id"], said["accession_number"], said["by"]) == ("P1", "ACC1", "ana")


@pytest.fixture
def both(desk: Desk) -> str:
    """A study of two films, each with an accession number of its own."""
    first = films.chest(AccessionNumber="ACC1", PatientID="P1")
    second = films.change(films.chest(AccessionNumber="ACC2", PatientID="P1"), StudyInstanceUID=first.StudyInstanceUID)
    desk.send(first)
    desk.send(second)
    return str(first.StudyInstanceUID)


@pytest.mark.parametrize("accession", ["ACC1", "ACC2"])
def test_an_order_of_a_study_with_several_is_meant_by_each_of_their_numbers(
    desk: Desk, both: str, accession: str
) -> None:
    assert desk.say(order("1", accession, "S", patient="P1")) == "AA"
    assert (desk.entry(both)["priority"], desk.entry(both)["accession_number"]) == ("stat", "ACC1")


def test_one_of_several_orders_that_is_cancelled_holds_the_study_and_all_of_them_withdraw_it(
    desk: Desk, both: str
) -> None:
    desk.say(order("1", "ACC2", control="CA"))
    assert (desk.entry(both)["state"], desk.entry(both)["reason"]) == ("held", LATE)
    desk.say(order("2", "ACC1", control="CA"))
    assert (desk.entry(both)["state"], desk.entry(both)["reason"]) == ("withdrawn", CANCELLED)
    desk.say(order("3", "ACC2", "").replace("20260101120000", "20260101120500"))
    assert desk.entry(both)["state"] == "held"


def test_what_was_said_of_a_second_number_before_its_film_came_counts(desk: Desk) -> None:
    first = films.chest(AccessionNumber="ACC1", PatientID="P1")
    study = str(first.StudyInstanceUID)
    desk.send(first)
    desk.say(order("1", "ACC2", "S", patient="P1"))
    assert desk.entry(study)["priority"] is None
    desk.send(films.change(films.chest(AccessionNumber="ACC2", PatientID="P1"), StudyInstanceUID=study))
    assert desk.entry(study)["priority"] == "stat"


def test_a_number_that_the_ris_has_replaced_means_the_study_no_more(desk: Desk) -> None:
    study = desk.film("ACC1", PatientID="P1")
    lines = ["ORC|XO|PL1", "OBR|1|PL1||XC^Chest^L", f"IPC|ACC9|RP1|{study}|SPS1"]
    assert desk.say(message("OMI^O23", "1", "PID|||P1", *lines)) == "AA"
    desk.say(order("2", "ACC1", control="CA"))
    assert desk.entry(study)["state"] == "waiting"
    desk.say(order("3", "ACC9", control="CA"))
    assert desk.entry(study)["state"] == "withdrawn"


def test_a_final_report_with_a_code_says_the_truth_of_its_study(desk: Desk) -> None:
    study = desk.film("ACC1")
    terms = replace(TERMS, labels={"J18.9": True})
    coded = Orders(
        desk.store, terms, "8859/1", JUDGING, Refusals(desk.refused.append, desk.clock), desk.clock, desk._wake, str
    )
    text = report("1", "ACC1").replace(
        "|TX|18782-3^Findings^LN||Nothing acute.|", "|CWE|18782-3^Findings^LN||J18.9^Pneumonia^I10|"
    )
    coded.answer(text.encode(), "192.0.2.9")
    assert desk.rows("SELECT study_instance_uid, positive, said_by FROM truth") == [
        {"study_instance_uid": study, "positive": 1, "said_by": "RIS^HOSPITAL"}
    ]
    assert desk.say(report("2", "ACC1")) == "AA"
    assert len(desk.rows("SELECT * FROM truth")) == 1
