"""Every N-service against the tables of PS3.4 annex CC, attribute by attribute and state by state, over the wire."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from cxr_node.dimse.listener import Endpoint, Listener
from cxr_node.dimse.workitems import UnifiedProcedureStep
from cxr_node.domain.reading import Actor
from cxr_node.domain.study import EntryState
from cxr_node.domain.workitem import GLOBAL
from cxr_node.store import reading, subscriptions, worklist
from cxr_node.store.subscriptions import Report
from tests import films
from tests.bench import JUDGING, Bench, desk
from tests.steps import Workstation, code, performed, wanted
from tests.ups_standard import (
    ASKED_TO_CANCEL,
    ATTRIBUTES,
    CREATED_AGAIN,
    EVENTS,
    MAY_HAVE_NO_ITEMS,
    MISSING_ATTRIBUTE,
    MISSING_VALUE,
    NOT_ALLOWED,
    PERFORMED,
    PROGRESS,
    SET,
    STATES,
    TRANSITIONS,
    Row,
)

UID, T1, T2 = "1.2.9", "1.2.100.1", "1.2.100.2"
TOP = [row for row in ATTRIBUTES if not row.inside]
READER = Actor("dr.adams")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def station(bench: Bench) -> Iterator[Workstation]:
    endpoint = Endpoint("CXR_NODE", "127.0.0.1", 0, max_associations=8, max_pdu=131072, timeout=60.0)
    listener = Listener(
        endpoint,
        bench.intake,
        bench.spool.incoming,
        [UnifiedProcedureStep(desk(bench))],
        refused=bench.turned_away.note,
    )
    listener.start()
    with Workstation(listener.port) as association:
        yield association
    threading.Thread(target=listener.stop, args=(60.0,)).start()  # its loop looks every fifth of a second


def changed(said: Dataset, keyword: str, value: Any) -> Dataset:
    """The same with another value of an attribute, or (None) without it."""
    if value is None:
        del said[keyword]
    else:
        setattr(said, keyword, value)
    return said


def empty_of(keyword: str) -> Any:
    return [] if vr_of(keyword) == "SQ" else ""


def some_value_of(keyword: str) -> Any:
    """A value that the attribute may have."""
    known: dict[str, Any] = {
        "ScheduledProcedureStepPriority": "HIGH", "InputReadinessState": "INCOMPLETE",
        "ProcedureStepState": "SCHEDULED",
    }  # fmt: skip
    by_vr: dict[str, Any] = {
        "SQ": [code("1", "99SITE", "One")], "DT": "20260101", "DA": "20260101", "UI": "1.2.3", "PN": "Roe^Jo",
        "CS": "F",
    }  # fmt: skip
    return known.get(keyword) or by_vr.get(vr_of(keyword), "something")


def vr_of(keyword: str) -> str:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    return str(dictionary_VR(tag))


def of(station: Workstation, uid: str) -> Dataset:
    _, found = station.get(uid)
    assert found is not None
    return found


def put_in(station: Workstation, state: str) -> None:
    """A peer's workitem in a state, by Transaction UID T1; of no study here."""
    if state == "null":
        return
    assert station.create(UID, wanted(accession="ELSEWHERE")).Status == 0x0000
    if state == "SCHEDULED":
        return
    assert station.change(UID, "IN PROGRESS", T1) == 0x0000
    if state in ("COMPLETED", "CANCELED"):
        station.set(UID, performed(TransactionUID=T1))
        assert station.change(UID, state, T1) == 0x0000


def film(bench: Bench) -> str:
    sent = films.chest(AccessionNumber="A1", PatientID="P1")
    bench.send(sent)
    return str(sent.StudyInstanceUID)


def workitem_of(bench: Bench, study: str, number: int = -1) -> str:
    rows = bench.rows("SELECT uid FROM workitem WHERE study_instance_uid = ? ORDER BY sequence", study)
    return str(rows[number]["uid"])


# N-CREATE


