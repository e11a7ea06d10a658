"""What was delivered and does not stand: taken back by a note, once, what is certain apart from what is not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from cxr_node.dimse.sender import Peer
from cxr_node.domain.commitment import Terms
from cxr_node.domain.correction import Rejection
from cxr_node.domain.outputs import Taste
from cxr_node.domain.reading import Actor
from cxr_node.errors import Permanent, Transient
from cxr_node.stages.reject import Reject
from cxr_node.store import corrections, withdrawal
from tests import films
from tests.bench import JUDGING, deliver
from tests.unit.test_stages import STEPS, same_study
from tests.unit.test_stages_documents import Pacs, Site

ANA = Actor("ana", overrules=True)
KO = "1.2.840.10008.5.1.4.1.1.88.59"


class Archive(Site):
    """A node whose PACS is told what does not stand; `answer` is what a delivery meets after it has come."""

    judging = replace(JUDGING, notes=frozenset({"pacs"}))
    kinds = ("report", "heatmap", "companions", "deliver", "reject")
    answer: Callable[[Dataset], Any] = lambda _: None

    def document(self, *_: Any, **__: Any) -> "Archive":
        super().document({"pacs": Taste()}, {"pacs": Pacs()})
        peer = {"pacs": Peer("pacs", "PACS", "127.0.0.1", 104)}
        sending = deliver(self, peer, {"pacs": Terms("off", 600.0)}, self._takes, notes=self.judging.notes)
        stages = {"deliver": sending, "reject": Reject(self.desk, self.judging)}
        self.worker.stages = {**self.worker.stages, **{kind: (STEPS[kind], stage) for kind, stage in stages.items()}}
        return self

    def _takes(self, _: Peer, path: Path) -> int:
        self.pacs["pacs"].got.append(dcmread(path))
        type(self).answer(self.pacs["pacs"].got[-1])
        return 0x0000

    def withdraw(self) -> None:
        study = self.study
        with self.store.transaction() as tx:
            withdrawal.withdraw(tx, study, "wrong", ANA, judging=self.judging, now=self.clock())

    def release(self) -> None:
        study = self.study
        with self.store.transaction() as tx:
            withdrawal.release(tx, study, ANA, self.judging, self.clock())

    def reject(self, uid: str, title: Rejection = Rejection.QUALITY) -> None:
        study = self.study
        with self.store.transaction() as tx:
            corrections.reject(tx, uid, title, "PACS", note=f"note of {uid}", now=self.clock())
            withdrawal.follow(tx, study, self.judging, self.clock())

    @property
    def study(self) -> str:
        return str(self.entry()["study_instance_uid"])

    def notes(self) -> list[tuple[str, set[str]]]:
        return [(str(one.ConceptNameCodeSequence[0].CodeValue), rejected(one)) for one in self.documents("KO")]

    def documents(self, *modalities: str) -> list[Dataset]:
        return [one for one in self.pacs["pacs"].got if one.Modality in modalities]

    def rest(self, seconds: float = 11.0) -> None:
        self.clock.turn(seconds)
        self.work()
        self.finish()


def rejected(note: Dataset) -> set[str]:
    (study,) = note.CurrentRequestedProcedureEvidenceSequence
    return {i.ReferencedSOPInstanceUID for s in study.ReferencedSeriesSequence for i in s.ReferencedSOPSequence}


def uids(documents: list[Dataset]) -> set[str]:
    return {str(one.SOPInstanceUID) for one in documents}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    archive = Archive(tmp_path)
    archive.begin(0.9, 0.2).send(films.chest(1))
    return archive.document()


def test_what_was_delivered_is_taken_back_under_its_own_patient_and_study(archive: Archive) -> None:
    archive.settle()
    archive.withdraw()
    archive.rest()
    (note,) = archive.documents("KO")
    (report,) = archive.documents("SR")
    assert archive.notes() == [("113037", uids(archive.documents("SR", "OT")))]
    assert (note.SOPClassUID, note.PatientID, note.StudyInstanceUID) == (KO, report.PatientID, report.StudyInstanceUID)
    archive.withdraw()
    archive.rest()
    assert len(archive.notes()) == 1
    assert [row["state"] for row in archive.jobs("deliver")] == ["done"] * 3


def test_a_destination_that_wants_no_notes_gets_none(archive: Archive) -> None:
    archive.judging = JUDGING
    archive.document().settle()
    archive.withdraw()
    archive.rest()
    assert archive.notes() == []
    assert archive.jobs("reject") == []


def test_a_study_that_stands_again_before_the_note_is_written_keeps_its_documents(archive: Archive) -> None:
    archive.settle()
    archive.withdraw()
    archive.release()
    archive.rest()
    assert (archive.notes(), len(archive.documents("SR"))) == ([], 1)
    assert len(archive.revisions()) == 1


def test_documents_that_were_taken_back_come_again_as_others_that_follow_them(archive: Archive) -> None:
    archive.settle()
    archive.withdraw()
    archive.rest()
    archive.release()
    archive.rest()
    first, second = archive.documents("SR")
    assert first.SOPInstanceUID != second.SOPInstanceUID
    (before,) = second.PredecessorDocumentsSequence
    assert before.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    archive.rest(600)
    assert len(archive.notes()) == 1


def test_documents_that_were_called_off_before_they_left_are_taken_up_again(archive: Archive) -> None:
    archive.kinds = ("report", "heatmap")
    archive.settle()
    archive.withdraw()
    assert {row["state"] for row in archive.jobs("deliver")} == {"skipped"}
    archive.release()
    archive.kinds = Archive.kinds
    archive.rest()
    assert sorted(archive.got("pacs")) == ["OT", "SR"]
    assert "study.deliveries_resumed" in archive.events()


def test_a_study_that_is_withdrawn_while_it_is_sent_counts_as_delivered(archive: Archive) -> None:
    """Its lease is lost, so that what comes of the sending is discarded; but the archive has the report."""
    Archive.answer = lambda one: archive.withdraw() if one.Modality == "SR" else None
    try:
        archive.settle()
    finally:
        Archive.answer = lambda _: None
    archive.rest()
    assert archive.got("pacs") == ["SR", "KO"]
    assert archive.notes() == [("113037", uids(archive.documents("SR")))]


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (Transient("NO_ANSWER", "it says nothing"), True), (Transient("ASSOCIATION_LOST", "gone"), True),
        (Transient("UNREACHABLE", "away"), False), (Permanent("PEER_REFUSED", "no"), False),
    ],
)  # fmt: skip
def test_what_a_destination_may_have_is_told_and_what_it_cannot_have_is_not(
    archive: Archive, failure: Exception, told: bool
) -> None:
    def fail(one: Dataset) -> None:
        if one.Modality == "SR":
            raise failure

    Archive.answer = fail
    try:
        archive.settle()
        archive.withdraw()
    finally:
        Archive.answer = lambda _: None
    archive.rest()
    report, picture = uids(archive.documents("SR")), uids(archive.documents("OT"))
    assert archive.notes() == ([("113037", report)] if told else []) + [("113037", picture)]


def test_a_film_that_was_rejected_takes_its_report_with_it_and_a_second_version_of_the_first_comes(
    archive: Archive,
) -> None:
    """The study of one film is reported, then with a second, which is rejected: what follows is no first report."""
    archive.settle()
    (first,) = archive.documents("SR")
    second = same_study(films.chest(1), films.chest(2))
    archive.network.probabilities[:] = [0.99]
    with archive.store.transaction() as tx:  # a high tier of the first is not raised by the second
        tx.execute("UPDATE study_revision SET tier = 'medium'")
    archive.send(second)
    archive.settle()
    archive.reject(str(second.SOPInstanceUID))
    archive.rest()
    reports = archive.documents("SR")
    assert len({one.SOPInstanceUID for one in reports}) == 3
    assert archive.notes() == [("113001", uids(reports[1:2]) | uids(archive.documents("OT")[1:2]))]
    assert first.SOPInstanceUID not in rejected(archive.documents("KO")[0])


def test_a_note_that_cannot_be_written_is_a_dead_letter(archive: Archive) -> None:
    archive.settle()
    for path in (archive.root / "outbox").glob("*.dcm"):
        path.unlink()
    archive.withdraw()
    archive.rest()
    (failed,) = archive.jobs("reject")
    assert (failed["state"], failed["error_code"]) == ("failed", "FILE_MISSING")


def test_a_rejected_film_takes_its_tier_and_its_patient_with_it(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.begin(0.9, 0.2)
    bad = films.chest(7, PatientID="WRONG")
    archive.send(bad)
    archive.send(same_study(bad, films.chest(8, PatientID="RIGHT")))
    archive.work()
    archive.reject(str(bad.SOPInstanceUID), Rejection.WRONG_ENTRY)
    entry = archive.entry()
    assert (entry["patient_id"], entry["tier"], entry["state"]) == ("RIGHT", "none", "analysed")


def test_a_study_of_which_no_film_is_here_is_not_moved(archive: Archive) -> None:
    with archive.store.transaction() as tx:
        assert withdrawal.follow(tx, "1.2.3", archive.judging, 0.0) is None
        with pytest.raises(Permanent, match="no film of this study"):
            withdrawal.release(tx, "1.2.3", ANA, archive.judging, 0.0)


def test_films_that_wait_for_their_analysis_are_not_analysed_until_the_study_stands_again(archive: Archive) -> None:
    archive.withdraw()
    archive.work()
    assert archive.network.batches == []
    archive.release()
    archive.work()
    assert archive.network.batches == [1]
    assert archive.entry()["state"] == "analysed"
