"""What the steps of X-ray machines do to the wait for documents, and to a study that was begun from the wrong entry."""

from pathlib import Path

import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

from cxr_node.domain.job import NewJob
from cxr_node.domain.step import WRONG_ENTRY, Listed, Reason, Reply, Statement, Status
from cxr_node.domain.study import Waiting
from cxr_node.stages.procedure import Procedure
from cxr_node.store import jobs, results, worklist
from cxr_node.store.requeue import requeue_study
from cxr_node.store.results import Written
from tests import films
from tests.bench import JUDGING, NOON
from tests.unit.test_stages import Node, same_study

FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
DOSE_REPORT = "1.2.840.10008.5.1.4.1.1.88.67"


class Room(Node):
    """A node beside an X-ray machine that reports its steps."""

    def begin_step(self, *studies: str) -> str:
        uid = generate_uid()
        assert self.procedure.create(Statement(uid, "XRAY1", "IN PROGRESS", studies)) == Reply()
        return uid

    def end_step(self, uid: str, state: str, *made: FileDataset | Listed, reason: Reason | None = None) -> None:
        listed = tuple(
            one if isinstance(one, Listed) else Listed(str(one.SOPClassUID), str(one.SOPInstanceUID)) for one in made
        )
        assert self.procedure.change(Statement(uid, "XRAY1", state, instances=listed, reason=reason)) == Reply()

    @property
    def procedure(self) -> Procedure:
        return Procedure(self.store, lambda: JUDGING, self.waiting, self.clock, lambda: None, str)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    room = Room(tmp_path)
    room.begin(0.5, 0.9, 0.9)
    return room


def study_of(film: FileDataset) -> str:
    return str(film.StudyInstanceUID)


def reported(room: Room, after: float = 0.0) -> int:
    """How many images the newest revision has when `after` more seconds have passed; 0 where there is none."""
    room.clock.turn(after)
    room.work()
    revisions = room.revisions()
    return len(str(revisions[-1]["images"]).split(",")) if revisions else 0


def test_documents_are_made_when_all_that_a_completed_step_lists_is_here(room: Room) -> None:
    pa = films.chest()
    lateral = same_study(pa, films.lateral())
    step = room.begin_step(study_of(pa))
    room.send(pa)
    room.clock.turn(30)
    room.send(lateral)
    assert reported(room, after=1) == 0
    room.end_step(step, "COMPLETED", pa, lateral)
    assert reported(room) == 2


def test_a_step_may_be_completed_before_its_films_are_here(room: Room) -> None:
    pa = films.chest()
    lateral = same_study(pa, films.lateral())
    room.end_step(room.begin_step(study_of(pa)), "COMPLETED", pa, lateral)
    room.send(pa)
    assert reported(room) == 0
    room.send(lateral)
    assert reported(room) == 2


def test_a_film_that_does_not_come_is_not_waited_for_longer_than_without_a_list(room: Room) -> None:
    pa = films.chest()
    room.end_step(room.begin_step(study_of(pa)), "COMPLETED", pa, films.lateral())
    room.send(pa)
    assert reported(room, after=119) == 0
    assert reported(room, after=1) == 1


@pytest.mark.parametrize("sop_class", [FOR_PROCESSING, DOSE_REPORT])
def test_what_the_node_makes_no_documents_of_need_not_come(room: Room, sop_class: str) -> None:
    pa = films.chest()
    room.send(pa)
    room.end_step(room.begin_step(study_of(pa)), "COMPLETED", pa, Listed(sop_class, generate_uid()))
    assert reported(room) == 1


def test_an_instance_of_a_class_that_is_not_said_may_be_a_film(room: Room) -> None:
    pa = films.chest()
    room.send(pa)
    room.end_step(room.begin_step(study_of(pa)), "COMPLETED", pa, Listed("", generate_uid()))
    assert reported(room) == 0


def test_a_completed_step_without_a_list_changes_nothing(room: Room) -> None:
    pa = films.chest()
    step = room.begin_step(study_of(pa))
    room.send(pa)
    room.end_step(step, "COMPLETED")
    assert reported(room, after=119) == 0
    assert reported(room, after=1) == 1


