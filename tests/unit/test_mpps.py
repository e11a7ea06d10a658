"""Performed procedure steps over real associations: what an X-ray machine is answered, and what is kept of it."""

import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom.dimse_primitives import N_CREATE, N_SET
from structlog.testing import capture_logs

from cxr_node.dimse import sender
from cxr_node.dimse.listener import Endpoint, Listener
from cxr_node.dimse.mpps import PerformedProcedureStep
from cxr_node.domain.pseudonym import Pseudonyms
from cxr_node.stages.procedure import Procedure
from cxr_node.store import steps
from tests import films
from tests.bench import JUDGING, Bench, study_uid
from tests.modality import Modality, begun, ended, reference, series
from tests.node import wait_for

STUDY = study_uid(1)
IN_PROGRESS, COMPLETED, DISCONTINUED = "IN PROGRESS", "COMPLETED", "DISCONTINUED"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def modality(bench: Bench) -> Iterator[Modality]:
    """In association with a listener whose steps go to the bench's store."""
    procedure = Procedure(
        bench.store, lambda: JUDGING, bench.waiting, bench.clock, lambda: None, Pseudonyms(b"k" * 32).study
    )
    endpoint = Endpoint("CXR_NODE", "127.0.0.1", 0, max_associations=8, max_pdu=131072, timeout=60.0)
    listener = Listener(
        endpoint,
        bench.intake,
        bench.spool.incoming,
        [PerformedProcedureStep(procedure)],
        refused=bench.turned_away.note,
    )
    listener.start()
    with Modality(listener.port) as association:
        yield association
        if association.alive:
            sender.echo(sender.Peer("node", "CXR_NODE", "127.0.0.1", listener.port, timeout=60.0), "XRAY1")
    threading.Thread(target=listener.stop, args=(60.0,)).start()  # its loop looks every fifth of a second


def state(bench: Bench, uid: str) -> str | None:
    with bench.store.reading() as tx:
        step = steps.find(tx, uid)
    return step and step.state


def listed(bench: Bench, study: str = STUDY) -> set[str]:
    with bench.store.reading() as tx:
        return {one.sop_instance_uid for one in steps.listed(tx, study)}


def test_a_step_begins_and_is_completed(bench: Bench, modality: Modality) -> None:
    uid, film = generate_uid(), films.chest()
    assert modality.create(uid, begun(STUDY)).Status == 0x0000
    assert state(bench, uid) == IN_PROGRESS
    assert modality.set(uid, ended(COMPLETED, film)).Status == 0x0000
    assert state(bench, uid) == COMPLETED
    assert listed(bench) == {film.SOPInstanceUID}
    assert bench.events() == ["step.created", "step.completed"]


@pytest.mark.parametrize("final", [COMPLETED, DISCONTINUED])
@pytest.mark.parametrize("then", [IN_PROGRESS, COMPLETED, DISCONTINUED])
def test_a_final_step_may_no_longer_be_updated(bench: Bench, modality: Modality, final: str, then: str) -> None:
    uid = generate_uid()
    modality.create(uid, begun(STUDY))
    modality.set(uid, ended(final))
    answer = modality.set(uid, ended(then, films.chest()))
    assert (answer.Status, answer.ErrorID) == (0x0110, 0xA506)
    assert state(bench, uid) == final
    assert listed(bench) == set()


def test_the_same_step_again_is_a_duplicate_and_changes_nothing(bench: Bench, modality: Modality) -> None:
    uid = generate_uid()
    modality.create(uid, begun(STUDY))
    assert modality.create(uid, begun(STUDY)).Status == 0x0111
    modality.set(uid, ended(COMPLETED))
    assert modality.create(uid, begun(study_uid(2))).Status == 0x0111
    assert state(bench, uid) == COMPLETED


def test_a_step_that_was_never_created_is_unknown(bench: Bench, modality: Modality) -> None:
    uid = generate_uid()
    assert modality.set(uid, ended(COMPLETED, films.chest())).Status == 0x0112
    assert state(bench, uid) is None


def test_a_step_may_be_for_several_studies(bench: Bench, modality: Modality) -> None:
    uid, film = generate_uid(), films.chest()
    modality.create(uid, begun(STUDY, study_uid(2), STUDY))
    modality.set(uid, ended(COMPLETED, film))
    assert listed(bench) == listed(bench, study_uid(2)) == {film.SOPInstanceUID}


