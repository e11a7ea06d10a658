"""Connections to the listener of a running node: associations that go wrong somewhere.

An input is a script, a line a step: `send` and `slow` (byte by byte) with bytes in hexadecimal, `await` an answer, and
at the end `release` (half-close and wait), `reset` or `close`.
"""

import socket
import struct
from collections.abc import Iterator
from random import Random
from typing import ClassVar

from tests.fuzz import seeds, wire
from tests.fuzz.elements import worsened
from tests.fuzz.mutate import mutated, number
from tests.fuzz.standing import AgainstANode, heard

_SLOW_BYTES = 100
_CONTEXTS = [
    (wire.VERIFICATION, wire.IMPLICIT),
    (wire.DX, wire.IMPLICIT),
    (wire.DX, b"1.2.840.10008.1.2.1"),
    (wire.COMMITMENT, wire.IMPLICIT),
    (wire.MPPS, wire.IMPLICIT),
]


class Connections(AgainstANode):
    """The listener of a real node, over real sockets. Nothing is analysed."""

    name = "connections"
    workers = 12
    answer_seconds = 0.4
    settings: ClassVar = {
        "receive__timeout_seconds": 5,
        "eligibility__views": ["NONE"],
        "eligibility__accept_unknown_view": False,
    }

    def make(self, chance: Random) -> bytes:
        return "\n".join(_script(chance)).encode()

    def talk(self, peer: socket.socket, data: bytes) -> str:
        return play(peer, data.decode("ascii").splitlines())


def _script(chance: Random) -> Iterator[str]:
    user, items = wire.user_information(), wire.contexts(_CONTEXTS)
    if chance.random() < 0.25:
        yield from _sent(_bad_request(items, user, chance), chance)
    else:
        yield f"send {wire.associate(items, user).hex()}"
        yield "await"
        pdus = [each for _ in range(chance.choice((1, 1, 2, 4))) for each in _exchange(chance)]
        yield from _sent(_disturbed(pdus, chance), chance)
    yield chance.choice(("await", "await", ""))
    yield chance.choice(("release", "release", "reset", "close"))


def _bad_request(items: list[bytes], user: list[bytes], chance: Random) -> list[bytes]:
    """A-ASSOCIATE-RQ with items mutated, repeated by the hundred, lost, nested or in another order."""
    for part in (items, user):
        at = chance.randrange(len(part))
        part[at] = chance.choice(
            (mutated(part[at], chance), part[at], part[at] * chance.choice((2, 130)), b"", b"".join(part))
        )
        if chance.random() < 0.3:
            chance.shuffle(part)
    called, calling = (mutated(b"CXR_NODE", chance)[:16] if chance.random() < 0.2 else b"CXR_NODE" for _ in range(2))
    request = wire.associate(items, user, called, calling)
    return [mutated(request, chance) if chance.random() < 0.4 else request]


def _exchange(chance: Random) -> Iterator[bytes]:
    """The PDUs of one message: its command set or data set worsened, or neither."""
    context, command_set, data = _message(chance)
    if chance.random() < 0.4:
        command_set = worsened(command_set, chance, implicit=True)
    if data and chance.random() < 0.4:
        data = mutated(data, chance)
    if chance.random() < 0.2:
        context = chance.randrange(256)
    yield from wire.message(context, command_set, data)


def _message(chance: Random) -> tuple[int, bytes, bytes | None]:
    """A sound message: its presentation context, its command set, and its data set."""
    uid = b"1.2.3." + str(chance.randrange(10**9)).encode()
    service = chance.choice(("echo", "store", "store", "store", "commit", "result", "create", "set"))
    if service == "echo":
        return 1, wire.command(0x0030, wire.VERIFICATION, data=False), None
    if service == "store":
        film = chance.choice(seeds.headers()).renewed(chance)
        context = 3 if film.syntax.is_implicit_VR else 5
        return context, wire.command(0x0001, wire.DX, film.instance, data=True), film.data
    if service in ("commit", "result"):
        more = [(0x0003, wire.COMMITMENT), (0x1001, wire.COMMITMENT + b".1"), (0x1008, b"\x01\0")]
        told = [(0x1000, wire.COMMITMENT + b".1"), (0x1002, b"\x01\0")]
        kind, more = (wire.N_ACTION, more) if service == "commit" else (wire.N_EVENT_REPORT, told)
        return 7, wire.command(kind, wire.COMMITMENT, data=True, more=more), seeds.commitment(uid)
    if service == "create":
        return 9, wire.command(wire.N_CREATE, wire.MPPS, uid, data=True), seeds.step(uid, "IN PROGRESS")
    more = [(0x0003, wire.MPPS), (0x1001, uid)]
    state = chance.choice(("COMPLETED", "DISCONTINUED", "IN PROGRESS"))
    return 9, wire.command(wire.N_SET, wire.MPPS, data=True, more=more), seeds.step(uid, state)


def _disturbed(pdus: list[bytes], chance: Random) -> list[bytes]:
    """The PDUs of an association, with one wrong, too many, missing, out of order, or none of these."""
    at = chance.randrange(len(pdus))
    how = chance.randrange(10)
    if how == 0:
        pdus[at] = mutated(pdus[at], chance)
    elif how == 1:
        pdus[at] = pdus[at][:2] + number(chance, 4) + pdus[at][6:]  # the length of the PDU
    elif how == 2:
        pdus[at] = pdus[at][:6] + number(chance, 4) + pdus[at][10:]  # the length of the value in it
    elif how == 3:
        pdus[at] = pdus[at][:11] + chance.randbytes(1) + pdus[at][12:]  # which part it is of, and whether the last
    elif how == 4:
        pdus.insert(
            at, chance.choice((wire.RELEASE, wire.ABORT, wire.pdu(chance.randrange(256), chance.randbytes(40))))
        )
    elif how == 5:
        del pdus[at]
    elif how == 6:
        chance.shuffle(pdus)
    elif how == 7:
        pdus[at] = pdus[at][: chance.randrange(len(pdus[at]) + 1)]
        del pdus[at + 1 :]
    elif how == 8:
        pdus += [wire.associate(wire.contexts(_CONTEXTS), wire.user_information())]
    return pdus


def _sent(pdus: list[bytes], chance: Random) -> Iterator[str]:
    """The steps that send PDUs: all at once, one by one, each with a wait for an answer, or byte by byte."""
    how = chance.choice(("once", "each", "each", "answered", "slow"))
    if how == "once":
        yield f"send {b''.join(pdus).hex()}"
        return
    for each in pdus:
        yield f"{'slow' if how == 'slow' else 'send'} {each.hex()}"
        if how == "answered":
            yield "await"


def play(peer: socket.socket, steps: list[str]) -> str:
    """Carry a script out; the last that was heard of the node."""
    last = "silent"
    for step in steps:
        word, _, text = step.partition(" ")
        if word == "send":
            peer.sendall(bytes.fromhex(text))
        elif word == "slow":
            data = bytes.fromhex(text)
            for at in range(min(_SLOW_BYTES, len(data))):
                peer.sendall(data[at : at + 1])
            peer.sendall(data[_SLOW_BYTES:])
        elif word == "await":
            last = heard(peer) or last
        elif word == "release":
            peer.sendall(wire.RELEASE)
            peer.shutdown(socket.SHUT_WR)
            while answer := heard(peer):
                last = answer
        elif word == "reset":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return last