@pytest.mark.parametrize("step_first", [True, False])
def test_while_a_step_is_in_progress_films_are_waited_for_up_to_the_maximum(room: Room, step_first: bool) -> None:
    pa = films.chest()
    if step_first:
        room.begin_step(study_of(pa))
    room.send(pa)
    if not step_first:
        room.begin_step(study_of(pa))
    assert reported(room, after=599) == 0
    assert reported(room, after=1) == 1


def test_the_end_of_an_association_does_not_end_a_step(tmp_path: Path) -> None:
    room, pa = Room(tmp_path, waiting=Waiting(120, 600, after_release=10)), films.chest()
    room.begin(0.5)
    step = room.begin_step(study_of(pa))
    room.send(pa)
    room.intake.released(frozenset({study_of(pa)}))
    assert reported(room, after=60) == 0
    room.end_step(step, "COMPLETED", pa)
    assert reported(room) == 1


def test_a_second_step_that_is_in_progress_keeps_the_study_waiting(room: Room) -> None:
    pa = films.chest()
    first, second = room.begin_step(study_of(pa)), room.begin_step(study_of(pa))
    room.send(pa)
    room.end_step(first, "COMPLETED", pa)
    assert reported(room, after=200) == 0
    room.end_step(second, "DISCONTINUED", reason=Reason("110513", "DCM"))
    assert reported(room) == 1


def test_a_step_of_two_studies_ends_the_wait_of_both(room: Room) -> None:
    one, other = films.chest(), films.chest()
    step = room.begin_step(study_of(one), study_of(other))
    room.send(one)
    room.send(other)
    room.end_step(step, "COMPLETED", one, other)
    room.work()
    assert {row["study_instance_uid"] for row in room.revisions()} == {study_of(one), study_of(other)}


def test_a_step_that_names_another_study_than_its_films_counts_for_them(room: Room) -> None:
    pa = films.chest()
    step = room.begin_step(generate_uid())
    room.send(pa)
    room.end_step(step, "COMPLETED", pa)
    assert reported(room) == 1


def test_a_film_after_the_list_is_waited_for_like_any_other(room: Room) -> None:
    pa = films.chest()
    room.send(pa)
    room.end_step(room.begin_step(study_of(pa)), "COMPLETED", pa)
    assert reported(room) == 1
    room.send(same_study(pa, films.chest()))
    assert reported(room, after=119) == 1
    assert reported(room, after=1) == 2


def test_documents_wait_for_the_analysis_of_what_is_listed(room: Room) -> None:
    pa = films.chest()
    room.send(pa)
    room.end_step(room.begin_step(study_of(pa)), "COMPLETED", pa)
    room.work("settle")
    assert room.revisions() == []
    assert reported(room) == 1


def test_what_is_kept_of_a_step_outlives_the_node(room: Room, tmp_path: Path) -> None:
    pa = films.chest()
    step = room.begin_step(study_of(pa))
    room.send(pa)
    room.store.close()
    again = Room(tmp_path, clock=room.clock)
    again.begin(0.5)
    assert reported(again, after=300) == 0
    assert again.procedure.create(Statement(step, "XRAY1", "IN PROGRESS", (study_of(pa),))).status is (
        Status.DUPLICATE_INSTANCE
    )
    again.end_step(step, "COMPLETED", pa)
    assert reported(again) == 1


def test_a_film_that_is_not_analysed_says_that_its_step_was_discontinued(room: Room) -> None:
    leg = films.leg()
    step = room.begin_step(study_of(leg))
    room.send(leg)
    room.end_step(step, "DISCONTINUED", leg, reason=Reason("110501", "DCM"))
    assert room.entry()["reason"].endswith("; the X-ray machine discontinued the procedure step: equipment failure")
    room.work()
    assert room.entry()["state"] == "not_analysed"
    assert "step.discontinued" in room.events()


@pytest.mark.parametrize("reason", [Reason("110505", "DCM"), Reason("110514", "99LOCAL"), None])
def test_a_step_that_was_discontinued_for_another_reason_is_reported(room: Room, reason: Reason | None) -> None:
    pa = films.chest()
    step = room.begin_step(study_of(pa))
    room.send(pa)
    room.end_step(step, "DISCONTINUED", pa, reason=reason)
    assert reported(room, after=120) == 1
    assert room.entry()["state"] == "analysed"


