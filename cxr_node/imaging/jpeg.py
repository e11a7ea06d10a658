"""Lossless and 12-bit JPEG (ITU-T T.81, processes 2, 4 and 14) with libjpeg-turbo: a plugin for pydicom's decoders.

pydicom's own plugins for these need either a library under the GPL or one that does not know 12 bits.
"""

from collections.abc import Mapping

import imagecodecs
from pydicom import uid
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

NAME = "imagecodecs"
DECODER_DEPENDENCIES: Mapping[str, tuple[str, ...]] = dict.fromkeys(
    (uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1), (NAME,)
)
"""What is decoded here, and what for; under this name pydicom looks for it."""

_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"


def install() -> None:
    """Make the plugin known to pydicom, once for a process."""
    for syntax in DECODER_DEPENDENCIES:
        get_decoder(uid.UID(syntax)).add_plugin(NAME, (__name__, decode_frame.__name__))


def is_available(syntax: str) -> bool:
    """As pydicom asks of a plugin."""
    return syntax in DECODER_DEPENDENCIES


def decode_frame(frame: bytes, runner: DecodeRunner) -> bytes:
    """The samples of one frame, little-endian, in as many bytes each as Bits Allocated says.

    Raises ValueError for a frame that ends before its image does: libjpeg fills up what is missing and says nothing, so
    that half a chest would be judged as a whole one. Neither of the two markers can stand within compressed data.
    """
    if frame.rfind(_END_OF_IMAGE) < frame.rfind(_START_OF_SCAN):
        raise ValueError("the compressed image has no end (marker EOI)")
    pixels = imagecodecs.jpeg8_decode(frame)
    return pixels.astype(f"<u{runner.bits_allocated // 8}", casting="safe").tobytes()
