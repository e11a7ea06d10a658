"""The end of the process that judges: it hands films to those that decode, and says what of them is let in.

Where a film kills its decoder the process that judges ends, too, by the same signal: the supervisor accounts for it, as
for every crash, and no second account is kept. A decoder that dies of a film which it has answered for, or of none, is
replaced.
"""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import Literal

import structlog

from cxr_node.decoding import line
from cxr_node.errors import Permanent
from cxr_node.imaging.film import Prepared
from cxr_node.message import Message
from cxr_node.stages.analyse import Admission, Admit
from cxr_node.stages.stage import attempt
from cxr_node.store.studies import Arrival

log = structlog.get_logger()

_COMMAND = (sys.executable, "-m", "cxr_node.decoding")
_DRAWING_SECONDS, _ENDING_SECONDS = 10.0, 5.0
_MOST = 16


def fitting(cores: int, batch_size: int) -> int:
    """How many decoders there should be: one core is for the network, and no more than films are decoded at once."""
    return max(1, min(cores - 1, batch_size, _MOST))


class DecoderDied(Exception):
    """A decoder ended with a film in hand, or could not start; `status` is its exit status, below zero a signal's."""

    def __init__(self, status: int) -> None:
        super().__init__(_how(status))
        self.status = status

    def follow(self) -> None:
        """End this process by the same signal, if it was one."""
        if self.status < 0:
            os.kill(os.getpid(), -self.status)


class Decoders:
    """Processes that decode, `count` of them; not to be shared between threads.

    They start at once; `await_ready` says whether they have.
    """

    def __init__(self, count: int, settings: line.Settings) -> None:
        self._settings = settings
        self._decoders = [_Decoder(settings) for _ in range(count)]

    def await_ready(self) -> None:
        """Return when films can be decoded. Raises Permanent("DECODER") where a process does not start."""
        try:
            while starting := [each for each in self._decoders if each.state == "starting"]:
                self._hear(starting)
        except DecoderDied as died:
            why = Message("a process that decodes films does not start ({how}); the log has more", how=str(died))
            raise Permanent("DECODER", why) from died

    def develop(self, films: Sequence[Arrival], admit: Admit) -> list[Admission | Exception]:
        """What `admit` says of each film as the network sees it, or why there is no such film; in their order.

        The pictures of those that are let in are drawn meanwhile, and afterwards. Raises DecoderDied.
        """
        self._replace_dead()
        left, found = deque(range(len(films))), dict[int, Admission | Exception]()
        in_hand: dict[_Decoder, int] = {}
        while len(found) < len(films):
            for decoder in self._decoders:
                if left and decoder.state == "resting":
                    in_hand[decoder] = left.popleft()
                    decoder.begin(films[in_hand[decoder]])
            for decoder, outcome in self._hear(self._decoders):
                found[in_hand.pop(decoder)] = decoder.judge(outcome, admit)
        return [found[number] for number in range(len(films))]

    def close(self) -> None:
        """Let the pictures in hand be drawn, and end the processes."""
        until = time.monotonic() + _DRAWING_SECONDS
        for decoder in self._decoders:
            decoder.close(max(0.0, until - time.monotonic()))

    def _hear(self, decoders: Sequence["_Decoder"]) -> list[tuple["_Decoder", Prepared | Exception]]:
        """Wait until one of them has something to say; what came of films."""
        speaking, heard = wait([each.line for each in decoders]), []
        for decoder in [each for each in decoders if each.line in speaking]:
            try:
                outcome = decoder.hear()
            except (EOFError, OSError):
                self._bury(decoder)
            else:
                if outcome is not None:
                    heard.append((decoder, outcome))
        return heard

    def _replace_dead(self) -> None:
        """What died while nothing was asked of it, has died of no film."""
        for decoder in [each for each in self._decoders if each.state == "resting" and each.line.poll()]:
            self._bury(decoder)

    def _bury(self, decoder: "_Decoder") -> None:
        """Put another one in the place of one that died. Raises DecoderDied where that is not to be."""
        status, state = decoder.end(), decoder.state
        log.error("decoder.died", how=_how(status), doing=state)
        if state in ("starting", "reading"):
            raise DecoderDied(status)
        self._decoders[self._decoders.index(decoder)] = _Decoder(self._settings)


class _Decoder:
    """One process, and what it is doing."""

    def __init__(self, settings: line.Settings) -> None:
        self.line, theirs = Pipe()
        environment = os.environ | {line.VARIABLE: str(theirs.fileno())}
        with theirs:
            self._process = subprocess.Popen(
                _COMMAND, env=environment, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL
            )
        self._side = settings.side
        self.state: Literal["starting", "resting", "reading", "drawing"] = "starting"
        self._say(settings)

    def begin(self, film: Arrival) -> None:
        self.state = "reading"
        self._say(line.Order(film.path, film.digest))

    def hear(self) -> Prepared | Exception | None:
        """What came of the film in hand; None where it is ready for another. Raises EOFError or OSError
        where the process is gone."""
        outcome = line.answered(self.line, self._side)
        if outcome is None:
            self.state = "resting"
        return outcome

    def judge(self, outcome: Prepared | Exception, admit: Admit) -> Admission | Exception:
        """What `admit` says of a film that came; the process goes on by it."""
        self.state = "drawing"
        if isinstance(outcome, Exception):
            return outcome
        admission = attempt(admit, outcome)
        if isinstance(admission, Exception):
            self._say(line.Verdict(let_in=False))
        else:
            _, assessment = admission
            self._say(line.Verdict(let_in=True, inverted=assessment is not None and assessment.inverted))
        return admission

    def close(self, seconds: float) -> None:
        """Let it finish what it draws for so many seconds, and end it."""
        if self.state == "drawing":
            self.line.poll(seconds)
        self.line.close()
        self.end()

    def end(self) -> int:
        """The exit status of a process that is gone, or has nothing left to do."""
        self.line.close()
        try:
            return self._process.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _say(self, said: line.Settings | line.Order | line.Verdict) -> None:
        """That the other end is gone is noticed by listening to it."""
        with suppress(OSError):
            line.send(self.line, said)


def _how(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"
