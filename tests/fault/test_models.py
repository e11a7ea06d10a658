"""Several models in one node: one beside the other that fails, and one that takes over from another in a burst."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from cxr_node.inference.build import WEIGHTS
from cxr_node.inference.manifest import Manifest
from tests.documents import values
from tests.fault.damage import data_set
from tests.films import chest
from tests.models import CLASSES, small_model
from tests.node import Node, wait_for

pytestmark = pytest.mark.fault

POISON = """
import os, signal, sys
if {role!r} in sys.orig_argv:
    def deadly(event, arguments):
        if event == "open" and str(arguments[0]).endswith({name!r}):
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(deadly)
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two versions of a model, and another model."""
    folder = tmp_path_factory.mktemp("models")
    small_model(folder, "cxr-a", "1.0.0", seed=1)
    small_model(folder, "cxr-a", "2.0.0", seed=2)
    small_model(folder, "cxr-covid", "1.0.0", seed=3, **CLASSES)
    return folder


def begun(folder: Path, models: Path, **overrides: Any) -> Node:
    known: dict[str, Any] = {"model__name": "cxr-a", "model__version": "1.0.0", "model__directory": str(models)}
    return Node(folder, **(known | overrides))


def poisoned(folder: Path, role: str, name: str) -> dict[str, str]:
    """The environment in which a role's process dies when it opens a file of this name."""
    (folder / "poison").mkdir()
    (folder / "poison" / "sitecustomize.py").write_text(POISON.format(role=role, name=name), "utf-8")
    return {"PYTHONPATH": str(folder / "poison")}


def judged_by(study: dict[str, Any], *, shadow: bool = False) -> list[str]:
    return [f"{one['model']}:{one['version']}" for one in study["results"] if one["shadow"] is shadow]


def test_films_are_judged_by_all_and_reported_by_one(tmp_path: Path, models: Path) -> None:
    film = chest()
    with begun(tmp_path, models, model__shadow=["cxr-covid", "cxr-a:2.0.0"]) as node:
        node.send(film)
        (study,) = node.wait_final(film.StudyInstanceUID)
        assert judged_by(study) == ["cxr-a:1.0.0"]
        assert sorted(judged_by(study, shadow=True)) == ["cxr-a:2.0.0", "cxr-covid:1.0.0"]
        assert len(study["outputs"]) == 2
        (entry,) = node.worklist()
        assert entry["probability"] == study["results"][0]["probability"]
        assert [one["reason"] for one in node.status()["shadow"]] == [None, None]


def test_a_film_that_kills_the_shadows_holds_the_model_in_service_up_by_nothing(tmp_path: Path, models: Path) -> None:
    films = [chest() for _ in range(4)]
    node = Node(tmp_path)
    digest = hashlib.sha256(data_set(node.written(films[1]))).hexdigest()
    environment = poisoned(tmp_path, "shadow", f"{digest}.dcm")
    with begun(tmp_path, models, environment=environment, model__shadow=["cxr-covid"]) as node:
        node.analysing()
        (child,) = node.processes("infer")
        node.send(*films)

        studies = node.wait_final(*(film.StudyInstanceUID for film in films), timeout=240)

        assert [judged_by(study) for study in studies] == [["cxr-a:1.0.0"]] * 4
        assert [len(study["outputs"]) for study in studies] == [2] * 4
        assert [judged_by(study, shadow=True) for study in studies] == [
            [] if film is films[1] else ["cxr-covid:1.0.0"] for film in films
        ]
        assert node.processes("infer") == [child]
        assert [row["kind"] for row in node.rows("SELECT kind FROM job WHERE state = 'failed'")] == ["shadow"]
        assert node.status()["ready"]


def test_a_shadow_that_cannot_be_loaded_is_told_and_passed_over(tmp_path: Path, models: Path) -> None:
    film, own = chest(), tmp_path / "models"
    small_model(own, "cxr-a")
    broken = small_model(own, "cxr-b")
    broken.weights.write_bytes(broken.weights.read_bytes()[:-1])
    with begun(tmp_path, own, model__shadow=["cxr-b", "cxr-gone"]) as node:
        node.send(film)
        (study,) = node.wait_final(film.StudyInstanceUID)
        assert judged_by(study) == ["cxr-a:1.0.0"]
        assert len(study["outputs"]) == 2
        found = node.status()
        assert (found["ready"], found["dead_letters"]) == (True, 0)
        by_name = {one["model"]: one["reason"] for one in found["shadow"]}
        assert f"{WEIGHTS} of the model cxr-b 1.0.0 is not as released" in by_name["cxr-b:1.0.0"]
        assert "There is no model cxr-gone" in by_name["cxr-gone"]
        assert "job.skipped" in [event["event"] for event in study["events"]]


