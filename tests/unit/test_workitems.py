"""Workitems over real associations, with pynetdicom's own client, against the tables of PS3.4 annex CC."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from pydicom.dataset import Dataset
from pynetdicom.status import code_to_category

from cxr_node.audit.elements import Reporter
from cxr_node.audit.messages import messages
from cxr_node.dimse.listener import Endpoint, Listener
from cxr_node.dimse.mpps import PerformedProcedureStep
from cxr_node.dimse.workitems import PULL, QUERY, WATCH, UnifiedProcedureStep
from cxr_node.domain.priority import Priority
from cxr_node.domain.pseudonym import Pseudonyms
from cxr_node.domain.reading import Actor
from cxr_node.domain.reading_step import PUSH
from cxr_node.domain.study import EntryState
from cxr_node.domain.workitem import FILTERED, GLOBAL
from cxr_node.errors import Permanent
from cxr_node.stages.procedure import Procedure
from cxr_node.store import reading, subscriptions, workitems, worklist
from tests import films
from tests.bench import JUDGING, Bench, add_result, desk
from tests.modality import Modality, begun
from tests.steps import Workstation, keyed, performed, wanted

T1, T2 = "1.2.100.1", "1.2.100.2"
READER = Actor("dr.adams")
QUERY_IN_BASE64 = re.compile(r"[A-Za-z0-9+/]{16,}=*")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def port(bench: Bench) -> Iterator[int]:
    """Of a listener whose workitems are those of the bench, beside the service for X-ray machines."""
    procedure = Procedure(
        bench.store, lambda: JUDGING, bench.waiting, bench.clock, lambda: None, Pseudonyms(b"k" * 32).study
    )
    endpoint = Endpoint("CXR_NODE", "127.0.0.1", 0, max_associations=8, max_pdu=131072, timeout=60.0)
    services = [PerformedProcedureStep(procedure), UnifiedProcedureStep(desk(bench))]
    listener = Listener(endpoint, bench.intake, bench.spool.incoming, services, refused=bench.turned_away.note)
    listener.start()
    yield listener.port
    threading.Thread(target=listener.stop, args=(60.0,)).start()  # its loop looks every fifth of a second


@pytest.fixture
def station(port: int) -> Iterator[Workstation]:
    with Workstation(port) as association:
        yield association


def film(bench: Bench, probability: float | None = None, **attributes: Any) -> str:
    """A study of one film, judged or not, a second after the one before."""
    bench.clock.turn(1)
    sent = films.chest(**attributes)
    bench.send(sent)
    study = str(sent.StudyInstanceUID)
    if probability is not None:
        with bench.store.transaction() as tx:
            (row,) = tx.rows("SELECT digest FROM instance WHERE study_instance_uid = ?", (study,))
            add_result(tx, row["digest"], probability)
            worklist.refresh(tx, study, JUDGING, bench.clock())
    return study


def uid_of(bench: Bench, study: str) -> str:
    """The newest workitem of a study."""
    return str(bench.rows("SELECT uid FROM workitem WHERE study_instance_uid = ? ORDER BY sequence", study)[-1]["uid"])


def entry(bench: Bench, study: str) -> dict[str, Any]:
    (row,) = bench.rows("SELECT * FROM worklist_entry WHERE study_instance_uid = ?", study)
    return row


def status(answer: Dataset) -> int:
    return int(answer.Status)


def test_studies_are_found_in_reading_order(bench: Bench, station: Workstation) -> None:
    normal, high, medium, stat = film(bench, 0.1), film(bench, 0.9), film(bench, 0.5), film(bench)
    with bench.store.transaction() as tx:
        reading.prioritise(tx, stat, Priority.STAT, READER, bench.clock())
    query = keyed(
        StudyInstanceUID="", ScheduledProcedureStepPriority="", WorklistLabel="",
        ScheduledProcedureStepStartDateTime="", ProcedureStepLabel="",
    )  # fmt: skip
    found, last = station.find(query)
    assert (last, [one.StudyInstanceUID for one in found]) == (0x0000, [stat, high, medium, normal])
    assert [one.ScheduledProcedureStepPriority for one in found] == ["HIGH", "HIGH", "MEDIUM", "LOW"]
    for keyword in ("WorklistLabel", "ScheduledProcedureStepStartDateTime"):
        shown = [str(one[keyword].value) for one in found]
        assert shown == sorted(shown)
        assert len(set(shown)) == 4


def test_what_a_workitem_says_of_its_study(bench: Bench, station: Workstation) -> None:
    study = film(bench, PatientID="P7", PatientName="Müller^Zoë", AccessionNumber="A7", PatientSex="F")
    answer, found = station.get(uid_of(bench, study))
    assert (status(answer), found is not None) == (0x0000, True)
    assert found is not None
    assert (found.PatientID, str(found.PatientName), found.PatientSex) == ("P7", "Müller^Zoë", "F")
    (code,), (request,), (series,) = (
        found.ScheduledWorkitemCodeSequence, found.ReferencedRequestSequence, found.InputInformationSequence,
    )  # fmt: skip
    assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == ("110005", "DCM", "Interpretation")
    assert (request.AccessionNumber, request.StudyInstanceUID) == ("A7", study)
    assert len(series.ReferencedSOPSequence) == 1
    assert series.DICOMRetrievalSequence[0].RetrieveAETitle == "PACS"
    assert found.ProcedureStepState == "SCHEDULED"
    assert "TransactionUID" not in found


def test_get_gives_what_is_asked_for_and_in_every_class(bench: Bench, station: Workstation) -> None:
    uid = uid_of(bench, film(bench))
    for sop_class in (PUSH, PULL, WATCH, QUERY):
        answer, found = station.get(uid, [0x00741000, 0x00081195], sop_class)
        assert status(answer) == 0x0001
        assert found is not None
        assert set(found.dir()) == {"ProcedureStepState", "SpecificCharacterSet"}
    assert status(station.get("1.2.3.4")[0]) == 0xC307


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ({"ProcedureStepState": "SCHEDULED"}, 1),
        ({"ProcedureStepState": "COMPLETED"}, 1),
        ({"PatientID": "P1*"}, 1),
        ({"PatientID": "p1"}, 0),
        ({"PatientName": "DOE*"}, 2),
        ({"PatientBirthDate": "19500101-19591231"}, 1),
        ({"ScheduledProcedureStepPriority": "LOW", "ProcedureStepState": "SCHEDULED"}, 1),
        ({"ScheduledProcedureStepStartDateTime": "20260101-20260102"}, 2),
        ({"ScheduledProcedureStepStartDateTime": "20260101-20260102", "ProcedureStepState": "SCHEDULED"}, 1),
        ({"SOPInstanceUID": "1.2.3"}, 0),
    ],
)
def test_matching_keys(bench: Bench, station: Workstation, keys: dict[str, str], count: int) -> None:
    film(bench, PatientID="P1", PatientName="Doe^Jane", PatientBirthDate="19550101")
    done = film(bench, PatientID="P2", PatientName="Doe^John", PatientBirthDate="19650101")
    with bench.store.transaction() as tx:
        reading.mark_read(tx, done, READER, bench.clock())
    assert len(station.uids(**keys)) == count


def test_sequence_matching_and_the_classes_that_may_ask(bench: Bench, station: Workstation) -> None:
    uid = uid_of(bench, film(bench, AccessionNumber="A1"))
    film(bench, AccessionNumber="A2")
    item = Dataset()
    item.AccessionNumber = "A1"
    assert station.uids(ReferencedRequestSequence=[item]) == [uid]
    for sop_class, expected in ((PULL, 0x0000), (WATCH, 0x0000), (QUERY, 0x0000), (PUSH, 0xA900)):
        assert station.find(keyed(), sop_class)[1] == expected


def test_a_study_is_claimed_read_and_closed(bench: Bench, station: Workstation) -> None:
    study = film(bench)
    uid = uid_of(bench, study)
    assert station.change(uid, "IN PROGRESS", T1) == 0x0000
    assert (entry(bench, study)["state"], entry(bench, study)["reader"]) == ("reading", "VIEWER1 (UPS)")
    assert station.change(uid, "COMPLETED", T2) == 0xC301
    assert station.change(uid, "COMPLETED", T1) == 0xC304
    assert status(station.set(uid, performed(TransactionUID=T2))) == 0xC301
    assert status(station.set(uid, performed(TransactionUID=T1))) == 0x0000
    assert station.change(uid, "COMPLETED", T1) == 0x0000
    assert entry(bench, study)["state"] == "read"
    assert station.change(uid, "COMPLETED", T1) == 0xB306
    assert station.change(uid, "CANCELED", T1) == 0xC300
    assert status(station.set(uid, performed(TransactionUID=T1))) == 0xC300
    moved = bench.rows("SELECT detail FROM event WHERE event = 'worklist.moved'")
    assert [("claimed" in row["detail"], "VIEWER1 (UPS)" in row["detail"]) for row in moved] == [
        (True, True), (False, True),
    ]  # fmt: skip


def test_what_is_given_up_goes_back_to_the_list_under_a_new_workitem(bench: Bench, station: Workstation) -> None:
    study = film(bench, 0.9)
    first = uid_of(bench, study)
    station.change(first, "IN PROGRESS", T1)
    assert station.change(first, "CANCELED", T1) == 0x0000
    assert entry(bench, study)["state"] == "analysed"
    second = uid_of(bench, study)
    assert second != first
    assert station.uids(ProcedureStepState="SCHEDULED") == [second]
    _, found = station.get(first)
    assert found is not None
    assert found.ProcedureStepState == "CANCELED"
    assert found.ProcedureStepProgressInformationSequence[0].ProcedureStepCancellationDateTime


@pytest.mark.parametrize("state", ["SCHEDULED", "COMPLETED", "CANCELED", "NONSENSE"])
def test_what_is_scheduled_is_only_claimed(bench: Bench, station: Workstation, state: str) -> None:
    uid = uid_of(bench, film(bench))
    expected = {"SCHEDULED": 0xC303, "NONSENSE": 0x0115}.get(state, 0xC310)
    assert station.change(uid, state, T1) == expected
    assert station.change(uid, "IN PROGRESS", None) == 0xC301
    assert station.uids(ProcedureStepState="SCHEDULED") == [uid]


def test_who_reads_at_the_page_holds_the_workitem_too(bench: Bench, station: Workstation) -> None:
    study = film(bench)
    uid = uid_of(bench, study)
    with bench.store.transaction() as tx:
        reading.claim(tx, study, READER, bench.clock())
    wishes = ("IN PROGRESS", "COMPLETED", "CANCELED")
    assert {station.change(uid, wish, T1) for wish in wishes} == {0xC301}  # no Transaction UID is right
    with bench.store.transaction() as tx:
        reading.mark_read(tx, study, READER, bench.clock())
    assert {station.change(uid, wish, T1) for wish in wishes} == {0xC301}


def test_who_reads_by_a_workitem_holds_the_study_at_the_page(bench: Bench, station: Workstation) -> None:
    study = film(bench)
    station.change(uid_of(bench, study), "IN PROGRESS", T1)
    with bench.store.transaction() as tx, pytest.raises(Permanent, match="VIEWER1") as refused:
        reading.claim(tx, study, READER, bench.clock())
    assert refused.value.code == "STUDY_CLAIMED"


def test_of_many_who_claim_at_once_one_gets_it(bench: Bench, port: int) -> None:
    study = film(bench)
    uid, answers, begin = uid_of(bench, study), [], threading.Barrier(6)

    def by_ups(number: int) -> None:
        with Workstation(port, calling=f"VIEWER{number}") as station:
            begin.wait(60)
            answers.append(station.change(uid, "IN PROGRESS", f"1.2.{number}"))

    def by_page(number: int) -> None:
        begin.wait(60)
        try:
            with bench.store.transaction() as tx:
                reading.claim(tx, study, Actor(f"reader{number}"), bench.clock())
            answers.append(0x0000)
        except Permanent as error:
            answers.append({"STUDY_CLAIMED": 0xC301}[error.code])

    threads = [threading.Thread(target=by_ups if n % 2 else by_page, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == [0x0000] + [0xC301] * 5


def test_a_held_study_is_for_a_person_first(bench: Bench, station: Workstation) -> None:
    study = film(bench)
    with bench.store.transaction() as tx:
        worklist.put(tx, study, EntryState.HELD, "a person has to look", bench.clock())
    uid = uid_of(bench, study)
    assert station.change(uid, "IN PROGRESS", T1) == 0x0110
    _, found = station.get(uid)
    assert found is not None
    assert (found.InputReadinessState, found.ProcedureStepState) == ("INCOMPLETE", "SCHEDULED")


def test_a_peer_sets_a_person_s_priority_while_scheduled_or_as_the_holder(bench: Bench, station: Workstation) -> None:
    study = film(bench)
    uid = uid_of(bench, study)
    wish = Dataset()
    wish.ScheduledProcedureStepPriority = "HIGH"
    assert status(station.set(uid, wish)) == 0x0000
    assert entry(bench, study)["priority"] == "high"
    wish.ScheduledProcedureStepPriority = "URGENT"
    assert status(station.set(uid, wish)) == 0x0106
    station.change(uid, "IN PROGRESS", T1)
    wish.ScheduledProcedureStepPriority = "LOW"
    assert status(station.set(uid, wish)) == 0xC301
    assert entry(bench, study)["priority"] == "high"
    wish.TransactionUID = T1
    assert status(station.set(uid, wish)) == 0x0000
    assert entry(bench, study)["priority"] == "routine"


def test_high_leaves_stat_as_it_is(bench: Bench, station: Workstation) -> None:
    study = film(bench)
    with bench.store.transaction() as tx:
        reading.prioritise(tx, study, Priority.STAT, READER, bench.clock())
    wish = Dataset()
    wish.ScheduledProcedureStepPriority = "HIGH"
    assert status(station.set(uid_of(bench, study), wish)) == 0x0000
    assert entry(bench, study)["priority"] == "stat"


def test_what_the_study_says_is_not_a_peer_s_to_say(bench: Bench, station: Workstation) -> None:
    uid = uid_of(bench, film(bench, PatientID="P1"))
    said = Dataset()
    said.PatientID, said.CommentsOnTheScheduledProcedureStep = "P2", "please compare"
    assert status(station.set(uid, said)) == 0xB305
    _, found = station.get(uid)
    assert found is not None
    assert (found.PatientID, found.CommentsOnTheScheduledProcedureStep) == ("P1", "please compare")


def test_a_peer_creates_a_reading_of_a_study_that_is_here(bench: Bench, station: Workstation) -> None:
    study = film(bench)
    assert status(station.create("1.2.9", wanted(study))) == 0x0000
    assert entry(bench, study)["priority"] == "high"
    _, found = station.get("1.2.9")
    assert found is not None
    assert (found.ProcedureStepLabel, found.ProcedureStepState) == ("Second reading", "SCHEDULED")
    with bench.store.transaction() as tx:
        reading.mark_read(tx, study, READER, bench.clock())
    _, found = station.get("1.2.9")
    assert found is not None
    assert found.ProcedureStepState == "COMPLETED"


@pytest.mark.parametrize("by", ["study", "accession"])
def test_a_reading_may_be_wanted_before_its_film_comes(bench: Bench, station: Workstation, by: str) -> None:
    coming = films.chest(AccessionNumber="A9")
    named = wanted(study=str(coming.StudyInstanceUID)) if by == "study" else wanted(accession="A9")
    assert status(station.create("1.2.9", named)) == 0x0000
    bench.send(coming)
    study = str(coming.StudyInstanceUID)
    assert entry(bench, study)["priority"] == "high"
    assert station.change("1.2.9", "IN PROGRESS", T1) == 0x0000
    assert entry(bench, study)["state"] == "reading"


def test_a_workitem_of_no_study_here_lives_by_itself(bench: Bench, station: Workstation) -> None:
    station.create("1.2.9", wanted(accession="ELSEWHERE"))
    assert station.change("1.2.9", "IN PROGRESS", T1) == 0x0000
    assert status(station.set("1.2.9", performed(TransactionUID=T1))) == 0x0000
    assert station.change("1.2.9", "COMPLETED", T1) == 0x0000
    assert station.uids(ProcedureStepState="COMPLETED") == ["1.2.9"]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"ProcedureStepState": "IN PROGRESS"}, 0xC309),
        ({"ProcedureStepState": None}, 0x0120),
        ({"ScheduledProcedureStepPriority": None}, 0x0120),
        ({"ProcedureStepLabel": ""}, 0x0121),
        ({"InputReadinessState": None}, 0x0120),
        ({"ScheduledProcedureStepStartDateTime": None}, 0x0120),
        ({"ScheduledProcedureStepPriority": "SOON"}, 0x0106),
        ({"TextValue": "x" * 70000}, 0x0213),
    ],
)
def test_what_a_peer_must_say_of_a_new_workitem(
    bench: Bench, station: Workstation, changed: dict[str, Any], expected: int
) -> None:
    answer = station.create("1.2.9", wanted("1.2.3", **changed))
    assert status(answer) == expected
    assert code_to_category(status(answer)) == "Failure"
    assert station.uids() == []


def test_a_workitem_is_created_once(bench: Bench, station: Workstation) -> None:
    assert status(station.create("1.2.9", wanted("1.2.3"))) == 0x0000
    assert status(station.create("1.2.9", wanted("1.2.4"))) == 0x0111
    study = film(bench)
    with bench.store.transaction() as tx:
        reading.mark_read(tx, study, READER, bench.clock())
    assert status(station.create("1.2.10", wanted(study))) == 0x0110
    assert station.uids(SOPInstanceUID="1.2.10") == []


def test_a_request_to_cancel(bench: Bench, station: Workstation) -> None:
    study = film(bench)
    uid = uid_of(bench, study)
    assert station.request_cancel("1.2.3.4") == 0xC307
    assert station.request_cancel(uid) == 0xC313  # a study waits to be read, whatever a peer wants
    station.change(uid, "IN PROGRESS", T1)
    assert station.request_cancel(uid) == 0xC312
    assert station.subscribe(uid, "WATCHER") == 0x0000
    assert station.request_cancel(uid) == 0x0000
    with bench.store.reading() as tx:
        asked = subscriptions.waiting(tx, "WATCHER", 10)[-1]
    assert (asked.event, asked.information["00741236"]["Value"]) == (2, ["VIEWER1"])
    assert asked.information["00741238"]["Value"] == ["wrong side"]
    station.set(uid, performed(TransactionUID=T1))
    station.change(uid, "COMPLETED", T1)
    assert station.request_cancel(uid) == 0xC311


def test_a_peer_s_own_workitem_is_canceled_at_once(bench: Bench, station: Workstation) -> None:
    study = film(bench)
    station.create("1.2.9", wanted(study))
    assert station.subscribe("1.2.9", "WATCHER") == 0x0000
    assert station.request_cancel("1.2.9") == 0x0000
    assert station.request_cancel("1.2.9") == 0xB304
    with bench.store.reading() as tx:
        told = [one.information["00741000"]["Value"][0] for one in subscriptions.waiting(tx, "WATCHER", 10)]
    assert told == ["SCHEDULED", "IN PROGRESS", "CANCELED"]
    assert entry(bench, study)["state"] == "waiting"


def reported(bench: Bench, receiver: str = "WATCHER") -> list[tuple[str, str]]:
    """(workitem, state) of the state reports that wait."""
    with bench.store.reading() as tx:
        reports = subscriptions.waiting(tx, receiver, 1000)
    return [(one.workitem, one.information["00741000"]["Value"][0]) for one in reports if one.event == 1]


def test_who_subscribes_to_one_hears_of_one(bench: Bench, station: Workstation) -> None:
    first, second = uid_of(bench, film(bench)), uid_of(bench, film(bench))
    assert station.subscribe(first, "WATCHER") == 0x0000
    for uid in (first, second):
        station.change(uid, "IN PROGRESS", T1)
    assert reported(bench) == [(first, "SCHEDULED"), (first, "IN PROGRESS")]
    assert station.subscribe(first, "WATCHER", action=4) == 0x0000
    station.change(first, "CANCELED", T1)
    assert len(reported(bench)) == 2


def test_a_global_subscription(bench: Bench, station: Workstation) -> None:
    before = uid_of(bench, film(bench))
    assert station.subscribe(GLOBAL, "WATCHER") == 0x0000
    assert reported(bench) == []  # without a lock nobody is told how things stand
    after = uid_of(bench, film(bench))
    assert reported(bench) == [(after, "SCHEDULED")]
    assert station.subscribe(after, "WATCHER", action=4) == 0x0000
    for uid in (before, after):
        station.change(uid, "IN PROGRESS", T1)
    assert reported(bench)[1:] == [(before, "IN PROGRESS")]
    assert station.subscribe(GLOBAL, "WATCHER", action=5) == 0x0000
    film(bench)
    station.change(before, "CANCELED", T1)
    assert reported(bench)[2:] == [(before, "CANCELED")]
    assert station.subscribe(GLOBAL, "WATCHER", action=4) == 0x0000
    film(bench)
    assert len(reported(bench)) == 3


def test_a_global_subscription_with_a_lock_begins_with_how_all_stand(bench: Bench, station: Workstation) -> None:
    uids = [uid_of(bench, film(bench)) for _ in range(3)]
    assert station.subscribe(GLOBAL, "WATCHER", lock=True) == 0x0000
    assert reported(bench) == [(uid, "SCHEDULED") for uid in uids]


def test_a_filtered_global_subscription(bench: Bench, station: Workstation) -> None:
    item = Dataset()
    item.AccessionNumber = "WARD*"
    assert station.subscribe(FILTERED, "WATCHER", ReferencedRequestSequence=[item]) == 0x0000
    film(bench, AccessionNumber="OTHER1")
    uid = uid_of(bench, film(bench, AccessionNumber="WARD1"))
    assert reported(bench) == [(uid, "SCHEDULED")]


def test_subscriptions_that_cannot_be(bench: Bench, station: Workstation) -> None:
    uid = uid_of(bench, film(bench))
    assert station.subscribe(uid, "NOBODY") == 0xC308
    assert station.subscribe("1.2.3.4", "WATCHER") == 0xC307
    assert station.subscribe(uid, "WATCHER", action=5) == 0xC314
    assert station.subscribe(uid, "") == 0x0121
    assert status(station.act(GLOBAL, 1, performed(ProcedureStepState="IN PROGRESS"), PULL)) == 0xC314


def test_what_a_performer_says_is_reported(bench: Bench, station: Workstation) -> None:
    uid = uid_of(bench, film(bench))
    station.subscribe(uid, "WATCHER")
    progress, said = Dataset(), Dataset()
    progress.ProcedureStepProgress = "40"
    said.ProcedureStepProgressInformationSequence = [progress]
    person = Dataset()
    person.HumanPerformerName = "Adams^Ann"
    said.ScheduledHumanPerformersSequence = [person]
    assert status(station.set(uid, said)) == 0x0000
    with bench.store.reading() as tx:
        told = subscriptions.waiting(tx, "WATCHER", 10)
    assert [one.event for one in told] == [1, 3, 5]
    assert told[1].information["00741002"]["Value"][0]["00741004"]["Value"] == [40.0]


def test_of_too_many_reports_the_oldest_are_dropped_and_said(bench: Bench, station: Workstation) -> None:
    uid = uid_of(bench, film(bench))
    station.subscribe(uid, "WATCHER")
    with bench.store.transaction() as tx:
        tx.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
            "INSERT INTO workitem_report (receiver, workitem, event, information, made_at) "
            "SELECT 'WATCHER', '1.2', 1, '{}', 0 FROM n",
            (subscriptions.MOST_REPORTS,),
        )
    station.change(uid, "IN PROGRESS", T1)
    (left,) = bench.rows("SELECT count(*) AS n FROM workitem_report")
    assert left["n"] == subscriptions.MOST_REPORTS
    assert "subscriber.dropped" in bench.events()


def test_each_class_has_its_services_and_no_others(bench: Bench, station: Workstation) -> None:
    uid = uid_of(bench, film(bench))
    change = Dataset()
    change.ProcedureStepState, change.TransactionUID = "IN PROGRESS", T1
    for sop_class in (PUSH, WATCH, QUERY):
        assert status(station.act(uid, 1, change, sop_class)) == 0x0211
        assert status(station.set(uid, performed(), sop_class)) == 0x0211
    for sop_class in (PULL, WATCH, QUERY):
        assert status(station.create("1.2.9", wanted("1.2.3"), sop_class)) == 0x0211
    assert status(station.act(uid, 3, change, PULL)) == 0x0211
    assert status(station.act(uid, 9, change, PULL)) == 0x0123


def test_x_ray_machines_report_their_steps_beside_it(bench: Bench, port: int) -> None:
    with Modality(port) as modality:
        assert modality.create("1.2.50", begun("1.2.3")).Status == 0x0000
    assert "step.created" in bench.events()


def test_who_looked_is_in_the_trail_once_a_minute(bench: Bench, station: Workstation) -> None:
    uid = uid_of(bench, film(bench, PatientID="P1"))
    for _ in range(3):
        station.uids()
        station.get(uid)
    assert [name for name in bench.events() if name.endswith("viewed")] == ["study.viewed"]
    (row,) = bench.rows("SELECT * FROM event WHERE event = 'worklist.queried'")
    (told,) = messages([row], Reporter("CXR_NODE", "node.example.org", "", ""))
    root = ElementTree.fromstring(told.xml)  # noqa: S314
    assert root[0][0].get("csd-code") == "110112"
    assert [one.get("UserID") for one in root.findall("ActiveParticipant")] == ["VIEWER1", "CXR_NODE"]
    assert QUERY_IN_BASE64.fullmatch(root.findtext("ParticipantObjectIdentification/ParticipantObjectQuery") or "")
    bench.clock.turn(61)
    station.uids()
    assert bench.events().count("worklist.queried") == 2


def test_what_is_over_is_forgotten_but_not_under_a_lock(bench: Bench, station: Workstation) -> None:
    for uid in ("1.2.9", "1.2.10"):
        station.create(uid, wanted(accession=uid))
        station.request_cancel(uid)
    station.subscribe("1.2.10", "WATCHER", lock=True)
    own = uid_of(bench, film(bench))
    now = bench.clock()
    with bench.store.transaction() as tx:
        assert workitems.forget(tx, now - 10, now - 10) == 0
        assert workitems.forget(tx, now + 10, now - 10) == 1
    assert station.uids() == [own, "1.2.10"]
    with bench.store.transaction() as tx:
        assert workitems.forget(tx, now + 10, now + 10) == 1
    assert station.uids() == [own]


def test_every_status_is_one_of_the_standard_s() -> None:
    from pynetdicom.status import UNIFIED_PROCEDURE_STEP_SERVICE_CLASS_STATUS as TABLE

    from cxr_node.domain.workitem import Status

    assert {int(one) for one in Status} <= TABLE.keys()
    for one in Status:
        assert one.refused == (TABLE[int(one)][0] == "Failure")


def test_a_study_that_becomes_overdue_moves_though_nothing_happens(bench: Bench, station: Workstation) -> None:
    old, high = uid_of(bench, film(bench, 0.1)), uid_of(bench, film(bench, 0.9))
    assert station.uids(ProcedureStepState="SCHEDULED") == [high, old]
    bench.clock.turn(7200)
    assert station.uids(ProcedureStepState="SCHEDULED") == [old, high]
