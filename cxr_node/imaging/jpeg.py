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


def install() -> None:
    """Make the plugin known to pydicom, once for a process."""
    for syntax in DECODER_DEPENDENCIES:
        get_decoder(uid.UID(syntax)).add_plugin(NAME, (__name__, decode_frame.__name__))


def is_available(syntax: str) -> bool:
    """As pydicom asks of a plugin."""
    return syntax in DECODER_DEPENDENCIES


def decode_frame(frame: bytes, runner: DecodeRunner) -> bytes:
    """The samples of one frame, little-endian, in as many bytes each as Bits Allocated says.

    A frame that is cut off decodes, too: `codestream.is_cut_off` tells.
    """
    pixels = imagecodecs.jpeg8_decode(frame)
    return pixels.astype(f"<u{runner.bits_allocated // 8}", casting="safe").tobytes()
