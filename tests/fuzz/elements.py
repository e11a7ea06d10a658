"""Data sets made worse by someone who knows how they are encoded (PS3.5 7.1): element by element."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from tests.fuzz.mutate import mutated, number

_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_REPRESENTATIONS = (
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
_UNDEFINED = 0xFFFFFFFF
_SEQUENCE = b"\x08\x00\x40\x11"  # (0008,1140), Referenced Image Sequence
_ITEM, _ITEM_END, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"
_VALUES = (
    b"", b"\0", b" ", b"\\" * 64, b"9" * 400, b"-1", b"1e999", b"NaN", b"inf", b"0", b"65535\\65535", b"\xff" * 8,
    b"\x1b$B" + b"\xff" * 9, b"\x1b" * 33, b"A" * 70_000, b"../../etc/passwd", b"1.2." + b"3" * 80, b"1..2",
    b"20269999", b"999Y", b"^^^^^", b"=" * 40, b"ISO_IR 192", b"\\ISO 2022 IR 87", b"ISO_IR 13", b"GB18030",
    b"NO SUCH CHARSET", b"\xe2\x80\xae\xd8\xa7", b"\0" * 300, b"MONOCHROME1", b"RGB", b"{}%s%n", b"PA", b"CHEST",
)  # fmt: skip
"""What stands in headers that went wrong, or were meant to."""


@dataclass(frozen=True, slots=True)
class Element:
    """`head` is the tag and, in Explicit VR, the value representation; `length` as it will be written."""

    tag: bytes
    vr: bytes
    value: bytes
    length: int


def parse(data: bytes, implicit: bool) -> list[Element]:
    """The top-level elements of a sound little-endian data set."""
    found, at = [], 0
    while at < len(data):
        element, at = _element(data, at, implicit)
        found.append(element)
    return found


def _element(data: bytes, at: int, implicit: bool) -> tuple[Element, int]:
    """The element at a place, and where the next one is."""
    tag, vr, at = data[at : at + 4], b"", at + 4
    if not implicit and tag not in (_ITEM, _ITEM_END, _SEQUENCE_END):
        vr, at = data[at : at + 2], at + 2
    if vr and vr not in _LONG:
        length, at = int.from_bytes(data[at : at + 2], "little"), at + 2
    else:
        at += 2 if vr else 0
        length, at = int.from_bytes(data[at : at + 4], "little"), at + 4
    end = at
    if length == _UNDEFINED:
        inner = None
        while inner is None or inner.tag != (_ITEM_END if tag == _ITEM else _SEQUENCE_END):
            inner, end = _element(data, end, implicit)
    else:
        end += length
    return Element(tag, vr, data[at:end], length), end


def encode(elements: list[Element]) -> bytes:
    return b"".join(_encoded(each) for each in elements)


def worsened(data: bytes, chance: Random, implicit: bool) -> bytes:
    """A sound data set with one to six of its elements changed, moved, lost, or joined by others."""
    elements = parse(data, implicit)
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        if elements:
            chance.choice(_CHANGES)(elements, chance)
    return encode(elements)


def _encoded(element: Element) -> bytes:
    if not element.vr:
        return element.tag + struct.pack("<I", element.length) + element.value
    if element.vr in _LONG:
        return element.tag + element.vr + b"\0\0" + struct.pack("<I", element.length) + element.value
    return element.tag + element.vr + struct.pack("<H", element.length & 0xFFFF) + element.value


def _some(elements: list[Element], chance: Random) -> int:
    return chance.randrange(len(elements))


def _revalue(elements: list[Element], chance: Random) -> None:
    at = _some(elements, chance)
    value = chance.choice(_VALUES) if chance.random() < 0.7 else mutated(elements[at].value, chance)
    value += b" " * (len(value) % 2)
    elements[at] = replace(elements[at], value=value, length=len(value))


def _relength(elements: list[Element], chance: Random) -> None:
    at = _some(elements, chance)
    elements[at] = replace(elements[at], length=int.from_bytes(number(chance, 4), "little"))


def _retype(elements: list[Element], chance: Random) -> None:
    at = _some(elements, chance)
    if elements[at].vr:
        vr = chance.choice(_REPRESENTATIONS) if chance.random() < 0.9 else chance.randbytes(2)
        elements[at] = replace(elements[at], vr=vr)


def _retag(elements: list[Element], chance: Random) -> None:
    at = _some(elements, chance)
    other = elements[_some(elements, chance)].tag
    elements[at] = replace(elements[at], tag=other if chance.random() < 0.7 else chance.randbytes(4))


def _lose(elements: list[Element], chance: Random) -> None:
    del elements[_some(elements, chance)]


def _double(elements: list[Element], chance: Random) -> None:
    elements.insert(_some(elements, chance), elements[_some(elements, chance)])


def _shuffle(elements: list[Element], chance: Random) -> None:
    chance.shuffle(elements)


def _nest(elements: list[Element], chance: Random) -> None:
    """A sequence in a sequence in a sequence, to where recursion ends."""
    depth = chance.choice((2, 20, 200, 2000))
    vr = elements[0].vr if elements else b""
    begin = _SEQUENCE + (b"SQ\0\0" if vr else b"") + b"\xff" * 4 + _ITEM + b"\xff" * 4
    end = _ITEM_END + bytes(4) + _SEQUENCE_END + bytes(4)
    value = begin * depth + end * (depth if chance.random() < 0.7 else chance.randrange(depth))
    inner = _ITEM + b"\xff" * 4 + value + end
    elements.insert(_some(elements, chance), Element(_SEQUENCE, vr and b"SQ", inner, _UNDEFINED))


_CHANGES: tuple[Callable[[list[Element], Random], None], ...] = (
    *[_revalue] * 8, *[_retype] * 3, *[_relength, _retag, _lose, _double] * 2, _shuffle, _nest,
)  # fmt: skip
