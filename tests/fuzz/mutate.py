"""Bytes made worse, without knowing what they mean."""

from collections.abc import Callable
from random import Random

_LENGTHS = (
    0, 1, 2, 3, 7, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF,
    0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF,
)  # fmt: skip
_LARGEST_PIECE = 4096


def mutated(data: bytes, chance: Random, other: bytes = b"") -> bytes:
    """One to eight changes, mostly few; pieces may come from `other`."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        chance.choice(_CHANGES)(changed, chance, other or data)
    return bytes(changed)


def number(chance: Random, size: int) -> bytes:
    """An integer of `size` bytes that programs tend not to expect, in either byte order."""
    value = chance.choice(_LENGTHS) if chance.random() < 0.7 else chance.getrandbits(8 * size)
    return (value & (1 << 8 * size) - 1).to_bytes(size, chance.choice(("little", "big")))


def _place(data: bytearray, chance: Random) -> int:
    return chance.randrange(len(data) + 1)


def _piece(data: bytes | bytearray, chance: Random) -> slice:
    start = chance.randrange(len(data) + 1)
    return slice(start, start + chance.choice((1, 2, 4, 8, 16, chance.randrange(_LARGEST_PIECE))))


def _flip(data: bytearray, chance: Random, _: bytes) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _set(data: bytearray, chance: Random, _: bytes) -> None:
    if data:
        data[chance.randrange(len(data))] = chance.choice((0, 1, 0x1B, 0x20, 0x5C, 0x7F, 0x80, 0xFF))


def _count(data: bytearray, chance: Random, _: bytes) -> None:
    start, size = _place(data, chance), chance.choice((1, 2, 4, 4, 8))
    data[start : start + size] = number(chance, size)


def _remove(data: bytearray, chance: Random, _: bytes) -> None:
    del data[_piece(data, chance)]


def _repeat(data: bytearray, chance: Random, _: bytes) -> None:
    start = _place(data, chance)
    data[start:start] = data[_piece(data, chance)] * chance.choice((1, 1, 2, 16))


def _insert(data: bytearray, chance: Random, other: bytes) -> None:
    start = _place(data, chance)
    data[start:start] = (
        other[_piece(other, chance)] if chance.random() < 0.5 else chance.randbytes(chance.randrange(32))
    )


def _overwrite(data: bytearray, chance: Random, other: bytes) -> None:
    piece = other[_piece(other, chance)]
    start = _place(data, chance)
    data[start : start + len(piece)] = piece


def _cut(data: bytearray, chance: Random, _: bytes) -> None:
    del data[_place(data, chance) :]


_CHANGES: tuple[Callable[[bytearray, Random, bytes], None], ...] = (
    _flip, _flip, _set, _set, _count, _count, _remove, _repeat, _insert, _overwrite, _cut,
)  # fmt: skip
