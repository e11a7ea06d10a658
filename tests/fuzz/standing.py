"""A real node that many connections talk to, and how it bears that."""

import contextlib
import json
import socket
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from tests.fuzz.target import Finding, Target
from tests.node import Node, wait_for

_ANSWERS = {0x02: "accepted", 0x03: "rejected", 0x04: "data", 0x06: "released", 0x07: "aborted"}
_COMPLAINTS = ('"level": "error"', '"level": "critical"', "Traceback", "Exception ignored")
_LEAKED = {"files": 3, "threads": 3, "MB": 150, "parts of films": 0}  # what may be more than before


class AgainstANode(Target):
    """Talks to a node whose listener must neither end, nor complain, nor keep anything.

    `settings`: of the node; `answer_seconds`: how long an answer is waited for; `borne`: events that the log may hold.
    """

    settings: ClassVar[dict[str, Any]] = {}
    answer_seconds: ClassVar[float] = 1.0
    borne: ClassVar[tuple[str, ...]] = ()
    patience = 60.0

    @abstractmethod
    def talk(self, peer: socket.socket, data: bytes) -> str:
        """Do over one connection what the input says; a word for what came of it."""

    @contextmanager
    def standing(self, folder: Path) -> Iterator[None]:
        with Node(folder, log__level="warning", **self.settings) as node:
            wait_for(node.echoes, what="an answer to C-ECHO")
            self.node, self._pid = node, node.pid
            self._read, self._before = 0, self._used()
            yield

    def run(self, data: bytes) -> str:
        try:
            with socket.create_connection(("127.0.0.1", self.node.port), timeout=self.answer_seconds) as peer:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return self.talk(peer, data)
        except ConnectionRefusedError as error:
            raise Finding("the listener does not listen any more") from error
        except OSError:
            return "broken off"

    def look(self, final: bool) -> Iterator[str]:
        yield from self._complaints()
        if self.node.processes("serve") != [self._pid]:
            yield "the daemon is not the one that was started"
        elif not self.node.echoes() and not self.node.echoes():
            yield "the listener does not answer C-ECHO"
        elif final:
            with contextlib.suppress(AssertionError):
                wait_for(lambda: not self._over(), timeout=60)
            yield from (f"the listener keeps {what}" for what in self._over())

    def _complaints(self) -> Iterator[str]:
        """What the node logged as an error, or wrote as a traceback, since the last look."""
        log = self.node.log()
        end = log.rfind("\n") + 1
        new, self._read = log[self._read : end], end
        for line in new.splitlines():
            if any(word in line for word in _COMPLAINTS) and not any(event in line for event in self.borne):
                yield f"the log says: {_outline(line)}"

    def _over(self) -> list[str]:
        now = self._used()
        grown = {what: now[what] - self._before[what] for what in now}
        return [f"{grown[what]:.0f} {what}" for what, few in _LEAKED.items() if grown[what] > few]

    def _used(self) -> dict[str, float]:
        process = Path(f"/proc/{self._pid}")
        pages = int((process / "statm").read_text().split()[1])
        return {
            "files": len(list((process / "fd").iterdir())),
            "threads": len(list((process / "task").iterdir())),
            "MB": pages * 4096 / (1 << 20),
            "parts of films": len(self.node.files("incoming")),
        }


def heard(peer: socket.socket) -> str:
    """The kind of the next PDU; empty where there is none, or not in time."""
    try:
        head = peer.recv(6, socket.MSG_WAITALL)
        if len(head) == 6:
            peer.recv(int.from_bytes(head[2:], "big"), socket.MSG_WAITALL)
            return _ANSWERS.get(head[0], "nonsense")
    except TimeoutError:
        pass
    return ""


def _outline(line: str) -> str:
    """A line of the log as one of its kind: without times, threads and callers, the end of the traceback alone."""
    with contextlib.suppress(ValueError):
        entry = json.loads(line)
        exception = str(entry.get("exception", "")).strip().splitlines()
        return " | ".join([entry["event"], str(entry.get("reason", "")), *exception[-4:]])[:400]
    return line[:200]