def test_what_an_update_does_not_say_stays_as_it_was(bench: Bench, modality: Modality) -> None:
    uid, first, second = generate_uid(), films.chest(), films.lateral()
    modality.create(uid, begun(STUDY, PerformedSeriesSequence=[series([first])]))
    assert modality.set(uid, ended(IN_PROGRESS, first, second)).Status == 0x0000
    only_a_date = Dataset()
    only_a_date.PerformedProcedureStepEndDate = "20260101"
    assert modality.set(uid, only_a_date).Status == 0x0000
    assert state(bench, uid) == IN_PROGRESS
    modality.set(uid, ended(COMPLETED))  # its list is empty: it says nothing
    assert listed(bench) == {first.SOPInstanceUID, second.SOPInstanceUID}


def test_a_newer_list_takes_the_place_of_the_older_one(bench: Bench, modality: Modality) -> None:
    uid, rejected, kept = generate_uid(), films.chest(), films.chest()
    modality.create(uid, begun(STUDY))
    modality.set(uid, ended(IN_PROGRESS, rejected))
    modality.set(uid, ended(COMPLETED, kept))
    assert listed(bench) == {kept.SOPInstanceUID}


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ({"PerformedProcedureStepStatus": None}, 0x0120),
        ({"PerformedProcedureStepStatus": ""}, 0x0121),
        ({"PerformedProcedureStepStatus": "COMPLETED"}, 0x0106),
        ({"PerformedProcedureStepStatus": "BEGUN"}, 0x0106),
        ({"PerformedProcedureStepStatus": ["IN PROGRESS", "COMPLETED"]}, 0x0000),
        ({"ScheduledStepAttributesSequence": None}, 0x0120),
        ({"ScheduledStepAttributesSequence": []}, 0x0121),
        ({"ScheduledStepAttributesSequence": [Dataset()]}, 0x0121),
        ({"PerformedSeriesSequence": None, "Modality": None, "PatientName": None}, 0x0000),
        ({"PerformedProcedureStepID": None, "PerformedStationAETitle": None, "StudyID": None}, 0x0000),
    ],
)
def test_only_what_the_node_needs_is_asked_for(
    bench: Bench, modality: Modality, attributes: dict[str, Any], status: int
) -> None:
    uid = generate_uid()
    answer = modality.create(uid, begun(STUDY, **attributes))
    assert answer.Status == status
    assert ("ErrorComment" in answer) is (status != 0)
    assert state(bench, uid) == (IN_PROGRESS if status == 0 else None)


@pytest.mark.parametrize(("value", "status"), [("", 0x0121), ("DONE", 0x0106)])
def test_a_status_that_is_none_changes_nothing(bench: Bench, modality: Modality, value: str, status: int) -> None:
    uid = generate_uid()
    modality.create(uid, begun(STUDY))
    assert modality.set(uid, ended(value, films.chest())).Status == status
    assert state(bench, uid) == IN_PROGRESS


def test_a_step_without_a_uid_is_refused(modality: Modality) -> None:
    assert modality.create(None, begun(STUDY)).Status == 0x0117


def test_an_instance_whose_uid_cannot_be_read_counts_as_one_that_never_comes(bench: Bench, modality: Modality) -> None:
    uid, film = generate_uid(), films.chest()
    modality.create(uid, begun(STUDY))
    modality.set(uid, ended(COMPLETED, PerformedSeriesSequence=[series([film]), unreadable()]))
    assert listed(bench) == {film.SOPInstanceUID, ""}


def unreadable() -> Dataset:
    item = series([])
    item.ReferencedImageSequence = [Dataset()]
    return item


WHOLE = begun(STUDY)
ELEMENT = {
    "IN PROGRESS": b"\x40\x00\x52\x02CS\x0c\x00IN PROGRESS ",
    "COMPLETED": b"\x40\x00\x52\x02CS\x0a\x00COMPLETED ",
}
NESTED = b"\x40\x00\x70\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"


