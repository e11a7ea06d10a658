"""What the demonstration plays: real films from the package pydicom-data, phantoms, or the films of a folder."""

import hashlib
import io
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError

from cxr_node.demo.dx import code, presentation_film
from cxr_node.demo.phantom import BITS, FILM_HEIGHT_CM, MARK, Opacity, project
from cxr_node.errors import Permanent
from cxr_node.imaging import PICTURES

Report = Callable[[str], None]
"""Takes one sentence for the person who watches."""

_CASSETTE_MM = 430.0


@dataclass(frozen=True, slots=True)
class Film:
    """A film to send: what a person is told about it, and the file (to be sent as it is) or the data set."""

    title: str
    content: Path | FileDataset


@dataclass(frozen=True, slots=True)
class Phantom:
    """One phantom patient: a number of its own (it seeds the build), what its name says, and its opacities."""

    number: int
    name: str
    opacities: tuple[Opacity, ...] = ()


@dataclass(frozen=True, slots=True)
class Specimen:
    """A real film in pydicom-data, from the compression samples of the DICOM working group 4."""

    file: str
    title: str


# In order of arrival, which is not that of severity: the worklist has something to do.
PROGRAMME: tuple[Phantom | Specimen, ...] = (
    Phantom(1, "CLEAR"),
    Phantom(2, "SMALL OPACITY", (Opacity(0.73, 0.46, 1.8, 1.0),)),
    Specimen("RG3_UNCR.dcm", "a real leg, which must be refused"),
    Phantom(3, "MEDIUM OPACITY", (Opacity(0.27, 0.56, 2.8, 0.95),)),
    Phantom(4, "CLEAR"),
    Specimen("RG1_J2KR.dcm", "a real chest film with several large masses (JPEG 2000)"),
    Phantom(5, "WIDESPREAD OPACITIES", (Opacity(0.26, 0.5, 4.6, 1.0), Opacity(0.75, 0.48, 4.4, 1.0))),
    Phantom(6, "LARGE OPACITY", (Opacity(0.28, 0.52, 4.2, 1.0),)),
)


def installed(file: str) -> Path | None:
    """Where the package pydicom-data keeps `file`, None where it is not installed; nothing is downloaded."""
    found = get_testdata_file(file, download=False)
    return Path(found) if isinstance(found, str) else None


def demo_films(made: datetime, report: Report, find: Callable[[str], Path | None] = installed) -> Iterator[Film]:
    """The films of `PROGRAMME`, each made when it is asked for (about a second for a phantom).

    `made` is when the phantoms say that they were taken. Real films are those that `find` knows; of the others `report`
    hears, and the programme goes on without them.
    """
    real = {entry.file: find(entry.file) for entry in PROGRAMME if isinstance(entry, Specimen)}
    if missing := sorted(file for file, path in real.items() if path is None):
        report(f"pydicom-data (extra: demo) is not installed, so {' and '.join(missing)} cannot be shown.")
    for entry in PROGRAMME:
        if isinstance(entry, Phantom):
            yield Film(f"phantom {entry.number}: {entry.name.lower()}", phantom_dataset(entry, made))
        elif path := real[entry.file]:
            yield Film(entry.title, path)


def films_from(directory: Path, report: Report) -> Iterator[Film]:
    """Every DICOM, PNG and JPEG file under `directory`, by name; what cannot be read is reported and left out.

    DICOM files are sent as they are; pictures become the films that `wrap_image` makes of them. Hidden files and
    DICOMDIR are passed over in silence.

    Raises Permanent (NO_FILMS) when `directory` is not a folder.
    """
    if not directory.is_dir():
        raise Permanent("NO_FILMS", f"{directory} is not a folder")
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory)
        if not path.is_file() or path.name.upper() == "DICOMDIR" or any(part.startswith(".") for part in name.parts):
            continue
        try:
            content = wrap_image(path) if path.suffix.lower() in PICTURES else _instance(path)
        except Permanent as error:
            report(error.message)
        else:
            yield Film(str(name), content)


