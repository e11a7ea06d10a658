"""What a process that decodes does and says, with its end of the line in a thread of this one."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import structlog
from pydicom.dataset import FileDataset

from cxr_node.decoding import line
from cxr_node.decoding.pool import fitting
from cxr_node.decoding.process import Decoder, serve
from cxr_node.errors import CxrNodeError, Ineligible, Permanent, Transient
from cxr_node.imaging import decode, prepare, read_picture, render
from cxr_node.message import Message
from cxr_node.spool import Spool
from tests import films

SIDE = 128
DIGEST = "a" * 64


class Line:
    """The judge's end, and a decoder at the other one."""

    def __init__(self, root: Path) -> None:
        self.spool = Spool(root, 0)
        self.spool.prepare()
        self.end, self._theirs = Pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(EOFError, OSError), self._theirs:
            serve(self._theirs, Decoder(self.spool, SIDE))

    def ask(self, film: FileDataset) -> np.ndarray | Exception | None:
        film.save_as(self.spool.root / "film.dcm", enforce_file_format=True)
        assert line.answered(self.end, SIDE) is None, "it is ready first"
        line.send(self.end, line.Order("film.dcm", DIGEST))
        return line.answered(self.end, SIDE)

    def judge(self, verdict: line.Verdict) -> None:
        """Returns when the decoder is ready again."""
        line.send(self.end, verdict)
        assert self.end.poll(60)

    @property
    def picture(self) -> Path:
        return self.spool.picture(DIGEST)

    def close(self) -> None:
        self.end.close()
        self._thread.join(60)
        assert not self._thread.is_alive()


@pytest.fixture
def decoder(tmp_path: Path) -> Iterator[Line]:
    made = Line(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("inverted", [False, True])
def test_a_film_is_prepared_and_when_it_is_let_in_drawn(decoder: Line, inverted: bool) -> None:
    film = films.chest()
    prepared = decoder.ask(film)
    assert isinstance(prepared, np.ndarray)
    assert np.array_equal(prepared, prepare(decode(film), film, SIDE))
    assert not decoder.picture.exists(), "nobody has said how it is to be drawn"
    decoder.judge(line.Verdict(let_in=True, inverted=inverted))
    assert np.array_equal(read_picture(decoder.picture), render(decode(film), film, inverted=inverted))


def test_a_film_that_is_not_let_in_leaves_no_picture_and_the_next_one_is_taken(decoder: Line) -> None:
    for _ in range(2):
        assert isinstance(decoder.ask(films.chest()), np.ndarray)
        decoder.judge(line.Verdict(let_in=False))
    assert not decoder.picture.exists()


def test_a_film_that_does_not_decode_says_why_and_the_next_one_is_taken(decoder: Line) -> None:
    failure = decoder.ask(films.chest(PixelData=b"\0" * 10))
    assert isinstance(failure, Permanent)
    assert (failure.code, failure.message[:17]) == ("SHORT_PIXEL_DATA", "Pixel Data has 10")
    assert isinstance(failure.message, Message)
    assert isinstance(decoder.ask(films.chest(NumberOfFrames=2)), Ineligible)
    assert isinstance(decoder.ask(films.chest()), np.ndarray)


def test_a_picture_that_the_disk_does_not_take_is_told_and_the_next_film_is_taken(decoder: Line) -> None:
    decoder.picture.mkdir(parents=True)
    with structlog.testing.capture_logs() as logs:
        decoder.ask(films.chest())
        decoder.judge(line.Verdict(let_in=True))
    assert [(entry["event"], entry["code"]) for entry in logs] == [("picture.unwritten", "DISK_FULL")]
    assert isinstance(decoder.ask(films.chest()), np.ndarray)


@pytest.mark.parametrize(
    "failure",
    [
        Ineligible("COLOUR", Message("{count} samples", count=3)),
        Permanent("UNPARSEABLE", "a sentence"),
        Transient("DISK_FULL", Message("the disk is full")),
    ],
)
def test_what_a_film_was_refused_for_comes_over_the_line_as_it_was(failure: CxrNodeError) -> None:
    found = over_the_line(failure)
    assert type(found) is type(failure)
    assert isinstance(found, CxrNodeError)
    assert (found.code, found.message, type(found.message)) == (failure.code, failure.message, type(failure.message))


def test_the_trouble_of_the_machine_is_told_from_that_of_the_film() -> None:
    unreadable = over_the_line(OSError(errno.EIO, os.strerror(errno.EIO), "/a/file"))
    assert isinstance(unreadable, OSError)
    assert unreadable.errno == errno.EIO
    assert isinstance(over_the_line(MemoryError()), MemoryError)


@pytest.mark.parametrize("bug", [ValueError("Doe^Jane"), OSError("Doe^Jane")])
def test_a_bug_is_told_by_its_kind_without_its_words(bug: Exception) -> None:
    found = over_the_line(bug)
    assert isinstance(found, Permanent)
    assert (found.code, found.message) == ("BUG", f"internal error ({type(bug).__name__}); the log has the details")


def over_the_line(failure: Exception) -> object:
    ours: Connection
    ours, theirs = Pipe()
    with ours, theirs:
        line.answer(theirs, failure)
        return line.answered(ours, SIDE)


@pytest.mark.parametrize(("cores", "batch", "count"), [(1, 8, 1), (2, 8, 1), (4, 8, 3), (16, 8, 8), (64, 64, 16)])
def test_a_core_is_left_to_the_network(cores: int, batch: int, count: int) -> None:
    assert fitting(cores, batch) == count
