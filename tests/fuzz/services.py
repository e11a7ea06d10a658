"""Procedure steps (MPPS) and storage commitment, which a listener answers with what it keeps in its database.

The node has two films, documents that a destination has taken, and requests about them on record; the messages of an
input mostly speak of these, and of one step. What is wrong is mostly in their data sets. Inputs as in `connections`.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from cxr_node.plan import open_store
from cxr_node.store import commitments, results
from cxr_node.store.results import Written
from tests.films import chest
from tests.fuzz import seeds, wire
from tests.fuzz.connections import play
from tests.fuzz.elements import worsened
from tests.fuzz.mutate import mutated
from tests.fuzz.standing import AgainstANode

_MACHINE = b"XRAY1"  # may ask for commitment
_NOBODY = {"host": "127.0.0.1", "port": 9}  # discard: no connection is taken
_FILMS, _DOCUMENTS = 2, 20
_ROOT = "1.2.826.0.1.3680043.9.9."
_CONTEXTS = [(wire.COMMITMENT, wire.IMPLICIT), (wire.MPPS, wire.IMPLICIT)]
_ABOUT_COMMITMENT, _ABOUT_STEPS = 1, 3
_WRONG = 0.7  # of the data sets


class Services(AgainstANode):
    """The DIMSE-N services of a real node, over real sockets."""

    name = "services"
    workers = 8
    answer_seconds = 5.0
    settings: ClassVar = {
        "receive__timeout_seconds": 10,
        "receive__storage_commitment": "pacs",
        "receive__commitment_wait_seconds": 2,
        "eligibility__views": ["NONE"],
        "eligibility__accept_unknown_view": False,
        "destinations": [{"name": "pacs", "ae_title": "PACS", **_NOBODY}],
        "modalities": [{"ae_title": _MACHINE.decode(), **_NOBODY}],
    }

    @contextmanager
    def standing(self, folder: Path) -> Iterator[None]:
        with super().standing(folder):
            self.node.send(*(chest(1, StudyInstanceUID=_study(n), SOPInstanceUID=_film(n)) for n in range(_FILMS)))
            with closing(open_store(self.node.config)) as store, store.transaction() as tx:
                for number in range(_DOCUMENTS):
                    _ask_for(tx, number)
            yield

    def make(self, chance: Random) -> bytes:
        return "\n".join(_script(chance)).encode()

    def talk(self, peer: socket.socket, data: bytes) -> str:
        return play(peer, data.decode("ascii").splitlines())


def _study(number: int) -> str:
    return f"{_ROOT}1.{number % _FILMS}"


def _film(number: int) -> str:
    return f"{_ROOT}2.{number % _FILMS}"


def _document(number: int) -> str:
    return f"{_ROOT}3.{number % _DOCUMENTS}"


def _transaction(number: int) -> str:
    return f"{_ROOT}4.{number % _DOCUMENTS}"


def _ask_for(tx: Any, number: int) -> None:
    """A document that was delivered, and that its destination was asked to commit to."""
    uid, now = _document(number), time.time()
    document = Written(uid, _study(number), 1, "full", "sr", seeds.DX, f"{_ROOT}5", f"outbox/{number}.dcm")
    results.add_document(tx, document, now)
    results.add_delivery(tx, uid, "pacs")
    results.delivered(tx, uid, "pacs", now, 0x0000)
    commitments.begin(tx, _transaction(number), "pacs", [uid], now)


def _script(chance: Random) -> Iterator[str]:
    calling = _MACHINE if chance.random() < 0.2 else b"FUZZ"
    yield f"send {wire.associate(wire.contexts(_CONTEXTS), wire.user_information(), calling=calling).hex()}"
    yield "await"
    for context, command_set, data in chance.choice((_steps, _requests, _reports))(chance):
        for pdu in wire.message(context, _maybe(command_set, chance, 0.15), _maybe(data, chance, _WRONG)):
            yield f"send {pdu.hex()}"
        yield "await"
    yield chance.choice(("release", "release", "close"))


def _maybe(data: bytes, chance: Random, share: float) -> bytes:
    """A data set or command set that is worse with this probability."""
    if chance.random() >= share:
        return data
    return worsened(data, chance, implicit=True) if chance.random() < 0.8 else mutated(data, chance)


def _steps(chance: Random) -> Iterator[tuple[int, bytes, bytes]]:
    """One step, created and changed up to four times, about films that are here or not."""
    number, uid = chance.randrange(2 * _FILMS), f"{_ROOT}6.{chance.randrange(10**9)}".encode()
    known = (_study(number).encode(), _film(number).encode()) if number < _FILMS else ()
    created = wire.command(wire.N_CREATE, wire.MPPS, uid, data=True)
    yield _ABOUT_STEPS, created, seeds.step(uid, "IN PROGRESS", *known)
    requested = [(0x0003, wire.MPPS), (0x1001, uid)]
    for _ in range(chance.randrange(5)):
        state = chance.choice(("IN PROGRESS", "COMPLETED", "DISCONTINUED"))
        changed = wire.command(wire.N_SET, wire.MPPS, data=True, more=requested)
        yield _ABOUT_STEPS, changed, seeds.step(uid, state, *known)


def _requests(chance: Random) -> Iterator[tuple[int, bytes, bytes]]:
    """Requests for commitment to films that are here, or not."""
    more = [(0x0003, wire.COMMITMENT), (0x1001, wire.COMMITMENT + b".1"), (0x1008, b"\x01\0")]
    for _ in range(chance.choice((1, 2))):
        film = _film(chance.randrange(_FILMS)) if chance.random() < 0.7 else f"{_ROOT}7"
        asked = seeds.result(f"{_ROOT}8.{chance.randrange(10**9)}".encode(), [film.encode()], [])
        yield _ABOUT_COMMITMENT, wire.command(wire.N_ACTION, wire.COMMITMENT, data=True, more=more), asked


def _reports(chance: Random) -> Iterator[tuple[int, bytes, bytes]]:
    """Reports on requests of ours, or on none: some committed, some failed."""
    for _ in range(chance.choice((1, 2))):
        number = chance.randrange(_DOCUMENTS)
        transaction = _transaction(number) if chance.random() < 0.8 else f"{_ROOT}9"
        named = [_document(number + each).encode() for each in range(chance.randrange(4))]
        kept = chance.randrange(len(named) + 1)
        more = [(0x1000, wire.COMMITMENT + b".1"), (0x1002, b"\x01\0" if kept == len(named) else b"\x02\0")]
        command_set = wire.command(wire.N_EVENT_REPORT, wire.COMMITMENT, data=True, more=more)
        yield _ABOUT_COMMITMENT, command_set, seeds.result(transaction.encode(), named[:kept], named[kept:])