def phantom_dataset(phantom: Phantom, made: datetime, *, rows: int = 2048, columns: int = 1792) -> FileDataset:
    """The film of a phantom patient as a valid DX For Presentation, marked PHANTOM in pixels and header.

    The UIDs derive from the pixels and from `made`: phantoms of another moment are other studies.
    """
    pixels = project(phantom.opacities, rows=rows, columns=columns, seed=phantom.number)
    identity = f"{hashlib.sha256(pixels.tobytes()).hexdigest()} {made.isoformat()}"
    date, time = made.strftime("%Y%m%d"), made.strftime("%H%M%S")
    return presentation_film(
        pixels,
        BITS,
        10 * FILM_HEIGHT_CM / rows,
        identity,
        PatientName=f"{MARK}^{phantom.name}",
        PatientID=f"{MARK}-{phantom.number:02d}",
        PatientSex="O",
        PatientComments="Computed phantom, no person",
        StudyID=str(phantom.number),
        StudyDescription=f"{MARK} Chest PA",
        SeriesDescription=f"{MARK} PA",
        ImageComments="Computed by Beer-Lambert from plain shapes; no person was exposed",
        StudyDate=date,
        StudyTime=time,
        AcquisitionDate=date,
        AcquisitionTime=time,
        ContentDate=date,
        ContentTime=time,
        Manufacturer="cxr-node",
        ManufacturerModelName="Thorax phantom",
        DetectorType="SCINTILLATOR",
        KVP=125,
        ViewPosition="PA",
        ViewCodeSequence=[code("272479007", "SCT", "postero-anterior")],
        QualityControlImage="YES",
    )


def wrap_image(path: Path) -> FileDataset:
    """A PNG or JPEG picture as DX For Presentation: a chest film of a patient whose ID is the file's name.

    Colour turns to grey, an EXIF orientation is applied, 16 bits stay 16. View and dates are left unknown, as a picture
    does not say them; the spacing, which the header must give, is that of a cassette 43 cm long. UIDs derive from the
    file's name and bytes: the same file is always the same instance.

    Raises Permanent (NO_PICTURE) when the file is missing, damaged, too large, or no PNG or JPEG.
    """
    try:
        data = path.read_bytes()
        pixels, attributes = _read_picture(data)
        patient = _patient(path.stem)
        return presentation_film(
            pixels,
            8 * pixels.itemsize,
            _CASSETTE_MM / max(pixels.shape),
            f"{patient} {hashlib.sha256(data).hexdigest()}",
            PatientName=f"{patient[:56]}^PICTURE",
            PatientID=patient,
            StudyDescription="Chest film from a picture",
            ImageComments="Made from a picture file; the pixel spacing is nominal, do not measure",
            **attributes,
        )
    except UnidentifiedImageError as error:
        raise Permanent("NO_PICTURE", f"{path} is neither a PNG nor a JPEG picture") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Permanent("NO_PICTURE", f"{path} cannot be read as a picture: {error}") from error


def _read_picture(data: bytes) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], dict[str, str]]:
    """The grey values, upright, and what the header has to say of a JPEG's losses."""
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as opened:
        upright = ImageOps.exif_transpose(opened)
        deep = upright.mode.startswith("I")
        pixels = np.asarray(upright).astype(np.uint16) if deep else np.asarray(upright.convert("L"))
        if opened.format == "PNG":
            return pixels, {}
    return pixels, {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": f"{max(pixels.nbytes / len(data), 1):.2f}",
        "LossyImageCompressionMethod": "ISO_10918_1",
    }


def _patient(stem: str) -> str:
    """`stem` as it may stand in a patient's name and ID (PN and LO): 64 characters, no separators, never empty."""
    plain = re.sub(r"[^\w .-]+", "_", unicodedata.normalize("NFC", stem))
    return plain[:64].strip() or "PICTURE"


def _instance(path: Path) -> Path:
    """`path` again, once it has proved to be a DICOM file that holds an instance."""
    try:
        header = pydicom.dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
    except (InvalidDicomError, OSError, EOFError) as error:
        raise Permanent("NO_DICOM", f"{path} is neither DICOM nor a PNG or JPEG picture") from error
    if "SOPClassUID" not in header:
        raise Permanent("NO_DICOM", f"{path} is DICOM, but no instance that could be sent: it has no SOP Class UID")
    return path
