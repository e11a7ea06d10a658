"""A pool on a real Ray cluster of several processes: the same results, whoever is killed, and no film lost."""

import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from cxr_node.errors import Transient
from cxr_node.inference import golden, manifest
from cxr_node.inference.build import builtin_directory
from cxr_node.inference.manifest import Manifest
from cxr_node.inference.pool import Pool
from cxr_node.inference.pooled import PooledPredictor
from cxr_node.inference.predictor import Predictor
from tests import films
from tests.cluster import PROXY, REPLICA, Cluster
from tests.node import Node, wait_for

pytestmark = [pytest.mark.peers, pytest.mark.timeout(600)]
OLD, NEW = "cxr-pneumonia:1.0.0", "cxr-pneumonia:2.0.0"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool") / "models"
    shutil.copytree(builtin_directory(), folder)
    return folder


@pytest.fixture(scope="module")
def cluster(models: Path) -> Iterator[Cluster]:
    with Cluster(models) as running:
        yield running


def has(cluster: Cluster, called: str) -> bool:
    """Whether a model answers there."""
    with closing(Pool(cluster.address, 60.0)) as pool, suppress(Transient):
        return pool.look(named(called)).digest == named(called).digest
    return False


def serving(cluster: Cluster, called: str, least: int) -> None:
    """The cluster has a model, since an earlier test or from now on."""
    if not has(cluster, called):
        cluster.pool("deploy", called, "--least", str(least))


class Load:
    """Several nodes that ask a pool without rest, each on its own; an answer that differs from this machine's, or a
    failure, ends them."""

    def __init__(self, address: str, model: Manifest, count: int = 3) -> None:
        self.model, self.answers = model, 0
        self._address, self._ending = address, threading.Event()
        self._wanted = {called: Predictor(named(called), "cpu").predict(FILMS) for called in (OLD, NEW)}
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._guarded, daemon=True) for _ in range(count)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def goes_on(self, more: int = 20) -> None:
        """Returns when so many more answers have come; raises what failed."""
        until = self.answers + more
        wait_for(lambda: self._failures or self.answers >= until, what=f"{more} more answers")
        if self._failures:
            raise self._failures[0]

    def _guarded(self) -> None:
        try:
            self._ask()
        except BaseException as error:  # noqa: BLE001 - the test raises it
            self._failures.append(error)

    def _ask(self) -> None:
        with closing(Pool(self._address, 60.0)) as pool:
            while not self._ending.is_set():
                model = self.model
                found = PooledPredictor(model, pool, None).predict(FILMS[:2])
                for one, wanted in zip(found, self._wanted[model.called], strict=False):
                    np.testing.assert_allclose(one.logits, wanted.logits, atol=1e-5)
                self.answers += 1


def named(called: str) -> Manifest:
    return manifest.named(None, called)


FILMS = np.stack([golden.phantom(number, 224) / np.float32(255) for number in range(8)]).astype(np.float32)


def states(cluster: Cluster) -> dict[str, tuple[str, int]]:
    return {
        each["model"]: (each["state"], each["running"]) for each in json.loads(cluster.pool("status", "--json").stdout)
    }


def replicas(cluster: Cluster, count: int) -> set[int]:
    """The processes of so many replicas, as soon as there are so many: their titles change while they work."""
    return wait_for(lambda: found if len(found := set(cluster.processes(REPLICA))) == count else None) or set()


def test_a_pool_gives_what_is_computed_here(cluster: Cluster) -> None:
    serving(cluster, OLD, 2)
    model = named(OLD)
    own = Predictor(model, "cpu")
    with closing(Pool(cluster.address, 60.0)) as pool:
        assert pool.look(model).digest == model.digest
        there = PooledPredictor(model, pool, None)
        for count in (1, 3, 8):
            for one, another in zip(there.predict(FILMS[:count]), own.predict(FILMS[:count]), strict=True):
                np.testing.assert_allclose(one.logits, another.logits, atol=1e-5)
                np.testing.assert_allclose(one.activations, another.activations, atol=1e-4)
        np.testing.assert_allclose(there.probe(FILMS), own.probe(FILMS), atol=1e-5)


