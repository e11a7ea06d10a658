"""Small films for the tests: valid, fast, a new patient and study each time, every attribute open to change.

chest(PatientID="X1", ViewPosition=None)     # None takes the attribute away, "" empties it
encode(chest(), JPEG2000Lossless)
"""

import copy
import io
import itertools
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate

from cxr_node.demo.dx import code, presentation_film
from cxr_node.demo.phantom import FILM_HEIGHT_CM, Opacity, project
from cxr_node.demo.shadows import Plane

ROWS, COLUMNS, BITS = 256, 224, 12
LOOKS = 200  # so many phantoms look different; of more the gate would take one in some hundreds for a lateral view
_numbers = itertools.count(1)


def chest(
    number: int | None = None,
    *,
    pixels: NDArray[np.uint8] | NDArray[np.uint16] | None = None,
    bits: int = BITS,
    opacities: Sequence[Opacity] = (),
    **attributes: Any,
) -> FileDataset:
    """A frontal chest film (DX For Presentation, MONOCHROME2, Explicit VR LE): a phantom, or `pixels` of `bits` bits.

    The same `number` gives the same film, patient and UIDs; without one every call gives new ones. `attributes` are
    set by keyword and None removes; the file meta information follows the SOP class and instance given.
    """
    number = next(_numbers) if number is None else number
    if pixels is None:
        pixels = _phantom(number % LOOKS, tuple(opacities))
    film = presentation_film(
        pixels,
        bits,
        10 * FILM_HEIGHT_CM / pixels.shape[0],
        f"test {number}",
        PatientName=f"Doe{number}^Jane",
        PatientID=f"P{number:05d}",
        PatientBirthDate="19600229",
        PatientSex="F",
        StudyDate="20260301",
        StudyTime="081500",
        StudyID=str(number),
        StudyDescription="Chest PA",
        ViewPosition="PA",
        ViewCodeSequence=[code("272479007", "SCT", "postero-anterior")],
    )
    return change(film, **attributes)


def lateral(number: int | None = None, **attributes: Any) -> FileDataset:
    """A chest film whose header says that it is a lateral one."""
    view: dict[str, Any] = {
        "StudyDescription": "Chest lateral",
        "PatientOrientation": ["A", "F"],
        "ViewPosition": "LL",
        "ViewCodeSequence": [code("399173006", "SCT", "left lateral")],
    }
    return chest(number, **(view | attributes))


def leg(number: int | None = None, **attributes: Any) -> FileDataset:
    """A film of a right lower leg, two bones in soft tissue."""
    part: dict[str, Any] = {
        "StudyDescription": "Tibia AP",
        "BodyPartExamined": "LEG",
        "AnatomicRegionSequence": [code("30021000", "SCT", "Lower leg")],
        "ImageLaterality": "R",
        "ViewPosition": "AP",
        "ViewCodeSequence": [code("399348003", "SCT", "antero-posterior")],
    }
    return chest(number, pixels=_leg(), **(part | attributes))


def change(film: FileDataset, **attributes: Any) -> FileDataset:
    """`film` itself with `attributes` set by keyword (None removes one) and its file meta information in step."""
    for keyword, value in attributes.items():
        if value is not None:
            setattr(film, keyword, value)
        elif keyword in film:
            delattr(film, keyword)
    film.file_meta.MediaStorageSOPClassUID = film.get("SOPClassUID", "")
    film.file_meta.MediaStorageSOPInstanceUID = film.get("SOPInstanceUID", "")
    return film


def inverted(film: FileDataset) -> FileDataset:
    """The same film as MONOCHROME1, where the smallest value is white."""
    other = copy.deepcopy(film)
    other.PixelData = (2**film.BitsStored - 1 - film.pixel_array).astype(film.pixel_array.dtype).tobytes()
    other.PhotometricInterpretation, other.PresentationLUTShape = "MONOCHROME1", "INVERSE"
    other.PixelIntensityRelationshipSign = 1
    return other


