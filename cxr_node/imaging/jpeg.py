"""A plugin for pydicom's decoders: lossless and 12-bit JPEG with libjpeg-turbo, and JPEG 2000 with OpenJPEG.

Of pydicom's own, those for JPEG (ITU-T T.81, processes 2, 4 and 14) need a library under the GPL or do not know 12
bits; that for JPEG 2000 has the same OpenJPEG, in one thread.
"""

import os
from collections.abc import Mapping

import imagecodecs
from pydicom import uid
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

NAME = "imagecodecs"
DECODER_DEPENDENCIES: Mapping[str, tuple[str, ...]] = dict.fromkeys(
    (uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1, uid.JPEG2000Lossless, uid.JPEG2000), (NAME,)
)
"""What is decoded here, and what for; under this name pydicom looks for it."""

_THREADS = min(4, len(os.sched_getaffinity(0)))
"""For one film of JPEG 2000, which takes ten times as long as any other."""


def install() -> None:
    """Make the plugin known to pydicom, once for a process."""
    for syntax in DECODER_DEPENDENCIES:
        get_decoder(uid.UID(syntax)).add_plugin(NAME, (__name__, decode_frame.__name__))


def is_available(syntax: str) -> bool:
    """As pydicom asks of a plugin."""
    return syntax in DECODER_DEPENDENCIES


def decode_frame(frame: bytes, runner: DecodeRunner) -> bytes:
    """The samples of one frame, little-endian, in as many bytes each as Bits Allocated says.

    A JPEG frame that is cut off decodes, too: `codestream.is_cut_off` tells.
    """
    if runner.transfer_syntax in (uid.JPEG2000Lossless, uid.JPEG2000):
        return _jpeg_2000(frame, runner)
    pixels = imagecodecs.jpeg8_decode(frame)
    return pixels.astype(f"<u{runner.bits_allocated // 8}", casting="safe").tobytes()


def _jpeg_2000(frame: bytes, runner: DecodeRunner) -> bytes:
    """As many bytes a sample as the codestream has, and its sign, which pydicom brings to what the header says."""
    pixels = imagecodecs.jpeg2k_decode(frame, numthreads=_THREADS)
    runner.set_option("bits_allocated", 8 * pixels.dtype.itemsize)
    return pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