def report_of(node: Node, study: dict[str, Any]) -> Dataset:
    """The newest report of a study, as it lies in the outbox."""
    return dcmread(node.data / [one for one in study["outputs"] if one["kind"] == "sr"][-1]["path"])


def roles(study: dict[str, Any]) -> list[tuple[str, str]]:
    return [(f"{one['model']}:{one['version']}", one["role"]) for one in study["results"]]


def test_a_further_model_is_in_the_report_and_a_damaged_one_is_said_to_be_lacking(tmp_path: Path) -> None:
    own, films = tmp_path / "models", [chest() for _ in range(3)]
    small_model(own, "cxr-a")
    beside = small_model(own, "cxr-b", **CLASSES)
    whole = beside.weights.read_bytes()
    with begun(tmp_path, own, model__further=["cxr-b"]) as node:
        node.send(films[0])
        (study,) = node.wait_final(films[0].StudyInstanceUID)
        assert roles(study) == [("cxr-a:1.0.0", "service"), ("cxr-b:1.0.0", "further")]
        assert values(report_of(node, study), "111017") in (["111241"], ["111242"])
        assert node.status()["further"] == [{"model": "cxr-b:1.0.0", "reason": None}]

        beside.weights.write_bytes(whole[:-1])
        (child,) = node.processes("further")
        os.kill(child, signal.SIGKILL)
        wait_for(lambda: node.status()["further"][0]["reason"], what="the damaged model to be missed")
        node.send(films[1])
        (study,) = node.wait_final(films[1].StudyInstanceUID)
        assert roles(study) == [("cxr-a:1.0.0", "service")]
        assert len(study["outputs"]) == 2
        report = report_of(node, study)
        assert values(report, "111017") in (["111243"], ["111244"])
        assert "Image 1: not analysed by cxr-b 1.0.0: the model is not there" in values(report, "121106")
        found = node.status()
        assert (found["ready"], found["dead_letters"]) == (True, 1)
        assert f"{WEIGHTS} of the model cxr-b 1.0.0 is not as released" in found["further"][0]["reason"]
        assert {entry["state"] for entry in node.worklist()} == {"analysed"}

        beside.weights.write_bytes(whole)
        node.terminate()
        node.start()
        assert node.command("requeue", "--failed").returncode == 0
        node.send(films[2])
        studies = node.wait_final(*(film.StudyInstanceUID for film in films[1:]))
        assert [roles(study)[-1] for study in studies] == [("cxr-b:1.0.0", "further")] * 2
        assert node.status()["dead_letters"] == 0


def test_a_further_model_that_comes_into_service_is_a_further_one_again_afterwards(
    tmp_path: Path, models: Path
) -> None:
    films = [chest() for _ in range(4)]
    with begun(tmp_path, models, model__further=["cxr-covid"], model__shadow=["cxr-a:2.0.0"]) as node:
        found = []
        for film, command in zip(films, [(), ("activate", "cxr-covid"), ("rollback",), ()], strict=True):
            if command:
                assert node.command("models", *command).returncode == 0
            node.send(film)
            found += [roles(study) for study in node.wait_final(film.StudyInstanceUID)]
        before, during, after, _ = found
        assert set(before) == {("cxr-a:1.0.0", "service"), ("cxr-covid:1.0.0", "further"), ("cxr-a:2.0.0", "shadow")}
        assert set(during) == {("cxr-covid:1.0.0", "service"), ("cxr-a:2.0.0", "shadow")}
        assert set(after) == set(before)
        assert node.command("requeue", str(films[1].StudyInstanceUID)).returncode == 0
        (again,) = node.wait_final(films[1].StudyInstanceUID)
        assert set(roles(again)) >= {("cxr-a:1.0.0", "service"), ("cxr-covid:1.0.0", "service")}
        assert node.status()["dead_letters"] == 0


class Burst:
    """Machines that send films with dcmtk, one association each, until they are told to stop."""

    def __init__(self, node: Node, machines: int = 3) -> None:
        self.sent: list[Dataset] = []
        self._node, self._over = node, threading.Event()
        self._pool = ThreadPoolExecutor(machines)
        self._tasks = [self._pool.submit(self._machine) for _ in range(machines)]

    def _machine(self) -> None:
        while not self._over.is_set():
            film = chest()
            path = self._node.folder / f"{film.SOPInstanceUID}.dcm"
            film.save_as(path, enforce_file_format=True)
            command = ["/usr/bin/storescu", "-xe", "-aec", "CXR_NODE", "127.0.0.1", str(self._node.port), str(path)]
            subprocess.run(command, check=True, capture_output=True)
            self.sent.append(film)
            self._node.acknowledged.add(str(film.SOPInstanceUID))

    def end(self) -> list[Dataset]:
        self._over.set()
        for task in self._tasks:
            task.result()  # raises where one film was not taken at once
        self._pool.shutdown()
        return self.sent


