"""From a data set to stored values: the only place where pixel data are decoded."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import uid
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder

from cxr_node.errors import Ineligible, Permanent, of_the_machine
from cxr_node.imaging import codestream, jpeg, rle
from cxr_node.imaging.header import PixelHeader, read, read_header
from cxr_node.message import Message

Stored = NDArray[Any]
"""Stored values, (rows, columns): uint8, uint16, int8 or int16, without modality or VOI transformation."""

NATIVE = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian)

DECODERS: Mapping[str, str] = {
    uid.ExplicitVRBigEndian: "",
    uid.JPEGBaseline8Bit: "pillow",
    uid.JPEGExtended12Bit: jpeg.NAME,
    uid.JPEGLossless: jpeg.NAME,
    uid.JPEGLosslessSV1: jpeg.NAME,
    uid.JPEGLSLossless: "pyjpegls",
    uid.JPEGLSNearLossless: "pyjpegls",
    uid.JPEG2000Lossless: jpeg.NAME,
    uid.JPEG2000: jpeg.NAME,
}
"""The plugin of pydicom that decodes each further transfer syntax: the fastest exact one (for a film of 7.5 million
pixels JPEG-LS takes 97 ms with CharLS and 400 with libjpeg, baseline JPEG 9 ms with Pillow and 41 with libjpeg).
RLE has `rle`."""

jpeg.install()


def decode(dataset: pydicom.Dataset) -> Stored:
    """The stored values of a film, (rows, columns), unused bits removed and the sign extended.

    Raises:
        Ineligible: MULTI_FRAME, COLOUR, BLANK: sound, but nothing that the model may judge.
        Permanent: BAD_HEADER, TOO_LARGE, NO_TRANSFER_SYNTAX, TRANSFER_SYNTAX, NO_PIXEL_DATA, SHORT_PIXEL_DATA,
            PIXEL_SIZE, UNDECODABLE: the film cannot be read, now or later.
    """
    header = read_header(dataset)
    data = read(dataset, "PixelData")
    if not isinstance(data, (bytes, bytearray)) or not data:
        raise Permanent("NO_PIXEL_DATA", Message("The film has no Pixel Data (7FE0,0010), or it is empty."))
    if header.transfer_syntax in NATIVE:
        pixels = _significant_bits(_native(data, header), header)
    elif header.transfer_syntax == uid.RLELossless or header.transfer_syntax in DECODERS:
        pixels = _decompressed(dataset, bytes(data), header)
    else:
        raise Permanent(
            "TRANSFER_SYNTAX",
            Message(
                "The transfer syntax {transfer_syntax} is not one that is decoded.",
                transfer_syntax=header.transfer_syntax,
            ),
        )
    lowest, highest = int(pixels.min()), int(pixels.max())
    if lowest == highest:
        raise Ineligible("BLANK", Message("Every pixel of the film has the value {value}.", value=lowest))
    return pixels


def _native(data: bytes | bytearray, header: PixelHeader) -> Stored:
    if len(data) < header.byte_count:
        raise Permanent(
            "SHORT_PIXEL_DATA",
            Message(
                "Pixel Data has {count} bytes; {rows} x {columns} pixels of {bits} bits take {byte_count}.",
                count=len(data),
                rows=header.rows,
                columns=header.columns,
                bits=header.bits_allocated,
                byte_count=header.byte_count,
            ),
        )
    count = header.rows * header.columns
    values = np.frombuffer(data, np.dtype(f"<u{header.bits_allocated // 8}"), count)
    return values.reshape(header.rows, header.columns)


def _significant_bits(values: Stored, header: PixelHeader) -> Stored:
    """Shift the stored bits to the bottom, clear or sign-extend those above (PS3.5 8.1.1: overlays may live there)."""
    above = header.bits_allocated - 1 - header.high_bit
    unused = header.bits_allocated - header.bits_stored
    if header.signed:
        signed = values.view(np.dtype(f"<i{values.itemsize}"))
        return (signed << above) >> unused if unused else signed
    return (values << above) >> unused if unused else values


def _decompressed(dataset: pydicom.Dataset, data: bytes, header: PixelHeader) -> Stored:
    syntax = uid.UID(header.transfer_syntax)
    # Decoders parse hostile bytes in native code and raise whatever comes to hand (RuntimeError, struct.error,
    # IndexError, even bare Exception): for the node all of that is one fact, that this film does not decode.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if syntax.is_encapsulated:
                _require_sound(get_frame(data, 0, number_of_frames=1), header)
            if syntax == uid.RLELossless:
                pixels = _run_lengths(data, header)
            else:
                pixels, _ = get_decoder(syntax).as_array(dataset, index=0, raw=True, decoding_plugin=DECODERS[syntax])
    except Exception as error:
        if isinstance(error, Permanent) or of_the_machine(error):
            raise
        raise Permanent(
            "UNDECODABLE",
            Message("The {syntax} pixel data do not decode: {why}", syntax=syntax.name, why=_sentence(error)),
        ) from error
    if pixels.shape != (header.rows, header.columns) or pixels.dtype.itemsize > 2:
        raise Permanent(
            "PIXEL_SIZE",
            Message(
                "The film decodes to {shape} {dtype}, which its header denies.", shape=pixels.shape, dtype=pixels.dtype
            ),
        )
    return np.asarray(pixels)


def _run_lengths(data: bytes, header: PixelHeader) -> Stored:
    frame = get_frame(data, 0, number_of_frames=1)
    return _significant_bits(rle.decode(frame, header.rows, header.columns, header.bits_allocated // 8), header)


def _require_sound(frame: bytes, header: PixelHeader) -> None:
    """Nothing is decoded that is cut off, would be larger than the film, or have other components beside its one."""
    if codestream.is_cut_off(frame):
        raise Permanent("UNDECODABLE", Message("The compressed image is cut off: its end (marker EOI) is missing."))
    claim = codestream.claim(frame)
    if claim is not None and claim != (header.rows, header.columns, 1):
        raise Permanent(
            "PIXEL_SIZE",
            Message(
                "The compressed image is {rows} x {columns} with {components} components; the header "
                "says {said_rows} x {said_columns} with one.",
                rows=claim.rows,
                columns=claim.columns,
                components=claim.components,
                said_rows=header.rows,
                said_columns=header.columns,
            ),
        )


def _sentence(error: Exception) -> str:
    """The last line of what a decoder said, which speaks of bytes and markers and never of the patient."""
    lines = str(error).split("\n")
    return f"{lines[-1].strip()[:200].rstrip('.') or type(error).__name__}."
