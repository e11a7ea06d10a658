"""What the process that judges and one that decodes say to each other, message by message, over a socket pair.

    judge -> decoder    the settings; then for each film its order and, where it was prepared, the verdict
    decoder -> judge    ready; then for each film that it failed, or its pixels prepared; and ready again

A failure is told by its code and message, which never carry patient data.
"""

import json
import os
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cxr_node.errors import CxrNodeError, Ineligible, Permanent, Transient, of_the_machine
from cxr_node.imaging.film import Prepared
from cxr_node.message import Message

VARIABLE = "CXR_NODE_DECODER"
"""In the environment: the descriptor of the decoder's end."""
READY = b"ready"
_FAILED, _PREPARED = b"failed", b"prepared"
_KINDS: dict[str, type[CxrNodeError]] = {kind.__name__: kind for kind in (Ineligible, Transient, Permanent)}


@dataclass(frozen=True, slots=True)
class Settings:
    """`root` of the spool; `side`: pixels of a prepared film; `level`, `form` and `file` of the log."""

    root: Path
    side: int
    level: str
    form: Literal["auto", "console", "json"]
    file: Path | None


@dataclass(frozen=True, slots=True)
class Order:
    """A film that is wanted: its path in the spool, relative to the root, and its digest."""

    path: str
    digest: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a film is `let_in`, so that its picture is wanted, and whether it is drawn with black for white."""

    let_in: bool
    inverted: bool = False


def send(line: Connection, said: Settings | Order | Verdict) -> None:
    line.send_bytes(json.dumps(asdict(said), default=str).encode())


def settings(line: Connection) -> Settings:
    """Raises EOFError or OSError where the other end is gone; so do those that follow."""
    said = json.loads(line.recv_bytes())
    return Settings(**said | {"root": Path(said["root"]), "file": Path(said["file"]) if said["file"] else None})


def order(line: Connection) -> Order:
    return Order(**json.loads(line.recv_bytes()))


def verdict(line: Connection) -> Verdict:
    return Verdict(**json.loads(line.recv_bytes()))


def answer(line: Connection, outcome: Prepared | Exception) -> None:
    """Tell what came of a film. A failure that the taxonomy does not know is told as a bug."""
    if isinstance(outcome, Exception):
        line.send_bytes(_FAILED)
        line.send_bytes(json.dumps(_told(outcome)).encode())
    else:
        line.send_bytes(_PREPARED)
        line.send_bytes(np.ascontiguousarray(outcome, np.float32).data)


def answered(line: Connection, side: int) -> Prepared | Exception | None:
    """What came of a film; None where the decoder is ready for the next one."""
    kind = line.recv_bytes()
    if kind == READY:
        return None
    kept = line.recv_bytes()
    if kind == _FAILED:
        return _failure(json.loads(kept))
    return np.frombuffer(kept, np.float32).reshape(side, side)


def is_bug(failure: Exception) -> bool:
    """Whether neither the film nor the machine explains it."""
    return not isinstance(failure, CxrNodeError) and not of_the_machine(failure)


def _told(failure: Exception) -> dict[str, Any]:
    if isinstance(failure, MemoryError):
        return {"kind": "memory"}
    if isinstance(failure, OSError) and failure.errno is not None:
        return {"kind": "machine", "errno": failure.errno}
    if not isinstance(failure, CxrNodeError):
        what = Message("internal error ({kind}); the log has the details", kind=type(failure).__name__)
        failure = Permanent("BUG", what)
    why = failure.message
    reason = why.to_json() if isinstance(why, Message) else why
    return {"kind": type(failure).__name__, "code": failure.code, "reason": reason}


def _failure(said: dict[str, Any]) -> Exception:
    if said["kind"] == "memory":
        return MemoryError()
    if said["kind"] == "machine":
        return OSError(said["errno"], os.strerror(said["errno"]))
    reason = said["reason"]
    return _KINDS[said["kind"]](said["code"], Message.from_json(reason) if isinstance(reason, list) else reason)
