"""Spool and database brought together again: what either has without the other."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs

from cxr_node.imaging.digest import data_set_digest
from cxr_node.reconcile import reconcile
from cxr_node.store.db import Store, Tx
from tests import films
from tests.bench import Bench

NEVER, ALWAYS = 0.0, 1e12
"""Before and after the time of every file."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def orphan(bench: Bench) -> str:
    """A film that was named and synced when the node fell, before its row was written; its digest."""
    with bench.received(films.chest()) as received:
        digest = data_set_digest(received.path)
        bench.spool.keep_film(received.path, received.stream, digest)
    return digest


def bring_together(bench: Bench, older_than: float = ALWAYS) -> None:
    reconcile(bench.store, bench.spool, bench.intake, older_than)


def test_a_film_without_a_row_is_taken_in_as_if_it_had_been_sent(bench: Bench) -> None:
    digest = orphan(bench)
    bring_together(bench)
    (row,) = bench.rows("SELECT * FROM instance")
    assert (row["digest"], row["state"], row["calling_ae_title"]) == (digest, "current", "(recovered)")
    assert bench.spool.path(row["path"]).is_file()
    assert [job["kind"] for job in bench.rows("SELECT kind FROM job ORDER BY id")] == ["analyse", "settle"]
    assert list(bench.spool.incoming.iterdir()) == []


def test_a_film_whose_row_may_be_on_its_way_is_left_alone(bench: Bench) -> None:
    orphan(bench)
    bring_together(bench, older_than=NEVER)
    assert bench.rows("SELECT * FROM instance") == []
    assert len(list(bench.spool.films.glob("*/*.dcm"))) == 1


def test_a_row_without_a_file_is_reported(bench: Bench) -> None:
    bench.send(films.chest())
    (row,) = bench.rows("SELECT digest, path FROM instance")
    bench.spool.path(row["path"]).unlink()
    with capture_logs() as logs:
        bring_together(bench)
    assert [entry["event"] for entry in logs] == ["spool.files_missing"]
    assert bench.events()[-1] == "spool.files_missing"


class Meanwhile:
    """A store in which something happens just before it is read for the `turn`th time."""

    def __init__(self, store: Store, turn: int, happen: Callable[[], object]) -> None:
        self._store, self._left, self._happen = store, turn, happen
        self.transaction = store.transaction

    def reading(self) -> AbstractContextManager[Tx]:
        if self._left == 0:
            self._happen()
        self._left -= 1
        return self._store.reading()


def test_a_film_that_is_committed_meanwhile_is_not_missed(bench: Bench) -> None:
    film = films.chest()
    with bench.received(film) as received:
        turn = int(received.digest[:2], 16)
    store = Meanwhile(bench.store, turn, lambda: bench.send(film))
    with capture_logs() as logs:
        reconcile(cast(Store, store), bench.spool, bench.intake, NEVER)
    assert len(bench.rows("SELECT * FROM instance")) == 1
    assert "spool.files_missing" not in [entry["event"] for entry in logs]


def test_a_row_whose_whole_folder_is_gone_is_reported(bench: Bench) -> None:
    bench.send(films.chest())
    (row,) = bench.rows("SELECT path FROM instance")
    kept = bench.spool.path(row["path"])
    kept.unlink()
    kept.parent.rmdir()
    bring_together(bench)
    assert bench.events()[-1] == "spool.files_missing"


def test_what_cannot_be_read_is_kept_aside(bench: Bench) -> None:
    broken = bench.spool.films / "ab" / ("ab" * 32 + ".dcm")
    bench.spool.write(broken, b"no film")
    bring_together(bench)
    assert [path.read_bytes() for path in bench.spool.quarantine.iterdir()] == [b"no film"]
    assert not broken.exists()


def test_where_both_agree_nothing_happens(bench: Bench) -> None:
    bench.send(films.chest())
    before = bench.events()
    with capture_logs() as logs:
        bring_together(bench)
    assert logs == []
    assert bench.events() == before