def write(film: FileDataset, path: Path) -> Path:
    """`film` as a DICOM file at `path`, whose folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    film.save_as(path, enforce_file_format=True)
    return path


def encode(film: FileDataset, syntax: str) -> FileDataset:
    """The same uncompressed film in the transfer syntax `syntax`, as it would be read from a file.

    JPEG baseline holds 8 of its bits. `NEEDS_DCMTK` says where dcmtk has to be installed (else FileNotFoundError).
    """
    return _ENCODERS[syntax](copy.deepcopy(film), uid.UID(syntax))


def _native(film: FileDataset, syntax: uid.UID) -> FileDataset:
    film.file_meta.TransferSyntaxUID = syntax
    return _as_read(film)


def _lossless(film: FileDataset, syntax: uid.UID) -> FileDataset:
    film.compress(syntax, generate_instance_uid=False)
    return _as_read(film)


def _near_lossless(film: FileDataset, syntax: uid.UID) -> FileDataset:
    film.compress(syntax, jls_error=2, generate_instance_uid=False)
    return _as_read(_lossy(film, "ISO_14495_1"))


def _jpeg_2000(film: FileDataset, syntax: uid.UID) -> FileDataset:
    film.compress(syntax, j2k_cr=[8], generate_instance_uid=False)
    return _as_read(_lossy(film, "ISO_15444_1"))


def _baseline(film: FileDataset, syntax: uid.UID) -> FileDataset:
    grey = (film.pixel_array >> max(film.BitsStored - 8, 0)).astype(np.uint8)
    frame = io.BytesIO()
    Image.fromarray(grey).save(frame, "JPEG", quality=95)
    film.BitsAllocated = film.BitsStored = 8
    film.HighBit, film.WindowCenter, film.WindowWidth = 7, 128, 256
    film.add_new("PixelData", "OB", encapsulate([frame.getvalue()]))
    film["PixelData"].is_undefined_length = True
    film.file_meta.TransferSyntaxUID = syntax
    return _as_read(_lossy(film, "ISO_10918_1"))


def _dcmtk(*command: str) -> Callable[[FileDataset, uid.UID], FileDataset]:
    def encoder(film: FileDataset, _: uid.UID) -> FileDataset:
        with tempfile.TemporaryDirectory() as folder:
            native, encoded = write(film, Path(folder, "native.dcm")), Path(folder, "encoded.dcm")
            subprocess.run([*command, native, encoded], check=True, capture_output=True)
            return pydicom.dcmread(io.BytesIO(encoded.read_bytes()))

    return encoder


_ENCODERS: dict[str, Callable[[FileDataset, uid.UID], FileDataset]] = {
    uid.ImplicitVRLittleEndian: _native,
    uid.ExplicitVRLittleEndian: _native,
    uid.ExplicitVRBigEndian: _dcmtk("dcmconv", "--write-xfer-big"),
    uid.DeflatedExplicitVRLittleEndian: _native,
    uid.RLELossless: _lossless,
    uid.JPEGLSLossless: _lossless,
    uid.JPEGLSNearLossless: _near_lossless,
    uid.JPEG2000Lossless: _lossless,
    uid.JPEG2000: _jpeg_2000,
    uid.JPEGBaseline8Bit: _baseline,
    uid.JPEGExtended12Bit: _dcmtk("dcmcjpeg", "--encode-extended", "--bits-force-12", "--scaling-range", "--uid-never"),
    uid.JPEGLossless: _dcmtk("dcmcjpeg", "--encode-lossless", "--uid-never"),
    uid.JPEGLosslessSV1: _dcmtk("dcmcjpeg", "--encode-lossless-sv1", "--uid-never"),
}
SYNTAXES = tuple(_ENCODERS)
"""Every transfer syntax that `encode` knows."""
NEEDS_DCMTK = frozenset({uid.ExplicitVRBigEndian, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1})
LOSSY = frozenset({uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless, uid.JPEG2000})


def _lossy(film: FileDataset, method: str) -> FileDataset:
    film.LossyImageCompression, film.LossyImageCompressionMethod = "01", method
    film.LossyImageCompressionRatio = f"{film.Rows * film.Columns * film.BitsAllocated / 8 / len(film.PixelData):.2f}"
    return film


def _as_read(film: FileDataset) -> FileDataset:
    file = io.BytesIO()
    film.save_as(file, implicit_vr=film.file_meta.TransferSyntaxUID.is_implicit_VR, enforce_file_format=True)
    file.seek(0)
    return pydicom.dcmread(file)


@lru_cache(maxsize=64)
def _phantom(number: int, opacities: tuple[Opacity, ...]) -> NDArray[np.uint16]:
    return project(opacities, rows=ROWS, columns=COLUMNS, seed=number)


@lru_cache(maxsize=1)
def _leg() -> NDArray[np.uint16]:
    plane = Plane(ROWS, COLUMNS, FILM_HEIGHT_CM)
    flesh = plane.rods([np.array([(0, -9, 0), (0, 50, 0)])], 5)
    bones = plane.rods([np.array([(-0.8, 3, 0), (-0.8, 36, 0)])], 1.6) + plane.rods(
        [np.array([(2.4, 3, 0), (2.4, 36, 0)])], 0.7
    )
    shown = np.clip(60 + 160 * flesh + 500 * bones, 0, 2**BITS - 1)
    return np.asarray(shown, dtype=np.uint16)