@pytest.mark.parametrize("primitive", [N_CREATE, N_SET])
@pytest.mark.parametrize(
    "said",
    [
        None,
        b"\xff" * 100,
        b"garbage that is no data set at all",
        b"\x40\x00\x52\x02CS\xff\x7fIN",  # cut off within a value
        b"\x40\x00\x52\x02SQ\0\0\x04\0\0\0ABCD",  # a sequence where a text belongs
        b"\x40\x00\x70\x02LO\x04\x00ABCD" + ELEMENT["IN PROGRESS"],  # a text where a sequence belongs
        b"\x40\x00\x52\x02US\x03\x00ABC",  # of a length that its VR cannot have
        NESTED * 5000,  # deeper than anybody can read
        ELEMENT["IN PROGRESS"] + b"\x40\x00\x40\x03SQ\0\0" + struct.pack("<I", 5 << 20) + b"\0" * (5 << 20),
    ],
    ids=["none", "ff", "text", "cut", "sq-for-cs", "lo-for-sq", "length", "nested", "huge"],
)
def test_what_cannot_be_read_is_refused_and_the_association_goes_on(
    bench: Bench, modality: Modality, primitive: type, said: bytes | None
) -> None:
    uid = generate_uid()
    modality.create(uid, begun(STUDY))
    fresh = uid if primitive is N_SET else generate_uid()
    response = modality.send(primitive(), fresh, said)
    assert response is not None
    expected = {0x0000, 0x0106, 0x0110, 0x0120, 0x0121, 0x0213}
    assert response.Status in (expected - {0x0000} if primitive is N_CREATE else expected)
    assert state(bench, uid) == IN_PROGRESS
    assert state(bench, fresh) == (IN_PROGRESS if primitive is N_SET else None)
    assert modality.set(uid, ended(COMPLETED)).Status == 0x0000


def test_a_step_of_thousands_of_instances_is_taken_and_one_of_more_is_refused(bench: Bench, modality: Modality) -> None:
    uid = generate_uid()
    modality.create(uid, begun(STUDY))
    many = series([])
    many.ReferencedImageSequence = [reference("1.2.840.10008.5.1.4.1.1.1.1", f"1.2.3.{n}") for n in range(2000)]
    assert modality.set(uid, ended(IN_PROGRESS, PerformedSeriesSequence=[many])).Status == 0x0000
    answer = modality.set(uid, ended(COMPLETED, PerformedSeriesSequence=[many] * 12))
    assert answer.Status == 0x0213
    assert state(bench, uid) == IN_PROGRESS


def test_a_message_without_end_ends_the_association_before_the_memory(modality: Modality) -> None:
    with capture_logs() as logs:
        modality.flood(generate_uid(), 32 << 20)
        wait_for(lambda: not modality.alive, what="an end of the association")
    (broken,) = [entry for entry in logs if entry["event"] == "association.broken"]
    held = int(broken["reason"].split()[5])
    assert 8 << 20 < held < 10 << 20


def test_a_step_of_very_many_studies_is_refused(modality: Modality) -> None:
    assert modality.create(generate_uid(), begun(*(study_uid(n) for n in range(101)))).Status == 0x0213


def test_what_is_answered_and_logged_names_no_patient(bench: Bench, modality: Modality) -> None:
    uid = generate_uid()
    said = begun(STUDY, PatientName="Zyxwvut^Quorra", PatientID="PID7QX", PerformedProcedureStepStatus="ZYXWVUT")
    with capture_logs() as logs:
        refused = modality.create(uid, said)
        said.PerformedProcedureStepStatus = IN_PROGRESS
        modality.create(uid, said)
        modality.set(uid, ended(DISCONTINUED, films.chest(), reason="110514"))
    shown = f"{refused} {logs}"
    assert {entry["event"] for entry in logs} == {"step.refused", "step.created", "step.changed"}
    assert [word for word in ("ZYXWVUT", "QUORRA", "7QX", uid, STUDY) if word in shown.upper()] == []


def test_a_store_that_is_busy_is_said_to_be_so(bench: Bench, modality: Modality) -> None:
    uid = generate_uid()
    modality.create(uid, begun(STUDY))
    bench.store.close()
    with capture_logs() as logs:
        assert modality.set(uid, ended(COMPLETED)).Status in (0x0110, 0x0213)
    assert "step.refused" in {entry["event"] for entry in logs}
