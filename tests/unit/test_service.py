"""The model in service while the database cannot be written: what is wanted is not forgotten, and nothing ends."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cxr_node import keys
from cxr_node.config import Config
from cxr_node.domain.job import NewJob
from cxr_node.errors import Transient
from cxr_node.plan import database_of
from cxr_node.service import Service
from cxr_node.store import activations, events, jobs, results
from cxr_node.store.activations import Activation, Wanted
from cxr_node.store.db import Store, Tx
from cxr_node.store.results import Written
from tests.models import small_model
from tests.node import wait_for


class Moody(Store):
    """A database that is busy whenever the test says so."""

    readable = writable = True

    @contextmanager
    def reading(self) -> Iterator[Tx]:
        if not self.readable:
            raise Transient("DATABASE_BUSY", "the database stayed busy")
        with super().reading() as tx:
            yield tx

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        if not self.writable:
            raise Transient("DATABASE_BUSY", "the database stayed busy")
        with super().transaction() as tx:
            yield tx


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Moody]:
    store = Moody.open(database_of(config(tmp_path)))
    keys.pseudonyms(tmp_path, create=True)
    assert isinstance(store, Moody)
    yield store
    store.close()


def config(folder: Path, **more: object) -> Config:
    known: dict[str, object] = {
        "node": {"data_dir": folder},
        "model": {"name": "cxr-a", "version": "1.0.0", "directory": folder / "models"},
        "inference": {"device": "cpu"},
    }
    return Config.model_validate(known | more)


def test_a_look_that_cannot_be_had_is_had_later(tmp_path: Path, store: Moody) -> None:
    small_model(tmp_path / "models", "cxr-a")
    service = Service(config(tmp_path), store, str)
    store.readable = False
    with capture_logs() as logs:
        service.look()
    assert [entry["event"] for entry in logs] == ["service.waiting"]


def test_a_succession_that_cannot_be_written_down_is_tried_again(tmp_path: Path, store: Moody) -> None:
    small_model(tmp_path / "models", "cxr-a")
    other = small_model(tmp_path / "models", "cxr-a", "2.0.0", seed=2)
    service = Service(config(tmp_path), store, str)
    before = service.judging()
    service.start()
    try:
        with store.transaction() as tx:
            wanted = Activation(other.name, other.version, other.digest, "jane", time.time())
            activations.want(tx, Wanted((wanted,), "jane", time.time()))
        store.writable = False
        with capture_logs() as logs:
            service.look()
            wait_for(lambda: "service.waiting" in [entry["event"] for entry in logs], what="a vain try")
        assert service.judging() == before
        store.writable = True

        def taken_over() -> bool:
            service.look()
            return service.judging().model_digest == other.digest

        wait_for(taken_over, what="the other model in service")
        with store.reading() as tx:
            assert activations.wanted(tx) is None
            assert activations.stack(tx) == (wanted,)
            told = events.latest(tx, "model.")
        assert told is not None
        assert (told["event"], told["by"], told["before"]) == ("model.activated", "jane", before.model_digest)
    finally:
        service.stop()


@pytest.mark.parametrize("wanted", [True, False])
def test_key_objects_follow_when_the_last_documents_killed_who_wrote_them(
    tmp_path: Path, store: Moody, wanted: bool
) -> None:
    small_model(tmp_path / "models", name="cxr-a", version="1.0.0")
    peers = [{"name": name, "ae_title": name.upper(), "host": "127.0.0.1", "port": 4242} for name in ("pacs", "late")]
    own = {"node": {"data_dir": tmp_path, "mode": "full"}, "report": {"key_objects": wanted}, "destination": peers}
    service = Service(config(tmp_path, **own), store, str)
    written = Written("1.2.9", "1.2.4", 1, "full", "sr", "1.2.840.10008.5.1.4.1.1.88.34", "1.2.8", "outbox/a")
    with store.transaction() as tx:
        results.add_document(tx, written, 1.0)
        for name in ("pacs", "late"):
            results.add_delivery(tx, "1.2.9", name)
        results.delivered(tx, "1.2.9", "pacs", 2.0, 0)
        jobs.enqueue(tx, [NewJob("heatmap", "1.2.4", "1/full")], 1.0)
        jobs.claim(tx, "heatmap", "work-1", 2.0, 300)
        (job,) = jobs.blame(tx, "work-1", 3.0, crashes=1, error="it died")
        service._set_aside(tx, job)
        due = tx.rows("SELECT subject, target FROM job WHERE kind = 'key_objects'")
    assert due == ([{"subject": "1.2.4", "target": "1/full/pacs"}] if wanted else [])
