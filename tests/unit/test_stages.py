"""The stages between a stored film and its documents: each on a real store and spool, run by the real worker."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import JPEGLSLossless

from cxr_node.domain.finding import ModelIdentity, Tier
from cxr_node.domain.quality import Assessment, Flag, Reading
from cxr_node.domain.study import Judging, Waiting
from cxr_node.errors import Ineligible
from cxr_node.imaging import Prepared
from cxr_node.pipeline import PIPELINE
from cxr_node.stages.analyse import Analyse
from cxr_node.stages.compare import Compare
from cxr_node.stages.settle import Settle
from cxr_node.store import assessments, results
from cxr_node.store.db import Row
from cxr_node.worker import Lane, Worker
from tests import films
from tests.bench import JUDGING, Bench, analysis, develop

SHADOWS = ["e" * 64]
STEPS = {step.kind: step for step in PIPELINE}


@dataclass
class Network:
    """Stands in for the network: it answers `probabilities` in turn, and counts how many films it saw at once."""

    probabilities: list[float]

    def __post_init__(self) -> None:
        self.manifest = SimpleNamespace(size=32)
        self.batches: list[int] = []

    def predict(self, batch: NDArray[np.float32]) -> Iterable[float]:
        self.batches.append(len(batch))
        return [self.probabilities.pop(0) for _ in batch]


@dataclass
class GateKeeper:
    """Stands in for the gate: it says of every film what `verdict` is; None says nothing."""

    verdict: Ineligible | Assessment | None = None

    def __call__(self, film: Prepared) -> tuple[Prepared, Assessment | None]:
        if isinstance(self.verdict, Ineligible):
            raise self.verdict
        return film, self.verdict


class Node(Bench):
    """A bench whose worker runs the analysing and settling stages.

    `informed` are told of results by HL7, `asked` for a priority, by tier; `further` models judge for the report.
    """

    judging = JUDGING
    informed: Sequence[str] = ()
    asked: Mapping[Tier, Sequence[str]] = {}
    further: Mapping[str, Judging | None] = {}

    def begin(self, *probabilities: float) -> "Node":
        self.network = Network(list(probabilities))
        common: dict[str, Any] = {"judging": self.judging, "waiting": self.waiting, "clock": self.clock}
        self.gate = GateKeeper()
        seen: Any = (self.network, self.gate, analysis)
        beside = [judging.model_digest for judging in self.further.values() if judging]
        analyse = Analyse(
            self.store, develop(self.spool), *seen, further=beside, shadows=SHADOWS, asked=self.asked, **common
        )
        stages = {
            "analyse": analyse,
            "compare": Compare(self.store, self.spool, **common),
            "settle": Settle(self.judging, self.further, self.waiting, {"full": "report"}, self.informed, self.clock),
        }
        table = {kind: (STEPS[kind], stage) for kind, stage in stages.items()}
        self.worker = Worker(self.store, table, "me", lambda: None, self.clock, pseudonym=str)
        return self

    def work(self, *kinds: str) -> None:
        """Do everything that is due of these kinds, or of all."""
        lane = Lane("test", kinds or ("analyse", "compare", "settle"))
        while self.worker.run_once(lane):
            pass

    def jobs(self, kind: str) -> list[Row]:
        return self.rows("SELECT * FROM job WHERE kind = ? ORDER BY id", kind)

    def states(self) -> list[str]:
        return [row["state"] for row in self.rows("SELECT state FROM instance ORDER BY id")]

    def entry(self) -> Row:
        (row,) = self.rows("SELECT * FROM worklist_entry")
        return row

    def revisions(self) -> list[Row]:
        return self.rows("SELECT * FROM study_revision ORDER BY revision")


def same_study(film: FileDataset, other: FileDataset) -> FileDataset:
    return films.change(other, StudyInstanceUID=film.StudyInstanceUID)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_the_worklist_moves_with_the_analysis_and_documents_wait(node: Node) -> None:
    node.begin(0.9).send(films.chest())
    node.work()
    assert (node.entry()["state"], node.entry()["tier"], node.entry()["probability"]) == ("analysed", "high", 0.9)
    assert node.revisions() == []
    node.clock.turn(119)
    node.work()
    assert node.revisions() == []
    node.clock.turn(1)
    node.work()
    assert [(row["revision"], row["tier"], row["positive"]) for row in node.revisions()] == [(1, "high", 1)]
    assert [(row["subject"], row["target"]) for row in node.jobs("report")] == [
        (node.entry()["study_instance_uid"], "1/full")
    ]


def test_films_that_wait_are_judged_together_and_leave_their_pictures(node: Node) -> None:
    node.begin(0.1, 0.2, 0.3)
    for _ in range(3):
        node.send(films.chest())
    node.work("analyse")
    assert node.network.batches == [3]
    digests = [row["digest"] for row in node.rows("SELECT digest FROM instance")]
    assert all(node.spool.picture(digest).read_bytes()[:4] == b"\x89PNG" for digest in digests)


def test_what_the_gate_refuses_stands_in_the_worklist_with_its_reason_and_leaves_no_picture(node: Node) -> None:
    node.begin(0.9).send(films.chest())
    node.gate.verdict = Ineligible("LATERAL", "The pixels show a lateral view.")
    node.work("analyse")
    assert node.network.batches == []
    assert [(job["state"], job["error_code"]) for job in node.jobs("analyse")] == [("skipped", "LATERAL")]
    assert (node.entry()["state"], node.entry()["reason"]) == ("not_analysed", "The pixels show a lateral view.")
    assert not node.spool.picture(node.rows("SELECT digest FROM instance")[0]["digest"]).exists()


def test_what_the_gate_flags_is_kept_with_the_result_and_goes_when_the_gate_is_off(node: Node) -> None:
    node.begin(0.9, 0.9).send(films.chest())
    reading = Reading({"frontal": 0.9, "lateral": 0.1, "other": 0, "blank": 0}, {0: 0, 90: 1, 180: 0, 270: 0}, 0, 0, 1)
    node.gate.verdict = Assessment(ModelIdentity("gate", "1.0.0", "d" * 64), reading, (Flag.TURNED_90, Flag.UNSURE))
    node.work("analyse")
    digest, study = node.rows("SELECT digest, study_instance_uid FROM instance")[0].values()
    with node.store.reading() as tx:
        assert assessments.flags(tx, digest) == (Flag.TURNED_90, Flag.UNSURE)
        (shown,) = results.of_study(tx, study)
    assert shown["quality"]["flags"] == ["turned_90", "unsure"]
    assert (shown["quality"]["gate"], shown["quality"]["views"]["lateral"]) == ("gate", 0.1)
    node.gate.verdict = None
    with node.store.transaction() as tx:
        tx.execute("UPDATE job SET state = 'ready' WHERE kind = 'analyse'")
    node.work("analyse")
    with node.store.reading() as tx:
        assert assessments.flags(tx, digest) is None
        assert results.of_study(tx, study)[0]["quality"] is None


@pytest.mark.parametrize(
    ("attributes", "state", "code"),
    [
        ({"PixelData": b"\0" * 10}, "failed", "SHORT_PIXEL_DATA"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "skipped", "COLOUR"),
    ],
)
def test_a_film_that_cannot_be_judged_shows_why_and_does_not_stop_the_others(
    node: Node, attributes: dict[str, Any], state: str, code: str
) -> None:
    node.begin(0.9).send(films.chest(**attributes))
    node.send(films.chest())
    node.work("analyse")
    first, second = node.jobs("analyse")
    assert (first["state"], second["state"]) == (state, "done")
    assert first["error_code"] == code
    shown = {row["state"]: row["reason"] for row in node.rows("SELECT state, reason FROM worklist_entry")}
    assert shown == {"not_analysed": first["error"], "analysed": None}
    assert len(node.jobs("settle")) == 2


def test_a_film_whose_file_is_gone_is_failed(node: Node) -> None:
    node.begin().send(films.chest())
    node.spool.path(node.rows("SELECT path FROM instance")[0]["path"]).unlink()
    node.work("analyse")
    assert node.jobs("analyse")[0]["error_code"] == "FILE_MISSING"


def test_a_lateral_within_the_wait_is_in_the_one_revision(node: Node) -> None:
    pa = films.chest()
    node.begin(0.5).send(pa)
    node.clock.turn(90)
    node.send(same_study(pa, films.lateral()))
    node.work()
    node.clock.turn(119)
    node.work()
    assert node.revisions() == []
    node.clock.turn(1)
    node.work()
    (revision,) = node.revisions()
    assert revision["images"].count("2.25.") == 2
    assert len(node.jobs("report")) == 1


def test_the_end_of_an_analysis_does_not_put_off_what_a_release_moved_forward(tmp_path: Path) -> None:
    node, film = Node(tmp_path, waiting=Waiting(120, 600, after_release=10)), films.chest()
    node.begin(0.5).send(film)
    node.intake.released(frozenset({film.StudyInstanceUID}))
    node.work("analyse")
    node.clock.turn(10)
    node.work()
    assert len(node.revisions()) == 1


@pytest.mark.parametrize(("late", "revisions"), [(0.2, 1), (0.6, 1), (0.8, 2)])
def test_a_late_film_is_reported_only_if_it_changes_the_conclusion(node: Node, late: float, revisions: int) -> None:
    first = films.chest()
    node.begin(0.5, late).send(first)
    node.clock.turn(120)
    node.work()
    node.send(same_study(first, films.chest()))
    node.clock.turn(120)
    node.work()
    assert len(node.revisions()) == revisions
    assert [row["target"] for row in node.jobs("report")] == ["1/full", "2/full"][:revisions]
    assert ("study.unchanged" in node.events()) is (revisions == 1)


def test_a_late_film_is_waited_for_like_a_first_one(node: Node) -> None:
    first = films.chest()
    node.begin(0.5, 0.9).send(first)
    node.clock.turn(120)
    node.work()
    node.clock.turn(3600)
    node.send(same_study(first, films.chest()))
    node.clock.turn(119)
    node.work()
    assert len(node.revisions()) == 1
    node.clock.turn(1)
    node.work()
    assert len(node.revisions()) == 2


def test_a_study_without_a_film_to_judge_has_no_documents(node: Node) -> None:
    node.begin().send(films.leg())
    node.clock.turn(120)
    node.work()
    assert node.revisions() == []
    assert node.events()[-1] == "study.not_reported"


def test_running_a_stage_again_changes_nothing(node: Node) -> None:
    node.begin(0.9, 0.9).send(films.chest())
    node.work("analyse")
    before = node.rows("SELECT * FROM result")
    with node.store.transaction() as tx:
        tx.execute("UPDATE job SET state = 'ready' WHERE kind = 'analyse'")
    node.work("analyse")
    assert [row | {"id": None} for row in node.rows("SELECT * FROM result")] == [row | {"id": None} for row in before]
    assert node.events().count("worklist.moved") == 1


def test_the_same_film_in_another_coding_is_kept_and_not_used(node: Node) -> None:
    film = films.chest()
    node.begin(0.5).send(film)
    node.send(films.encode(film, JPEGLSLossless))
    node.work("analyse", "compare")
    assert node.states() == ["current", "repeated"]
    assert node.network.batches == [1]


@pytest.mark.parametrize("changed", [{"PatientName": "Doe^Joan"}, {"AccessionNumber": "A2"}])
def test_a_corrected_identity_makes_a_new_version_and_a_new_revision(node: Node, changed: dict[str, str]) -> None:
    film = films.chest()
    node.begin(0.5, 0.5).send(film)
    node.clock.turn(120)
    node.work()
    node.send(films.change(film, **changed))
    node.work()
    assert node.states() == ["superseded", "current"]
    node.clock.turn(600)
    node.work()
    assert [row["target"] for row in node.jobs("report")] == ["1/full", "2/full"]
    (event,) = [row["detail"] for row in node.rows("SELECT detail FROM event WHERE event = 'instance.corrected'")]
    assert next(iter(changed)) in event
    assert next(iter(changed.values())) not in event


def test_other_pixels_under_the_same_uid_wait_for_a_person(node: Node) -> None:
    film = films.chest()
    node.begin(0.5).send(film)
    node.send(films.change(film, PixelData=bytes(len(film.PixelData)), PatientName="Doe^Joan"))
    node.work()
    assert node.states() == ["current", "quarantined"]
    assert node.entry()["probability"] == 0.5


def test_a_comparison_that_cannot_be_made_keeps_the_first_version(node: Node) -> None:
    film = films.chest()
    node.begin(0.5).send(film)
    node.send(films.change(film, PatientName="Doe^Joan"))
    newer = node.rows("SELECT path FROM instance WHERE state = 'comparing'")[0]["path"]
    node.spool.path(newer).unlink()
    node.work()
    assert node.states() == ["current", "quarantined"]


def test_a_film_that_moves_to_another_study_leaves_the_old_one(node: Node) -> None:
    film = films.chest()
    old = film.StudyInstanceUID
    node.begin(0.9, 0.9).send(film)
    node.work("analyse")
    node.send(films.change(film, StudyInstanceUID="1.2.3.4"))
    node.work("analyse", "compare")
    found = {row["study_instance_uid"]: row for row in node.rows("SELECT * FROM worklist_entry")}
    assert found["1.2.3.4"]["tier"] == "high"
    assert (found[old]["state"], found[old]["tier"]) == ("not_analysed", "none")
    assert found[old]["reason"] == "its films were filed under another study"
