"""Models beside the one in service: they judge the same films, and nothing follows from what they say."""

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cxr_node.domain.finding import Analysis, ModelIdentity
from cxr_node.domain.job import NewJob
from cxr_node.domain.quality import Assessment, Flag, Reading
from cxr_node.imaging import pixels, prepare
from cxr_node.pipeline import PIPELINE
from cxr_node.stages import beside as beside_stage
from cxr_node.stages.beside import Bench as Judges
from cxr_node.stages.beside import Beside
from cxr_node.stages.shadow import Shadow
from cxr_node.store import assessments, exports, jobs, results
from cxr_node.worker import Lane, Worker
from tests import films
from tests.bench import MODEL, NOON, Bench, add_result, analysis

STEP = next(step for step in PIPELINE if step.kind == "shadow")
ONE, TWO = (ModelIdentity("cxr-shadow", version, letter * 64) for version, letter in (("1.0.0", "a"), ("2.0.0", "b")))


@dataclass
class Network:
    """Stands in for a network that sees films of `size`."""

    size: int
    seen: list[int] = field(default_factory=list)
    films: list[NDArray[np.float32]] = field(default_factory=list)

    @property
    def manifest(self) -> Any:
        return SimpleNamespace(size=self.size)

    def predict(self, batch: NDArray[np.float32]) -> list[float]:
        assert batch.shape[1:] == (self.size, self.size)
        self.seen.append(len(batch))
        self.films += list(batch)
        return [0.6] * len(batch)


def judged(model: ModelIdentity, probability: float) -> Analysis:
    return replace(analysis(probability, "covid19"), model=model)


class Node(Bench):
    """A bench with two models beside the one in service."""

    def begin(self) -> "Node":
        self.networks = {ONE.digest: Network(32), TWO.digest: Network(48)}
        beside = {
            model.digest: Beside(self.networks[model.digest], partial(judged, model))  # type: ignore[arg-type]
            for model in (ONE, TWO)
        }
        stage = Shadow(Judges(self.store, self.spool, beside), self.clock)
        self.worker = Worker(self.store, {"shadow": (STEP, stage)}, "me", lambda: None, self.clock, pseudonym=str)
        return self

    def ask(self, *models: str) -> None:
        """Have every film that came judged by these models."""
        digests = [row["digest"] for row in self.rows("SELECT digest FROM instance ORDER BY id")]
        with self.store.transaction() as tx:
            jobs.enqueue(tx, [NewJob("shadow", digest, model) for digest in digests for model in models], NOON)

    def work(self) -> None:
        while self.worker.run_once(Lane("shadow", ("shadow",))):
            pass

    def states(self) -> list[tuple[str, str | None]]:
        rows = self.rows("SELECT state, error_code FROM job WHERE kind = 'shadow' ORDER BY id")
        return [(row["state"], row["error_code"]) for row in rows]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path).begin()


def test_a_film_that_the_gate_set_right_is_set_right_for_them_too(node: Node) -> None:
    film = films.chest()
    node.send(film)
    node.ask(ONE.digest)
    digest = node.rows("SELECT digest FROM instance")[0]["digest"]
    reading = Reading({"frontal": 1, "lateral": 0, "other": 0, "blank": 0}, {0: 1, 90: 0, 180: 0, 270: 0}, 1, 0, 1)
    with node.store.transaction() as tx:
        assessments.save(tx, digest, Assessment(ONE, reading, (Flag.INVERTED,)), NOON)
    node.work()
    (seen,) = node.networks[ONE.digest].films
    assert np.allclose(seen, 1 - prepare(pixels.decode(film), film, 32))


def test_each_film_is_decoded_once_for_all_of_them(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []

    def counted(dataset: Any) -> Any:
        decoded.append(dataset.SOPInstanceUID)
        return pixels.decode(dataset)

    monkeypatch.setattr(beside_stage, "decode", counted)
    for _ in range(2):
        node.send(films.chest())
    node.ask(ONE.digest, TWO.digest)
    node.work()
    assert [network.seen for network in node.networks.values()] == [[2], [2]]
    assert len(decoded) == 2
    assert node.states() == [("done", None)] * 4


def test_what_they_say_is_stored_and_moves_nothing(node: Node) -> None:
    film = films.chest()
    node.send(film)
    before = node.rows("SELECT * FROM worklist_entry")
    node.ask(ONE.digest)
    node.work()
    assert node.rows("SELECT * FROM worklist_entry") == before
    assert node.rows("SELECT kind FROM job WHERE state = 'ready' AND kind != 'settle'") == [{"kind": "analyse"}]
    with node.store.transaction() as tx:
        digest = tx.rows("SELECT digest FROM instance")[0]["digest"]
        add_result(tx, digest, 0.2)
        found = results.of_study(tx, film.StudyInstanceUID)
        (exported,) = exports.judged(tx, film.StudyInstanceUID)
    assert [(one["model"], one["shadow"], one["finding"]) for one in found] == [
        ("cxr-shadow", True, "covid19"),
        (MODEL.name, False, "pneumonia"),
    ]
    assert (exported.model, exported.probability) == (MODEL.name, 0.2)
    assert "instance.shadowed" in node.events()


def test_a_model_that_is_not_there_is_passed_over_and_no_dead_letter(node: Node) -> None:
    node.send(films.chest())
    node.ask("c" * 64, ONE.digest)
    node.work()
    assert node.states() == [("skipped", "MODEL_UNAVAILABLE"), ("done", None)]


def test_a_film_that_cannot_be_judged_does_not_stop_the_others(node: Node) -> None:
    node.send(films.chest(PixelData=b"\0" * 10))
    node.send(films.chest())
    node.ask(ONE.digest, TWO.digest)
    node.work()
    assert node.states() == [("failed", "SHORT_PIXEL_DATA")] * 2 + [("done", None)] * 2
    assert [network.seen for network in node.networks.values()] == [[1], [1]]


def test_an_instance_that_is_gone_is_failed(node: Node) -> None:
    with node.store.transaction() as tx:
        jobs.enqueue(tx, [NewJob("shadow", "f" * 64, ONE.digest)], NOON)
    node.work()
    assert node.states() == [("failed", "INSTANCE_UNKNOWN")]
