"""What a compressed image says of its own size, read without decoding it.

A header of 100 x 100 in front of a JPEG of 60,000 x 60,000 would make a decoder allocate gigabytes before anyone
compares the two.
"""

import struct
from typing import NamedTuple

_JPEG = b"\xff\xd8"
_JPEG_2000 = b"\xff\x4f\xff\x51"  # SOC, then SIZ at once (ISO/IEC 15444-1 A.4.1, A.5.1)
_START_OF_FRAME = frozenset({0xF7, *range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_END = frozenset({0xD9, 0xDA})
_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"


class Claim(NamedTuple):
    """What a decoder would make room for."""

    rows: int
    columns: int
    components: int


def claim(frame: bytes) -> Claim | None:
    """What a JPEG, JPEG-LS or JPEG 2000 codestream says it is; None where the bytes are none of these."""
    try:
        if frame.startswith(_JPEG_2000):
            return _jpeg_2000(frame)
        return _jpeg(frame) if frame.startswith(_JPEG) else None
    except (struct.error, IndexError):
        return None


def is_cut_off(frame: bytes) -> bool:
    """Whether a JPEG or JPEG-LS image has a scan and no end. Neither marker can stand within compressed data.

    libjpeg fills up what is missing and says nothing, so that half a chest would be judged as a whole one; CharLS takes
    seconds to give up.
    """
    return frame.startswith(_JPEG) and frame.rfind(_END_OF_IMAGE) < frame.rfind(_START_OF_SCAN)


def _jpeg_2000(frame: bytes) -> Claim:
    right, bottom, left, top = struct.unpack_from(">4I", frame, 8)
    (components,) = struct.unpack_from(">H", frame, 40)
    return Claim(bottom - top, right - left, components)


def _jpeg(frame: bytes) -> Claim | None:
    """Walk the marker segments to the frame header (ITU-T T.81 B.2.2; T.87 C.2.2 for JPEG-LS)."""
    offset = len(_JPEG)
    while frame[offset] == 0xFF:
        marker = frame[offset + 1]
        if marker in _END:
            return None
        if marker == 0xFF:
            offset += 1
            continue
        if marker in _START_OF_FRAME:
            return Claim(*struct.unpack_from(">2HB", frame, offset + 5))
        (length,) = struct.unpack_from(">H", frame, offset + 2)
        offset += 2 + length
    return None
