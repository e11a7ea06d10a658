"""What a compressed image says of its own size, read without decoding it.

A header of 100 x 100 in front of a JPEG of 60,000 x 60,000 would make a decoder allocate gigabytes before anyone
compares the two.
"""

import struct

_JPEG = b"\xff\xd8"
_JPEG_2000 = b"\xff\x4f\xff\x51"  # SOC, then SIZ at once (ISO/IEC 15444-1 A.4.1, A.5.1)
_START_OF_FRAME = frozenset({0xF7, *range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_END = frozenset({0xD9, 0xDA})


def size(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) from a JPEG, JPEG-LS or JPEG 2000 codestream; None where the bytes are none of these."""
    try:
        if frame.startswith(_JPEG_2000):
            return _jpeg_2000(frame)
        return _jpeg(frame) if frame.startswith(_JPEG) else None
    except (struct.error, IndexError):
        return None


def _jpeg_2000(frame: bytes) -> tuple[int, int]:
    right, bottom, left, top = struct.unpack_from(">4I", frame, 8)
    return bottom - top, right - left


def _jpeg(frame: bytes) -> tuple[int, int] | None:
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
            rows, columns = struct.unpack_from(">2H", frame, offset + 5)
            return rows, columns
        (length,) = struct.unpack_from(">H", frame, offset + 2)
        offset += 2 + length
    return None
