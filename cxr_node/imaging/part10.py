"""Reading a received data set, and seeing whether all of it came.

A deflated data set is inflated here and not by pydicom, which does it whole: a few hundred kilobytes may stand for
gigabytes.
"""

import os
import zlib
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom import dcmread
from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_file_meta_info
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from cxr_node.errors import Permanent, of_the_machine
from cxr_node.imaging.elements import all_whole
from cxr_node.message import Message

_PREAMBLE = 132
_PIXELS = frozenset({b"\xe0\x7f\x10\x00", b"\xe0\x7f\x08\x00", b"\xe0\x7f\x09\x00"})
_BEFORE_META = 144  # preamble, prefix and the element that says how long the rest of the File Meta is (PS3.10 7.1)
_PIECE = 1 << 20
_HEADER_LIMIT = 16 << 20  # what precedes the pixel data: overlays and an icon at most
_INFLATED_LIMIT = _HEADER_LIMIT + 200_000_000  # a film of 100 million pixels, six times the largest detector's


def read_complete(path: Path, charset: str | None = None) -> Dataset:
    """The data set of a Part 10 file without its pixel data.

    `charset`, where it is given, takes the place of the Specific Character Set that the sender states.

    Raises Permanent("UNPARSEABLE") when it cannot be parsed, and Permanent("TRUNCATED") when it ends within an element;
    OSError and MemoryError when the machine cannot read it.
    """
    try:
        dataset, whole = _parsed(path, header_only=True)
        _restate(dataset, charset)
        dataset.walk(_look)
    except Exception as error:
        if of_the_machine(error):
            raise
        raise Permanent(
            "UNPARSEABLE", Message("the data set cannot be parsed: {kind}", kind=type(error).__name__)
        ) from error
    if not whole:
        raise Permanent("TRUNCATED", Message("the data set ends within an element: it is incomplete"))
    return dataset


def read_film(path: Path) -> Dataset:
    """The whole data set of a film in the spool. Raises Permanent("UNPARSEABLE") or ("FILE_MISSING"), or OSError."""
    return _read(path, header_only=False)


def read_film_header(path: Path, charset: str | None = None) -> Dataset:
    """The same without the pixel data; `charset` as in `read_complete`."""
    return _read(path, header_only=True, charset=charset)


def _read(path: Path, *, header_only: bool, charset: str | None = None) -> Dataset:
    try:
        dataset = _parsed(path, header_only=header_only)[0]
        _restate(dataset, charset)
        return dataset
    except FileNotFoundError as error:
        raise Permanent(
            "FILE_MISSING", Message("the film's file {path} is not in the spool any more", path=path.name)
        ) from error
    except Exception as error:
        if of_the_machine(error):
            raise
        raise Permanent(
            "UNPARSEABLE", Message("the data set cannot be parsed: {kind}", kind=type(error).__name__)
        ) from error


def _parsed(path: Path, *, header_only: bool) -> tuple[Dataset, bool]:
    """A data set, and whether every element of it came whole."""
    syntax = read_file_meta_info(path).TransferSyntaxUID
    with path.open("rb") as file:
        stream: BinaryIO = file
        end = os.fstat(file.fileno()).st_size
        if syntax == DeflatedExplicitVRLittleEndian:
            stream, end = _inflated(file, _HEADER_LIMIT if header_only else _INFLATED_LIMIT)
        dataset = dcmread(stream, stop_before_pixels=header_only)
        if isinstance(stream, BytesIO) and len(stream.getbuffer()) < end and stream.read(4) not in _PIXELS:
            raise ValueError("the header is longer than any film's")
        stream.seek(_PREAMBLE)
        whole = all_whole(stream, end, syntax.is_implicit_VR, big=not syntax.is_little_endian)
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset, whole


def _inflated(file: BinaryIO, keep: int) -> tuple[BinaryIO, int]:
    """A deflated file as it would be plain, up to `keep` bytes of its data set, and where that would end."""
    meta = read_file_meta_info(file.name)
    file.seek(_BEFORE_META + meta.FileMetaInformationGroupLength)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = DicomBytesIO()
    write_file_meta_info(header, meta)
    plain = BytesIO()
    plain.write(bytes(128) + b"DICM" + header.getvalue())
    size = _inflate(file, plain, keep)
    end = plain.tell() + max(0, size - keep)
    plain.seek(0)
    return plain, end


def _inflate(source: BinaryIO, target: BinaryIO, keep: int) -> int:
    """Write the first `keep` bytes that a stream inflates to; how many there are in all. Raises ValueError."""
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not inflater.eof:
        deflated = inflater.unconsumed_tail or source.read(_PIECE)
        piece = inflater.decompress(deflated, _PIECE)
        target.write(piece[: max(0, keep - size)])
        size += len(piece)
        if size > _INFLATED_LIMIT or not (deflated or piece):
            raise ValueError("the deflated data set ends in the middle, or is larger than any film")
    return size


def _restate(dataset: Dataset, charset: str | None) -> None:
    if charset is not None:
        dataset.SpecificCharacterSet = charset
        implicit, little = dataset.original_encoding
        dataset.set_original_encoding(implicit, little, convert_encodings(charset))


def _look(_: Dataset, __: DataElement) -> None:
    """Nothing is done with the element: a sequence is parsed when it is looked at."""
