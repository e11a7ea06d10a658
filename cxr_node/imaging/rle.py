"""RLE frames (PS3.5 annex G): each byte of the samples is a segment of its own, packed as TIFF's PackBits.

Segments are cut out here and unpacked by imagecodecs, which takes a tenth of the time that pydicom needs; its own
function for whole frames believes whatever offsets a frame states.
"""

import struct
from itertools import pairwise

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from cxr_node.errors import Permanent
from cxr_node.message import Message

_HEADER = struct.Struct("<16I")


def decode(frame: bytes, rows: int, columns: int, itemsize: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The samples of a frame, (rows, columns), unsigned, of `itemsize` bytes.

    Raises:
        Permanent: PIXEL_SIZE: a segment stands for more than twice what the film needs (some encoders pad).
        ValueError: the frame is damaged, or a segment stands for less.
    """
    size = rows * columns
    planes = np.empty((size, itemsize), np.uint8)
    for place, segment in enumerate(_segments(frame, itemsize)):  # the most significant byte comes first
        planes[:, itemsize - 1 - place] = _unpacked(segment, size)
    samples: NDArray[np.uint8] | NDArray[np.uint16] = planes.view(f"<u{itemsize}").reshape(rows, columns)
    return samples


def _segments(frame: bytes, wanted: int) -> list[bytes]:
    """The segments of a frame (PS3.5 G.5), of which there must be so many."""
    if len(frame) < _HEADER.size:
        raise ValueError("its header is missing")
    count, *offsets = _HEADER.unpack_from(frame)
    if count != wanted:
        raise ValueError(f"it has {count} segments, and not {wanted}")
    bounds = [*offsets[:count], len(frame)]
    return [frame[begin:end] for begin, end in pairwise(bounds)]


def _unpacked(segment: bytes, size: int) -> NDArray[np.uint8]:
    """The first `size` bytes that a segment stands for: two of its bytes may stand for 128."""
    most = 2 * size
    try:
        found = imagecodecs.packbits_decode(segment, out=most)
    except imagecodecs.PackbitsError as error:
        if "OUTPUT_TOO_SMALL" not in str(error):
            raise ValueError("a segment ends within a run") from error
        raise Permanent(
            "PIXEL_SIZE", Message("A segment of the RLE image stands for more than {most} bytes.", most=most)
        ) from error
    if len(found) < size:
        raise ValueError(f"a segment stands for {len(found)} bytes, and not {size}")
    return np.frombuffer(found, np.uint8, size)