@pytest.mark.parametrize("row", TOP, ids=str)
def test_n_create_asks_for_what_is_mandatory(station: Workstation, row: Row) -> None:
    if row.keyword not in wanted("1.2.3"):
        assert row.create[0] in "3-" or "C" in row.create, "what wanted() leaves out is optional"
        return
    mandatory = row.create[0] in "12" and "C" not in row.create
    without = station.create(UID, changed(wanted("1.2.3"), row.keyword, None)).Status
    assert without == (MISSING_ATTRIBUTE if mandatory else 0x0000)


@pytest.mark.parametrize("row", [row for row in TOP if row.create[:2] in ("1/", "2/")], ids=str)
def test_n_create_lets_be_empty_what_may_be(station: Workstation, row: Row) -> None:
    answer = station.create(UID, changed(wanted("1.2.3"), row.keyword, empty_of(row.keyword))).Status
    assert answer == (MISSING_VALUE if row.create.startswith("1/") else 0x0000)


def test_a_label_that_is_left_to_the_node_is_given(station: Workstation) -> None:
    station.create(UID, wanted(accession="ELSEWHERE", WorklistLabel=""))
    assert of(station, UID).WorklistLabel


@pytest.mark.parametrize("row", [row for row in TOP if row.create.endswith("empty")], ids=str)
def test_what_is_created_empty_is_emptied_and_said(station: Workstation, row: Row) -> None:
    said = changed(wanted(accession="ELSEWHERE"), row.keyword, some_value_of(row.keyword))
    assert station.create(UID, said).Status == 0xB300
    assert not of(station, UID).get(row.keyword)
    assert station.change(UID, "IN PROGRESS", T1) == 0x0000, "nobody holds it"


def test_a_state_other_than_scheduled_has_a_status_of_its_own(station: Workstation) -> None:
    for state in ("IN PROGRESS", "COMPLETED", "CANCELED"):
        assert station.create(UID, wanted("1.2.3", ProcedureStepState=state)).Status == 0xC309


# N-GET and C-FIND


@pytest.mark.parametrize("whose", ["a peer's", "the node's", "a peer's, of a study here"])
@pytest.mark.parametrize("state", STATES[1:])
def test_what_can_be_got_and_found_is_there(bench: Bench, station: Workstation, whose: str, state: str) -> None:
    uid = in_state(bench, station, whose, state)
    got = of(station, uid)
    query = Dataset()
    for row in TOP:
        if row.get != NOT_ALLOWED:
            setattr(query, row.keyword, empty_of(row.keyword))
    query.SOPClassUID, query.SOPInstanceUID = "", uid
    (found,) = station.find(query)[0]
    assert found.SOPInstanceUID == uid
    assert found.SOPClassUID == "1.2.840.10008.5.1.4.34.6.1"
    optional = {"3/1", "2C/2C", "1C/1C", "1C/2", "3/3"}  # who created it may have left it out
    for row in TOP:
        if row.create in optional or row.get == NOT_ALLOWED:
            assert row.get != NOT_ALLOWED or row.keyword not in got
            continue
        must_have_value = (row.get.endswith("/1") and row.create[0] in "1-") or row.keyword == "WorklistLabel"
        assert row.keyword in got
        assert got.get(row.keyword) or not must_have_value, row
        assert found.get(row.keyword) or row.found != "1", row


def in_state(bench: Bench, station: Workstation, whose: str, state: str) -> str:
    if whose == "a peer's":
        put_in(station, state)
        return UID
    study = film(bench)
    uid = workitem_of(bench, study)
    if whose != "the node's":
        assert station.create(UID, wanted(study)).Status == 0x0000
        uid = UID
    if state != "SCHEDULED":
        assert station.change(uid, "IN PROGRESS", T1) == 0x0000
    if state in ("COMPLETED", "CANCELED"):
        station.set(uid, performed(TransactionUID=T1))
        assert station.change(uid, state, T1) == 0x0000
    return uid


def test_the_transaction_uid_is_not_told(station: Workstation) -> None:
    put_in(station, "IN PROGRESS")
    answer, found = station.get(UID, [0x00081195, 0x00741000])
    assert answer.Status == 0x0001, "requested attributes are not supported"
    assert found is not None
    assert "TransactionUID" not in found
    assert found.ProcedureStepState == "IN PROGRESS"
    query = Dataset()
    query.TransactionUID, query.ProcedureStepState = "", "IN PROGRESS"
    (one,) = station.find(query)[0]
    assert not one.get("TransactionUID")