def test_no_request_fails_while_replicas_die_and_a_version_is_rolled_out(cluster: Cluster) -> None:
    serving(cluster, OLD, 2)
    replicas(cluster, 2)
    with Load(cluster.address, named(OLD)) as load:
        load.goes_on()
        killed = cluster.kill(REPLICA)
        load.goes_on()
        before = replicas(cluster, 2)  # another is in its place
        load.goes_on()
        cluster.pool("deploy", OLD, "--least", "2")  # the same again: each replica is replaced
        load.goes_on()
        wait_for(lambda: not before & set(cluster.processes(REPLICA)), what="other replicas")
        assert killed not in before
        early = cluster.tried("deploy", NEW, "--least", "1", "--wait", "0")
        assert early.returncode == 1
        assert early.stderr.startswith(f"POOL_DEPLOY: the model {NEW} does not serve in the pool; DEPLOYING")
        wait_for(lambda: has(cluster, NEW), what="a replica of the new version")
        load.model = named(NEW)
        load.goes_on()
        cluster.pool("remove", OLD)
        load.goes_on()
    assert states(cluster) == {NEW: ("RUNNING", 1)}
    again = cluster.tried("remove", OLD)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith(f"POOL_MODEL: the pool has no model {OLD}; there are: {NEW}")


def attempts(node: Node) -> list[tuple[str, int]]:
    """Of each analysis: its state, and how often its process died of it."""
    return [(row["state"], row["crash_count"]) for row in node.rows("SELECT * FROM job WHERE kind = 'analyse'")]


def test_films_wait_for_a_pool_that_does_not_answer(cluster: Cluster, tmp_path: Path) -> None:
    serving(cluster, NEW, 1)
    asked = {"inference__backend": "ray", "inference__address": cluster.address, "inference__fallback": False}
    with Node(tmp_path, inference__answer_seconds=5, **asked) as node:
        node.analysing()
        assert node.status()["device"] == f"pool {cluster.address}"
        looked = node.command("check").stdout
        assert f"ok      pool {NEW}: {cluster.address} has it, digest {named(NEW).digest[:12]}, on cpu" in looked
        stopped = cluster.kill(PROXY, signal.SIGSTOP)
        node.send(films.chest())
        wait_for(lambda: node.logged("job.retry"), what="a retry")
        with suppress(ProcessLookupError):  # Ray has put another in its place by now
            os.kill(stopped, signal.SIGCONT)
        node.wait_final()
        cluster.kill(PROXY)
        node.send(*(films.chest() for _ in range(3)))
        node.wait_final()
        assert node.logged("job.retry")[0]["code"] == "POOL_SLOW"
        assert attempts(node) == [("done", 0)] * 4
        assert not node.logged("pool.away")


def test_this_machine_judges_films_while_the_pool_is_away(cluster: Cluster, tmp_path: Path) -> None:
    serving(cluster, NEW, 1)
    cluster.pool("remove", NEW)
    with Node(tmp_path, inference__backend="ray", inference__address=cluster.address) as node:
        node.analysing()
        film = films.chest()
        node.send(film)
        (here,) = node.wait_final(film.StudyInstanceUID)
        assert node.logged("pool.away")[0]["code"] == "POOL_MODEL"
        assert f"warning pool {NEW}: the pool {cluster.address} does not have" in node.command("check").stdout
        cluster.pool("deploy", NEW, "--least", "1")
        wait_for(lambda: answered(node), what="films that go to the pool again")
        cluster.end()
        for _ in range(2):
            node.send(films.chest())
        node.wait_final()
        assert node.logged("pool.away")[-1]["code"] == "POOL_AWAY"
        assert {*attempts(node)} == {("done", 0)}
        assert not node.logged("job.retry")
    assert here["results"][0]["version"] == "2.0.0"


def answered(node: Node) -> bool:
    """Whether one more film is judged by the pool."""
    node.send(films.chest())
    node.wait_idle()
    return bool(node.logged("pool.back"))


def test_a_cluster_that_is_gone_is_told(cluster: Cluster) -> None:
    cluster.end()
    found = cluster.tried("status")
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith("POOL_CLUSTER: there is no Ray cluster at 127.0.0.1:")
