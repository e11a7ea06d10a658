"""The header read warily: what pixels, tables and geometry need, whatever the sender wrote."""

import math
import struct
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pydicom
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue

from cxr_node.domain.eligibility import MAXIMUM_PIXELS
from cxr_node.errors import Ineligible, Permanent
from cxr_node.message import Message

_COLOURS = frozenset({"RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT"})
_UNREADABLE = (
    AttributeError,
    BytesLengthException,
    KeyError,
    NotImplementedError,
    OverflowError,
    TypeError,
    ValueError,
    struct.error,
)
"""What pydicom has been seen to raise for an element that does not parse."""


def read(dataset: pydicom.Dataset, keyword: str) -> Any:
    """The value of an element, None where it is absent, empty or does not parse; pydicom's warnings are not passed on.

    A value that pydicom only warns about (a DS of 17 characters, a text in a numeric element) is returned as it is.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = dataset.get(keyword)
        except _UNREADABLE:
            return None
    return None if value is None or (isinstance(value, str) and not value.strip()) else value


def numbers(dataset: pydicom.Dataset, keyword: str) -> tuple[float, ...]:
    """Every value of a numeric element; empty where it is absent or any of them is not a finite number."""
    value = read(dataset, keyword)
    values: Iterable[Any] = value if isinstance(value, (MultiValue, list, tuple)) else [value]
    try:
        parsed = tuple(float(each) for each in values)
    except (ValueError, TypeError, OverflowError):
        return ()
    return parsed if all(math.isfinite(each) for each in parsed) else ()


def text(dataset: pydicom.Dataset, keyword: str) -> str:
    """The first value of an element as upper-case text without padding; empty where it is absent."""
    value = read(dataset, keyword)
    if isinstance(value, (MultiValue, list, tuple)):
        value = value[0] if value else ""
    return "" if value is None else str(value).strip(" \0").upper()


def texts(dataset: pydicom.Dataset, keyword: str) -> tuple[str, ...]:
    """Every value of an element as text without padding; empty where it is absent or holds bytes or items."""
    value = read(dataset, keyword)
    if value is None or isinstance(value, bytes | bytearray | pydicom.Dataset | pydicom.Sequence):
        return ()
    values: Iterable[Any] = value if isinstance(value, (MultiValue, list, tuple)) else [value]
    return tuple(str(each).replace("\x00", "").strip() for each in values)


def items(dataset: pydicom.Dataset, keyword: str) -> Sequence[pydicom.Dataset]:
    """The items of a sequence; none where it is absent, or is no sequence."""
    value = read(dataset, keyword)
    return value if isinstance(value, pydicom.Sequence) else ()


def first_item(dataset: pydicom.Dataset, keyword: str) -> pydicom.Dataset | None:
    """The first item of a sequence, None where there is none."""
    return next(iter(items(dataset, keyword)), None)


@dataclass(frozen=True, slots=True)
class PixelHeader:
    """How one greyscale film is stored (PS3.3 C.7.6.3): bits counted as DICOM does, `high_bit` from zero."""

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    transfer_syntax: str

    @property
    def byte_count(self) -> int:
        """The bytes of one uncompressed frame."""
        return self.rows * self.columns * self.bits_allocated // 8


def read_header(dataset: pydicom.Dataset) -> PixelHeader:
    """The pixel attributes of a film, checked against each other.

    Raises:
        Ineligible: MULTI_FRAME, COLOUR: sound, but nothing that the model may judge.
        Permanent: BAD_HEADER, TOO_LARGE, NO_TRANSFER_SYNTAX: the attributes are missing, of the wrong kind or absurd.
    """
    frames = numbers(dataset, "NumberOfFrames")
    if frames and frames[0] > 1:
        raise Ineligible(
            "MULTI_FRAME", Message("The image has {frames:.0f} frames; a radiograph has one.", frames=frames[0])
        )
    _require_grey(dataset)
    rows, columns = _integer(dataset, "Rows"), _integer(dataset, "Columns")
    if rows < 1 or columns < 1:
        raise Permanent(
            "BAD_HEADER",
            Message("Rows x Columns is {rows} x {columns}: there are no pixels.", rows=rows, columns=columns),
        )
    if rows * columns > MAXIMUM_PIXELS:
        raise Permanent(
            "TOO_LARGE",
            Message(
                "{rows} x {columns} pixels are more than the limit of {most}.",
                rows=rows,
                columns=columns,
                most=MAXIMUM_PIXELS,
            ),
        )
    allocated, stored = _integer(dataset, "BitsAllocated"), _integer(dataset, "BitsStored")
    high = _integer(dataset, "HighBit") if read(dataset, "HighBit") is not None else stored - 1
    if allocated not in (8, 16) or not 1 <= stored <= allocated or not stored - 1 <= high < allocated:
        raise Permanent(
            "BAD_HEADER",
            Message(
                "Bits Allocated {allocated}, Bits Stored {stored}, High Bit {high} do not describe 8- or "
                "16-bit pixels.",
                allocated=allocated,
                stored=stored,
                high=high,
            ),
        )
    return PixelHeader(
        rows, columns, allocated, stored, high, _integer(dataset, "PixelRepresentation") == 1, _transfer_syntax(dataset)
    )


def _require_grey(dataset: pydicom.Dataset) -> None:
    photometric = text(dataset, "PhotometricInterpretation")
    samples = numbers(dataset, "SamplesPerPixel")
    if samples and samples[0] != 1:
        raise Ineligible(
            "COLOUR", Message("The image has {samples:.0f} samples per pixel, not one.", samples=samples[0])
        )
    if not photometric:
        raise Permanent("BAD_HEADER", Message("Photometric Interpretation (0028,0004) is missing."))
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        said = photometric if photometric in _COLOURS else Message("not a known value")
        why = Message("Photometric Interpretation is {said}; it must be MONOCHROME1 or MONOCHROME2.", said=said)
        raise Ineligible("COLOUR", why)


def _integer(dataset: pydicom.Dataset, keyword: str) -> int:
    value = read(dataset, keyword)
    if value is None:
        raise Permanent("BAD_HEADER", Message("{keyword} is missing or unreadable.", keyword=keyword))
    if isinstance(value, bool) or not isinstance(value, int):
        raise Permanent(
            "BAD_HEADER",
            Message(
                "{keyword} is not a whole number (it is of type {kind}).", keyword=keyword, kind=type(value).__name__
            ),
        )
    return int(value)


def _transfer_syntax(dataset: pydicom.Dataset) -> str:
    meta = getattr(dataset, "file_meta", None)
    syntax = text(meta, "TransferSyntaxUID") if meta is not None else ""
    if not syntax:
        raise Permanent("NO_TRANSFER_SYNTAX", Message("The file meta information names no transfer syntax."))
    return syntax