@pytest.fixture
def burst() -> Iterator[list[Burst]]:
    """Bursts that end with the test, whatever comes of it."""
    begun: list[Burst] = []
    yield begun
    for each in begun:
        each._over.set()


@pytest.mark.peers
def test_another_model_takes_over_and_is_rolled_back_in_a_burst_of_films(
    tmp_path: Path, models: Path, burst: list[Burst]
) -> None:
    with begun(tmp_path, models, model__shadow=["cxr-covid"], receive__max_associations=20) as node:
        node.analysing()
        listener = node.processes("serve")
        burst.append(Burst(node))
        wait_for(lambda: len(burst[0].sent) >= 5, what="the first films")

        activated = node.command("models", "activate", "cxr-a:2.0.0")
        during = len(burst[0].sent)
        wait_for(lambda: len(burst[0].sent) >= during + 5, what="films under the new model")
        rolled_back = node.command("models", "rollback")
        after = len(burst[0].sent)
        wait_for(lambda: len(burst[0].sent) >= after + 5, what="films under the old model")
        films = burst[0].end()

        assert (activated.returncode, activated.stdout) == (0, "cxr-a 2.0.0 is in service\n"), activated.stderr
        assert (rolled_back.returncode, rolled_back.stdout) == (0, "cxr-a 1.0.0 is in service\n"), rolled_back.stderr
        studies = node.wait_final(*(film.StudyInstanceUID for film in films), timeout=300)
        assert node.processes("serve") == listener
        assert {(entry["state"], entry["reason"]) for entry in node.worklist()} == {("analysed", None)}
        assert [len(study["outputs"]) for study in studies] == [2] * len(films)
        models_used = {model for study in studies for model in judged_by(study)}
        assert models_used == {"cxr-a:1.0.0", "cxr-a:2.0.0"}
        assert all("cxr-covid:1.0.0" in judged_by(study, shadow=True) for study in studies)
        assert node.status()["dead_letters"] == 0
        assert len(node.logged("node.ready")) == 1


def test_a_model_that_dies_while_it_is_loaded_does_not_take_over(tmp_path: Path, models: Path) -> None:
    environment = poisoned(tmp_path, "infer", f"cxr-covid/1.0.0/{WEIGHTS}")
    film = chest()
    with begun(tmp_path, models, environment=environment) as node:
        node.analysing()
        found = node.command("models", "activate", "cxr-covid")
        assert found.returncode == 1
        assert "NOT_ACTIVATED: the model in service stays: its process died (SIGKILL)" in found.stderr
        node.send(film)
        (study,) = node.wait_final(film.StudyInstanceUID)
        assert judged_by(study) == ["cxr-a:1.0.0"]
        assert node.status()["ready"]
        assert node.status()["activated"] is None
        assert len(node.processes("infer")) == 1


def test_what_was_wanted_when_the_node_was_killed_is_done_at_its_next_start(tmp_path: Path, models: Path) -> None:
    film = chest()
    with begun(tmp_path, models) as node:
        node.analysing()
        command = subprocess.Popen(
            [sys.executable, "-m", "cxr_node", "models", "activate", "cxr-a:2.0.0", "-c", str(node.file)],
            env=os.environ | {"CXR_NODE_CONFIG": str(node.file)}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_for(lambda: node.rows("SELECT 1 FROM setting WHERE name = 'activations_wanted'"), what="the wish")
        node.kill()
        node.start()
        assert command.communicate(timeout=120)[0] == "cxr-a 2.0.0 is in service\n"
        node.terminate()
        node.start()
        node.send(film)
        (study,) = node.wait_final(film.StudyInstanceUID)
        assert judged_by(study) == ["cxr-a:2.0.0"]
        assert node.status()["activated"]["by"]
        assert [event["version"] for event in node.events("model.activated")] == ["2.0.0"]


def test_a_model_that_was_activated_and_is_gone_keeps_the_node_from_starting(tmp_path: Path) -> None:
    own = tmp_path / "models"
    small_model(own, "cxr-a")
    other: Manifest = small_model(own, "cxr-b")
    with begun(tmp_path, own) as node:
        node.terminate()
        said = node.command("models", "activate", "cxr-b").stdout
        assert said == "cxr-b 1.0.0 is in service from the node's next start on\n"
        other.directory.rename(tmp_path / "away")
        found = node.command("serve")
        assert found.returncode == 78
        assert "cxr-node models rollback" in found.stderr
        assert node.command("models", "rollback").returncode == 0
        node.start()
        assert node.status()["model"] == "cxr-a 1.0.0"
