"""Films read, let in by their headers, decoded and prepared in a process of its own, which a film may kill.

`Reader` is the end of the process that judges; `run` is the whole life of the other one, which ends with it. That one
says of each film its UIDs first and then what came of it (see `decoding.line`), so that they are known of a film that
kills it, too.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from cxr_node import fence
from cxr_node.decoding import line
from cxr_node.domain.eligibility import Rules, judge
from cxr_node.domain.instance import Header
from cxr_node.errors import Ineligible, Permanent
from cxr_node.imaging.decoded import DecodedFilm
from cxr_node.imaging.film import Prepared
from cxr_node.imaging.instance import read_instance
from cxr_node.imaging.part10 import read_complete
from cxr_node.inference.memory import keep_freed_memory
from cxr_node.message import Message
from cxr_node.stages.stage import attempt

LONGEST: Final = 120.0
"""Seconds that a film may take to be read, whatever else the machine does."""
_COMMAND: Final = (sys.executable, "-m", "cxr_node.backfill")
_STARTING_SECONDS: Final = 120.0
_TRIES: Final = 2
"""Of a film whose process dies: what killed the first one may have been the machine."""
_PREAMBLE: Final = 128
_MAGIC: Final = b"DICM"


@dataclass(frozen=True, slots=True)
class Uids:
    """Whose a film is; None where it does not say, or nobody could read it."""

    instance: str | None = None
    study: str | None = None
    series: str | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """A film that was read: SHA-256 (hex) of its file, and what a network of the reader's side sees of it, or why not.

    `seconds` is what that took.
    """

    sha256: str
    uids: Uids
    outcome: Prepared | Exception
    seconds: float


class Reader:
    """One process that reads films, begun when it is needed; not to be shared between threads.

    Films are prepared at `side` pixels. `seconds`: as `LONGEST`. A film that kills the process twice is
    Permanent("FILM_KILLS"), one that takes longer Permanent("FILM_HANGS"); others raise what the node's own stages do.
    """

    def __init__(
        self,
        rules: Rules,
        side: int,
        seconds: float = LONGEST,
        command: Sequence[str] = _COMMAND,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rules, self._side, self._seconds, self._command = rules, side, seconds, command
        self._monotonic = monotonic
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None

    def read(self, path: Path) -> Read:
        """What comes of a film. Raises Permanent("DECODER") where the process does not start."""
        began = self._monotonic()
        try:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            return Read("", Uids(), error, self._monotonic() - began)
        for _ in range(_TRIES):
            uids, outcome = self._tried(path)
            if not (isinstance(outcome, Permanent) and outcome.code == "FILM_KILLS"):
                break
        return Read(digest, uids, outcome, self._monotonic() - began)

    def close(self) -> None:
        """End the process."""
        if self._process is not None and self._line is not None:
            self._line.close()
            self._process.kill()
            self._process.wait()
        self._process = self._line = None

    def _tried(self, path: Path) -> tuple[Uids, Prepared | Exception]:
        connection = self._line or self._begun()
        until, uids = self._monotonic() + self._seconds, Uids()
        try:
            connection.send_bytes(os.fsencode(path))
            self._await(connection, until)
            uids = Uids(**json.loads(connection.recv_bytes()))
            self._await(connection, until)
            outcome = line.answered(connection, self._side)
        except TimeoutError:
            self.close()
            why = Message("the film was not read within {seconds:g} s", seconds=self._seconds)
            return uids, Permanent("FILM_HANGS", why)
        except (EOFError, ConnectionError):
            why = Message("the process that read the film died of it ({how})", how=self._buried())
            return uids, Permanent("FILM_KILLS", why)
        assert outcome is not None  # noqa: S101 - it says that it is ready once, at its start
        return uids, outcome

    def _begun(self) -> Connection:
        self._line, theirs = Pipe()
        environment = os.environ | {line.VARIABLE: str(theirs.fileno())}
        with theirs:
            self._process = subprocess.Popen(
                self._command, env=environment, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL
            )
        try:
            self._line.send((self._rules, self._side))
            self._await(self._line, self._monotonic() + _STARTING_SECONDS)
            self._line.recv_bytes()
        except (TimeoutError, EOFError, ConnectionError) as error:
            how = self._buried()
            why = Message("a process that decodes films does not start ({how}); the log has more", how=how)
            raise Permanent("DECODER", why) from error
        return self._line

    def _await(self, connection: Connection, until: float) -> None:
        if not connection.poll(max(0.0, until - self._monotonic())):
            raise TimeoutError

    def _buried(self) -> str:
        """How the process ended, which is gone, or is to go."""
        assert self._process is not None  # noqa: S101 - what is buried was begun
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5.0)
        status = self._process.poll()
        self.close()
        if status is None:
            return "it hangs"
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def run() -> None:
    """The life of the process that reads: until the other end of its line is gone."""
    fence.end_with(os.getppid())  # also where it hangs in a decoder, and cannot see that the other end is gone
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started it
    with suppress(EOFError, OSError), Connection(int(os.environ.pop(line.VARIABLE))) as connection:
        rules, side = connection.recv()
        keep_freed_memory()
        serve(connection, rules, side)


def serve(connection: Connection, rules: Rules, side: int) -> None:
    """Read what the other end names. Raises EOFError or OSError when it is gone."""
    connection.send_bytes(line.READY)
    while True:
        path = Path(os.fsdecode(connection.recv_bytes()))
        header = attempt(header_of, path)
        connection.send_bytes(json.dumps(asdict(uids_of(header))).encode())
        found = (
            header
            if isinstance(header, Exception)
            else attempt(partial(prepared, path, rules=rules, side=side), header)
        )
        line.answer(connection, found)


def header_of(path: Path) -> Header:
    """The header of a film. Raises Ineligible("NO_DICOM") for what is none, else as the node's intake does."""
    with path.open("rb") as stream:
        stream.seek(_PREAMBLE)
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise Ineligible("NO_DICOM", Message("it is no DICOM file (PS3.10)"))
    return read_instance(read_complete(path))


def uids_of(header: Header | Exception) -> Uids:
    """Those of a header, where there is one."""
    if isinstance(header, Exception):
        return Uids()
    return Uids(header.sop_instance_uid, header.study_instance_uid, header.series_instance_uid)


def prepared(path: Path, header: Header, *, rules: Rules, side: int) -> Prepared:
    """What a network of `side` pixels sees of a film. Raises Ineligible where the header does not let it in, else as
    decoding does."""
    if refusal := judge(header, rules):
        raise Ineligible(refusal.code, refusal.reason)
    return DecodedFilm.read(path).prepare(side)
