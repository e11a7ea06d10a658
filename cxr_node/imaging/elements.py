"""Walking the elements of an encoded data set, to see whether it is whole (PS3.5 7.1 and A.4).

pydicom takes an element that the end of the file cuts off for a shorter one, or for none.
"""

import os
from typing import BinaryIO, Literal

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"
_GROUP_2 = b"\x02\x00"  # always in Explicit VR
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})


def all_whole(stream: BinaryIO, end: int, implicit: bool, closing: bytes | None = None, *, big: bool = False) -> bool:
    """Pass over the elements from here to the `closing` delimiter, or to `end`; whether all of them are whole.

    `end` is where the data set ends; the stream may hold less, where only what precedes the pixel data was kept. `big`:
    all but the File Meta is in Big Endian.
    """
    while head := stream.read(8):
        meta = head[:2] == _GROUP_2
        tag = _swapped(head[:4]) if big and not meta else head[:4]
        if tag == closing:
            return len(head) == 8
        explicit = meta or not (implicit or tag[:2] == _ITEM[:2])
        length = _length(stream, head, explicit, "big" if big and not meta else "little")
        if length == _UNDEFINED:
            unknown = head[4:6] == b"UN"  # PS3.5 6.2.2: its items are in Implicit VR
            until = _ITEM_END if tag == _ITEM else _SEQUENCE_END
            if not all_whole(stream, end, implicit or unknown, until, big=big):
                return False
        elif length is None or stream.seek(length, os.SEEK_CUR) > end:
            return len(head) < 8 and not any(head)  # a few zeros at the end are somebody's padding
    return closing is None


def _length(stream: BinaryIO, head: bytes, explicit: bool, order: Literal["little", "big"]) -> int | None:
    """The length of an element's value, whose first 8 bytes are `head`; None where the file ends first."""
    if len(head) < 8:
        return None
    if explicit:
        if head[4:6] in _LONG:
            rest = stream.read(4)
            return int.from_bytes(rest, order) if len(rest) == 4 else None
        if head[4:6].isalpha():
            return int.from_bytes(head[6:8], order)
    return int.from_bytes(head[4:8], order)


def _swapped(tag: bytes) -> bytes:
    """A tag with the bytes of group and element in the other order."""
    return tag[1::-1] + tag[:1:-1]
