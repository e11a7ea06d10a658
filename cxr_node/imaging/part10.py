"""Reading a received data set, and seeing whether all of it came."""

import os
from pathlib import Path
from typing import BinaryIO

from pydicom import dcmread
from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from cxr_node.errors import Permanent

_UNDEFINED = 0xFFFFFFFF
_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_BULK = frozenset({b"\xe0\x7f\x10\x00", b"\xe0\x7f\x08\x00", b"\xe0\x7f\x09\x00"})


def read_complete(path: Path, charset: str | None = None) -> Dataset:
    """The data set of a Part 10 file without its pixel data.

    `charset`, where it is given, takes the place of the Specific Character Set that the sender states.

    Raises Permanent("UNPARSEABLE") when it cannot be parsed, and Permanent("TRUNCATED") when its pixel data end before
    the length that is declared for them (PS3.5 7.1 and A.4).
    """
    try:
        with path.open("rb") as stream:
            dataset = dcmread(stream, stop_before_pixels=True)
            syntax = dataset.file_meta.TransferSyntaxUID
            whole = syntax == DeflatedExplicitVRLittleEndian or _pixel_data_whole(stream, syntax.is_implicit_VR)
            _restate(dataset, charset)
            dataset.walk(_look)
    except Exception as error:
        raise Permanent("UNPARSEABLE", f"the data set cannot be parsed: {type(error).__name__}") from error
    if not whole:
        raise Permanent("TRUNCATED", "the pixel data end before their declared length: the object is incomplete")
    return dataset


def read_film(path: Path) -> Dataset:
    """The whole data set of a film in the spool. Raises Permanent("UNPARSEABLE") or ("FILE_MISSING")."""
    return _read(path, header_only=False)


def read_film_header(path: Path, charset: str | None = None) -> Dataset:
    """The same without the pixel data; `charset` as in `read_complete`."""
    dataset = _read(path, header_only=True)
    _restate(dataset, charset)
    return dataset


def _read(path: Path, *, header_only: bool) -> Dataset:
    try:
        return dcmread(path, stop_before_pixels=header_only)
    except FileNotFoundError as error:
        raise Permanent("FILE_MISSING", f"the film's file {path.name} is not in the spool any more") from error
    except Exception as error:
        raise Permanent("UNPARSEABLE", f"the data set cannot be parsed: {type(error).__name__}") from error


def _restate(dataset: Dataset, charset: str | None) -> None:
    if charset is not None:
        dataset.SpecificCharacterSet = charset
        implicit, little = dataset.original_encoding
        dataset.set_original_encoding(implicit, little, convert_encodings(charset))


def _look(_: Dataset, __: DataElement) -> None:
    """Nothing is done with the element: a sequence is parsed when it is looked at."""


def _pixel_data_whole(stream: BinaryIO, implicit: bool) -> bool:
    """Whether the element at which reading stopped lies wholly inside the file; true where there is none."""
    end = os.fstat(stream.fileno()).st_size
    head = stream.read(8 if implicit else 12)
    if len(head) < 4:
        return len(head) == 0
    if head[:4] not in _BULK:
        return True
    long_form = implicit or head[4:6] in (b"OB", b"OW", b"OF", b"OD", b"UN")
    if len(head) < (8 if implicit else 12) or not long_form:
        return False
    length = int.from_bytes(head[-4:], "little")
    return _fragments_whole(stream, end) if length == _UNDEFINED else stream.tell() + length <= end


def _fragments_whole(stream: BinaryIO, end: int) -> bool:
    while (item := stream.read(8))[:4] == _ITEM and len(item) == 8:
        stream.seek(int.from_bytes(item[4:], "little"), os.SEEK_CUR)
        if stream.tell() > end:
            return False
    return item[:4] == _DELIMITER
