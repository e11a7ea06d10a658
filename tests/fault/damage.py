"""Films made wrong on purpose."""

from pathlib import Path
from typing import Any

from pydicom import config, uid
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pynetdicom.dsutils import split_dataset

from tests.films import chest


def put(film: Dataset, keyword: str, value: Any, vr: str = "") -> None:
    """Set an attribute to a value, and a value representation, that the standard forbids."""
    vr = vr or dictionary_VR(keyword)
    film[keyword] = DataElement(Tag(keyword), vr, value, validation_mode=config.IGNORE)


def compressed(frame: bytes, syntax: str) -> FileDataset:
    """A film whose compressed frame is `frame`."""
    film = chest()
    film.file_meta.TransferSyntaxUID = uid.UID(syntax)
    film.add_new("PixelData", "OB", encapsulate([frame]))
    film["PixelData"].is_undefined_length = True
    return film


def data_set(path: Path) -> bytes:
    """The bytes of a file that travel in a C-STORE."""
    return path.read_bytes()[split_dataset(path)[1] :]