# N-SET


@pytest.mark.parametrize("state", ["SCHEDULED", "IN PROGRESS"])
@pytest.mark.parametrize("row", [row for row in TOP if row.set[0] in "3n"], ids=str)
def test_n_set_of_each_attribute(station: Workstation, row: Row, state: str) -> None:
    """Of a workitem that a peer created, the attribute is set, or left as it is and that is said."""
    put_in(station, state)
    before, said = of(station, UID), Dataset()
    setattr(said, row.keyword, some_value_of(row.keyword))
    if state == "IN PROGRESS":
        said.TransactionUID = T1
    answer, after = station.set(UID, said).Status, of(station, UID)
    if row.keyword == "ProcedureStepState":
        assert answer == 0xC303
    elif row.set == NOT_ALLOWED:
        assert (answer, after.get(row.keyword)) == (0xB305, before.get(row.keyword))
    else:
        assert (answer, after[row.keyword].value) == (0x0000, said[row.keyword].value)


@pytest.mark.parametrize("row", [row for row in TOP if row.set == "3/1"], ids=str)
def test_n_set_does_not_take_a_value_away_that_must_be(station: Workstation, row: Row) -> None:
    put_in(station, "SCHEDULED")
    before, said = of(station, UID), Dataset()
    setattr(said, row.keyword, empty_of(row.keyword))
    assert station.set(UID, said).Status == MISSING_VALUE
    assert of(station, UID).get(row.keyword) == before.get(row.keyword)


@pytest.mark.parametrize("row", [row for row in TOP if row.set == NOT_ALLOWED], ids=str)
def test_n_set_changes_nothing_of_whose_study_it_is(bench: Bench, station: Workstation, row: Row) -> None:
    uid = workitem_of(bench, film(bench))
    before, said = of(station, uid), Dataset()
    setattr(said, row.keyword, some_value_of(row.keyword))
    assert station.set(uid, said).Status == (0xC303 if row.keyword == "ProcedureStepState" else 0xB305)
    assert of(station, uid).get(row.keyword) == before.get(row.keyword)


@pytest.mark.parametrize("shown", [None, True, False])
@pytest.mark.parametrize("state", STATES)
def test_who_may_set(station: Workstation, state: str, shown: bool | None) -> None:
    put_in(station, state)
    said = Dataset()
    said.CommentsOnTheScheduledProcedureStep = "please compare"
    if shown is not None:
        said.TransactionUID = T1 if shown else T2
    assert station.set(UID, said).Status == SET[shown][STATES.index(state)]


def test_setting_the_same_again_changes_nothing(bench: Bench, station: Workstation) -> None:
    """N-SET is idempotent (CC.2.6.2)."""
    put_in(station, "SCHEDULED")
    said = Dataset()
    said.ScheduledStationNameCodeSequence = [code("1", "99SITE", "One")]
    station.subscribe(UID, "WATCHER")
    first = [station.set(UID, said).Status, of(station, UID)]
    assert [station.set(UID, said).Status, of(station, UID)] == first
    assert [one.event for one in reports(bench)] == [1, 5]


# N-ACTION


@pytest.mark.parametrize(("asked", "right"), TRANSITIONS)
@pytest.mark.parametrize("state", STATES)
def test_the_states(station: Workstation, state: str, asked: str, right: bool) -> None:
    put_in(station, state)
    if state == "IN PROGRESS":
        station.set(UID, performed(TransactionUID=T1))
    expected = TRANSITIONS[asked, right][STATES.index(state)]
    wrong = [None] if state == "SCHEDULED" else [None, T2]  # what nobody has claimed, anybody may, with any UID
    for transaction in [T1] if right else wrong:
        assert station.change(UID, asked, transaction) == expected
    if state != "null":
        stands = asked if expected == 0x0000 else state
        assert of(station, UID).ProcedureStepState == stands


@pytest.mark.parametrize("state", STATES)
def test_creating_it_again(station: Workstation, state: str) -> None:
    put_in(station, state)
    assert station.create(UID, wanted("1.2.3")).Status == CREATED_AGAIN[STATES.index(state)]