def test_the_wrong_worklist_entry_withdraws_the_study(room: Room) -> None:
    pa = films.chest()
    study = study_of(pa)
    step = room.begin_step(study)
    room.send(pa)
    assert reported(room, after=600) == 1
    with room.store.transaction() as tx:
        for number in ("1.2.9", "1.2.10"):
            results.add_document(tx, Written(number, study, 1, "full", "sr", "1.2", "1.2.8", "outbox/x"), NOON)
            results.add_delivery(tx, number, "pacs")
            jobs.enqueue(tx, [NewJob("deliver", number, "pacs")], NOON)
        results.delivered(tx, "1.2.10", "pacs", NOON, 0)
        tx.execute("UPDATE job SET state = 'done' WHERE subject = '1.2.10'")
    room.end_step(step, "DISCONTINUED", pa, reason=WRONG_ENTRY)
    assert (room.entry()["state"], room.entry()["tier"]) == ("withdrawn", "medium")
    assert "wrong worklist entry" in room.entry()["reason"]
    states = {(row["kind"], row["subject"]): row["state"] for row in room.jobs("report") + room.jobs("deliver")}
    assert states == {("report", study): "skipped", ("deliver", "1.2.9"): "skipped", ("deliver", "1.2.10"): "done"}
    (alarm,) = [row["detail"] for row in room.rows("SELECT detail FROM event WHERE event = 'study.withdrawn'")]
    assert '"alarm": true' in alarm
    assert '"called_off": 2, "delivered": 1' in alarm


def test_a_withdrawn_study_has_no_documents_and_cannot_be_requeued_into_any(room: Room) -> None:
    pa = films.chest()
    step = room.begin_step(study_of(pa))
    room.send(pa)
    room.end_step(step, "DISCONTINUED", pa, reason=WRONG_ENTRY)
    assert reported(room, after=600) == 0
    with room.store.transaction() as tx:
        requeue_study(tx, study_of(pa), JUDGING, room.clock())
    assert reported(room, after=600) == 0
    assert room.entry()["state"] == "withdrawn"


def test_a_revision_that_was_called_off_is_not_written_when_the_study_is_requeued(room: Room) -> None:
    pa = films.chest()
    step = room.begin_step(study_of(pa))
    room.send(pa)
    assert reported(room, after=600) == 1
    room.end_step(step, "DISCONTINUED", pa, reason=WRONG_ENTRY)
    with room.store.transaction() as tx:
        requeue_study(tx, study_of(pa), JUDGING, room.clock())
    assert [row["state"] for row in room.jobs("report")] == ["skipped"]


def test_disowned_films_that_come_later_are_withdrawn_too(room: Room) -> None:
    pa = films.chest()
    room.end_step(room.begin_step(study_of(pa)), "DISCONTINUED", pa, reason=WRONG_ENTRY)
    room.send(pa)
    assert room.entry()["state"] == "withdrawn"
    assert reported(room, after=600) == 0


def test_the_right_patient_s_films_bring_a_withdrawn_study_back_into_sight(room: Room) -> None:
    wrong = films.chest()
    study = study_of(wrong)
    step = room.begin_step(study)
    room.send(wrong)
    room.end_step(step, "DISCONTINUED", wrong, reason=WRONG_ENTRY)
    right = same_study(wrong, films.chest())
    step = room.begin_step(study)
    room.send(right)
    room.end_step(step, "COMPLETED", right)
    assert reported(room, after=600) == 0
    assert room.entry()["state"] == "held"
    assert "a person has to say" in room.entry()["reason"]
    with room.store.reading() as tx:
        assert worklist.state(tx, study) == "held"


@pytest.mark.parametrize("listed", [True, False])
def test_a_wrong_entry_chosen_once_more_does_not_withdraw_what_another_step_made(room: Room, listed: bool) -> None:
    """The entry of a patient who was examined before is selected by mistake for the next one."""
    right = films.chest()
    wrong = same_study(right, films.chest())
    room.send(right)
    room.end_step(room.begin_step(study_of(right)), "COMPLETED", right)
    assert reported(room) == 1
    room.end_step(room.begin_step(study_of(right)), "DISCONTINUED", *([wrong] if listed else []), reason=WRONG_ENTRY)
    assert room.entry()["state"] == "analysed"
    room.send(wrong)
    assert room.entry()["state"] == ("held" if listed else "analysed")
