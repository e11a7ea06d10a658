"""The line between the daemon and its children: one socket pair each, one word a line.

    parent -> child    config {model digest} {json}, or candidate with the same, and go later; then hints: wake, ping
    child -> parent    standing (a candidate, that it is loaded), ready, failed {code} {json: why}; hints: pong, wake

The end of the line is the end of the child: when the daemon is gone, however it went, the child reads end of file.
"""

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator

from cxr_node.message import Message

VARIABLE = "CXR_NODE_LINK"


class Link:
    """One end. Writing to a dead peer is no error: its end is seen by reading."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._writing = threading.Lock()

    @classmethod
    def pair(cls) -> tuple["Link", socket.socket]:
        """The parent's end, and the socket to hand to the child."""
        ours, theirs = socket.socketpair()
        return cls(ours), theirs

    @classmethod
    def inherited(cls) -> "Link | None":
        """The child's end; None in a process that was not started by the daemon."""
        descriptor = os.environ.pop(VARIABLE, None)
        return cls(socket.socket(fileno=int(descriptor))) if descriptor else None

    def say(self, *words: str) -> None:
        """Write a line whole, however long the other end takes to read it."""
        line = " ".join(words).replace("\n", " ") + "\n"
        with self._writing, contextlib.suppress(OSError):
            self._connection.sendall(line.encode())

    def fail(self, code: str, reason: str) -> None:
        """Say why there is nothing to be done here, so that `failure` gives a message as the message that it was."""
        self.say("failed", code, json.dumps(reason.to_json() if isinstance(reason, Message) else reason))

    def hint(self, word: str) -> None:
        """Write a word without waiting; it is dropped where the other end has hundreds of them still to read."""
        with self._writing, contextlib.suppress(OSError):  # a line as short as this is sent whole or not at all
            self._connection.send(f"{word}\n".encode(), socket.MSG_DONTWAIT)

    def lines(self) -> Iterator[tuple[str, str]]:
        """(word, rest of the line) for each line, until the other end is gone."""
        with contextlib.suppress(OSError, ValueError), self._connection.makefile("r", encoding="utf-8") as stream:
            for line in stream:
                word, _, rest = line.rstrip("\n").partition(" ")
                yield word, rest

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def failure(rest: str) -> tuple[str, str]:
    """The code and the reason in what follows the word `failed`."""
    code, _, kept = rest.partition(" ")
    reason = json.loads(kept)
    return code, Message.from_json(reason) if isinstance(reason, list) else str(reason)


def attend(
    link: Link,
    *,
    on_wake: Callable[[], None],
    on_go: Callable[[], None],
    healthy: Callable[[], bool],
    on_end: Callable[[], None],
) -> None:
    """Answer the parent in a thread of its own: a ping only while the loops are healthy."""

    def listen() -> None:
        for word, _ in link.lines():
            if word == "wake":
                on_wake()
            elif word == "go":
                on_go()
            elif word == "ping" and healthy():
                link.hint("pong")
        on_end()

    threading.Thread(target=listen, name="link", daemon=True).start()