@pytest.mark.parametrize("state", STATES)
def test_asking_for_its_end(bench: Bench, station: Workstation, state: str) -> None:
    put_in(station, state)
    if state != "null":
        station.subscribe(UID, "WATCHER")
    before = len(reports(bench))
    assert station.request_cancel(UID) == ASKED_TO_CANCEL[STATES.index(state)]
    told = reports(bench)[before:]
    expected = {"SCHEDULED": [(1, "IN PROGRESS"), (1, "CANCELED")], "IN PROGRESS": [(2, None)]}.get(state, [])
    assert [(one.event, one.information.get("00741000", {}).get("Value", [None])[0]) for one in told] == expected


@pytest.mark.parametrize("keyword", ["ReceivingAE", "DeletionLock"])
def test_what_a_subscription_must_say(station: Workstation, keyword: str) -> None:
    """Table CC.2.3-1, type 1."""
    for value, expected in ((None, MISSING_ATTRIBUTE), ("", MISSING_VALUE)):
        said = Dataset()
        said.ReceivingAE, said.DeletionLock = "WATCHER", "FALSE"
        answer = station.act(GLOBAL, 3, changed(said, keyword, value), "1.2.840.10008.5.1.4.34.6.2")
        assert answer.Status == expected


def test_what_a_change_of_state_must_say(station: Workstation) -> None:
    """Table CC.2.1-1, type 1; without the Transaction UID table CC.1.1-2 has a status of its own."""
    put_in(station, "SCHEDULED")
    for value, expected in ((None, MISSING_ATTRIBUTE), ("", MISSING_VALUE)):
        said = Dataset()
        said.TransactionUID, said.ProcedureStepState = T1, ""
        answer = station.act(UID, 1, changed(said, "ProcedureStepState", value), "1.2.840.10008.5.1.4.34.6.3")
        assert answer.Status == expected


# Final states


@pytest.mark.parametrize("row", [row for row in ATTRIBUTES if row.final == "P"], ids=str)
def test_it_is_not_completed_without(station: Workstation, row: Row) -> None:
    put_in(station, "IN PROGRESS")
    if row.inside:
        said = performed(TransactionUID=T1)
        del said[PERFORMED][0][row.keyword]
        station.set(UID, said)
    assert station.change(UID, "COMPLETED", T1) == 0xC304
    assert of(station, UID).ProcedureStepState == "IN PROGRESS"
    station.set(UID, performed(TransactionUID=T1))
    assert station.change(UID, "COMPLETED", T1) == 0x0000


def test_it_may_be_canceled_without_any_n_set(station: Workstation) -> None:
    """The note of CC.2.5.1.3.2; what the final state requires and nobody said, the node says."""
    put_in(station, "CANCELED")
    assert_final(of(station, UID), "CANCELED")


@pytest.mark.parametrize(
    ("how", "state"),
    [
        ("read at the page", "COMPLETED"), ("claimed and read at the page", "COMPLETED"), ("given back", "CANCELED"),
        ("another film came", "COMPLETED"), ("withdrawn", "CANCELED"), ("by a peer", "COMPLETED"),
    ],
)  # fmt: skip
def test_whatever_ends_it_it_has_what_its_final_state_requires(
    bench: Bench, station: Workstation, how: str, state: str
) -> None:
    study = film(bench)
    uid, now = workitem_of(bench, study), bench.clock()
    with bench.store.transaction() as tx:
        if how in ("claimed and read at the page", "given back"):
            reading.claim(tx, study, READER, now)
        if how == "given back":
            reading.release(tx, study, READER, JUDGING, now)
        elif how == "withdrawn":
            worklist.put(tx, study, EntryState.WITHDRAWN, "wrong entry", now)
        elif how != "by a peer":
            reading.mark_read(tx, study, READER, now)
    if how == "by a peer":
        station.change(uid, "IN PROGRESS", T1)
        station.set(uid, performed(TransactionUID=T1))
        station.change(uid, "COMPLETED", T1)
    if how == "another film came":
        bench.send(films.chest(StudyInstanceUID=study, PatientID="P1"))
        assert of(station, workitem_of(bench, study)).ProcedureStepState == "SCHEDULED"
    found = of(station, uid)
    assert_final(found, state)
    if "page" in how:
        (person,) = found[PERFORMED][0].ActualHumanPerformersSequence
        assert str(person.HumanPerformerName) == "dr.adams", "who performed it, where that is known (RC)"


