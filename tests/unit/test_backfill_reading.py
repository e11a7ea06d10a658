"""Films of years: how one is read and judged, and what becomes of one that fails."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest

from cxr_node import tabulating
from cxr_node.backfill.judge import Judge, Work
from cxr_node.backfill.reader import Read, Uids, serve
from cxr_node.config import Config
from cxr_node.decoding import line
from cxr_node.domain.eligibility import Rules
from cxr_node.errors import Ineligible, Permanent, Transient
from cxr_node.imaging import decode, prepare
from tests import films
from tests.models import one_thread, small_model

SIDE = 128


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Work]:
    with one_thread():
        model = small_model(tmp_path_factory.mktemp("models"), "small")
        yield replace(tabulating.work_of(Config()), model=model, device="cpu")


def read(outcome: np.ndarray | Exception) -> Read:
    return Read("a" * 64, Uids("1.2", "1.3", "1.4"), outcome, 0.25)


def test_failures_become_rows_and_do_not_end_their_neighbours(work: Work) -> None:
    film = films.chest(3)
    seen = prepare(decode(film), film, work.side)
    failures = [
        Ineligible("VIEW", "a lateral"), Permanent("TRUNCATED", "half"), Transient("SOURCE_AWAY", "away"),
        OSError(5, "Input/output error"), MemoryError(), KeyError("Doe^Jane"),
    ]  # fmt: skip
    rows = Judge(work, monotonic=lambda: 0.0).rows(
        [("film", read(seen)), *((str(each), read(each)) for each in failures)]
    )
    assert [(row.state, row.code) for row in rows] == [
        ("analysed", None), ("not_analysed", "VIEW"), ("set_aside", "TRUNCATED"), ("left", "SOURCE_AWAY"),
        ("left", "IO_ERROR"), ("set_aside", "NO_MEMORY"), ("set_aside", "BUG"),
    ]  # fmt: skip
    assert "Doe" not in f"{rows[-1].reason}"
    assert rows[0].probability is not None
    assert (rows[0].model, rows[0].gate, rows[0].seconds) == ("small", "cxr-gate:1.0.0", 0.25)


def test_who_reads_says_whose_a_film_is_before_it_is_decoded(tmp_path: Path) -> None:
    ours, theirs = Pipe()

    def run() -> None:
        with suppress(EOFError, OSError), theirs:
            serve(theirs, Rules(), SIDE)

    thread = threading.Thread(target=run)
    thread.start()
    with ours:
        assert ours.recv_bytes() == line.READY
        film = films.chest(5)
        for name, made in (("film", film), ("leg", films.leg(6))):
            ours.send_bytes(os.fsencode(films.write(made, tmp_path / name)))
            assert json.loads(ours.recv_bytes())["study"] == str(made.StudyInstanceUID)
            outcome = line.answered(ours, SIDE)
            if name == "film":
                assert isinstance(outcome, np.ndarray)
                np.testing.assert_array_equal(outcome, prepare(decode(film), film, SIDE))
            else:
                assert isinstance(outcome, Ineligible)
        (tmp_path / "text").write_text("no film")
        ours.send_bytes(os.fsencode(tmp_path / "text"))
        assert json.loads(ours.recv_bytes()) == {"instance": None, "study": None, "series": None}
        outcome = line.answered(ours, SIDE)
        assert isinstance(outcome, Ineligible)
        assert outcome.code == "NO_DICOM"
    thread.join(30)
    assert not thread.is_alive()
