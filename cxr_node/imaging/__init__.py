"""Films as arrays: one path from pixel data to what the network sees and what people are shown.

Training and serving both come through here, so that they cannot diverge.
"""

from cxr_node.imaging.film import PICTURES, Prepared, pixel_digest, prepare, prepare_grey, read_picture, render, resized
from cxr_node.imaging.header import PixelHeader, read_header
from cxr_node.imaging.pixels import Stored, decode

__all__ = [
    "PICTURES",
    "PixelHeader",
    "Prepared",
    "Stored",
    "decode",
    "pixel_digest",
    "prepare",
    "prepare_grey",
    "read_header",
    "read_picture",
    "render",
    "resized",
]