def assert_final(found: Dataset, state: str) -> None:
    assert found.ProcedureStepState == state
    for row in ATTRIBUTES:
        required = row.final == "R" or row.final == {"COMPLETED": "P", "CANCELED": "X"}[state]
        if required:
            place = found[row.inside][0] if row.inside else found
            assert row.keyword in place, row
            assert place.get(row.keyword) or row.keyword in MAY_HAVE_NO_ITEMS, row


# N-EVENT-REPORT


def reports(bench: Bench) -> list[Report]:
    with bench.store.reading() as tx:
        return subscriptions.waiting(tx, "WATCHER", 1000)


def test_what_each_report_says(bench: Bench, station: Workstation) -> None:
    put_in(station, "SCHEDULED")
    station.subscribe(UID, "WATCHER")
    station.change(UID, "IN PROGRESS", T1)
    said, item = Dataset(), Dataset()
    item.ProcedureStepProgress = "40"
    said.TransactionUID = T1
    setattr(said, PROGRESS, [item])
    station.set(UID, said)
    station.request_cancel(UID)
    with bench.store.transaction() as tx:
        subscriptions.report_restart(tx, bench.clock())
    told = reports(bench)
    assert {int(one.event) for one in told} == EVENTS.keys()
    for one in told:
        for keyword in EVENTS[int(one.event)]:
            assert one.information[f"{tag_for_keyword(keyword):08X}"]["Value"], (one.event, keyword)


def test_a_restart_is_told_to_who_subscribed_to_anything(bench: Bench, station: Workstation) -> None:
    """To global subscribers and to those of single workitems (CC.2.4.3), to each once."""
    put_in(station, "SCHEDULED")
    station.subscribe(UID, "WATCHER")
    with bench.store.transaction() as tx:
        subscriptions.report_restart(tx, bench.clock())
    assert [int(one.event) for one in reports(bench)] == [1, 4]


def test_another_readiness_is_told(bench: Bench, station: Workstation) -> None:
    study = film(bench)
    station.subscribe(workitem_of(bench, study), "WATCHER")
    with bench.store.transaction() as tx:
        worklist.put(tx, study, EntryState.HELD, "a person has to look", bench.clock())
    assert [one.information["00404041"]["Value"] for one in reports(bench)] == [["READY"], ["INCOMPLETE"]]


def test_that_the_film_of_a_peer_s_workitem_has_come_is_told(bench: Bench, station: Workstation) -> None:
    coming = films.chest()
    station.create(UID, wanted(str(coming.StudyInstanceUID), InputReadinessState="UNAVAILABLE"))
    station.subscribe(UID, "WATCHER")
    bench.send(coming)
    assert [one.information["00404041"]["Value"] for one in reports(bench)] == [["UNAVAILABLE"], ["READY"]]


def test_a_peer_s_own_readiness_is_told(bench: Bench, station: Workstation) -> None:
    put_in(station, "SCHEDULED")
    station.subscribe(UID, "WATCHER")
    said = Dataset()
    said.InputReadinessState = "INCOMPLETE"
    station.set(UID, said)
    assert [one.information["00404041"]["Value"] for one in reports(bench)] == [["READY"], ["INCOMPLETE"]]


def test_to_whom_it_is_given_is_told_as_a_whole(bench: Bench, station: Workstation) -> None:
    person, said = Dataset(), Dataset()
    person.HumanPerformerName = "Adams^Ann"
    station.subscribe(GLOBAL, "WATCHER")
    station.create(UID, wanted(accession="ELSEWHERE", ScheduledHumanPerformersSequence=[person]))
    said.ScheduledStationNameCodeSequence = [code("1", "99SITE", "One")]
    station.set(UID, said)
    told = [set(one.information) for one in reports(bench) if int(one.event) == 5]
    assert told == [{"00404034"}, {"00404034", "00404025"}]
