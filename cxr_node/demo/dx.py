"""Grey pictures as Digital X-Ray images, For Presentation (PS3.3 A.26): the header that a frontal chest film needs."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from cxr_node import __version__
from cxr_node.domain.uid import UUID_ROOT, derive_uid

_IMPLEMENTATION = UID(derive_uid(UUID_ROOT, ["demo", "implementation"]))


def presentation_film(
    pixels: NDArray[np.uint8] | NDArray[np.uint16], bits: int, spacing: float, identity: str, **attributes: Any
) -> FileDataset:
    """A chest film as a valid data set, Explicit VR Little Endian, whose patient and dates are left empty.

    `pixels`, of shape (rows, columns), are shown 0 black to 2**`bits` - 1 white (MONOCHROME2); `spacing` is
    that of the detector's pixels, in mm. Study, series and instance UID and accession number derive from `identity`:
    the same identity, the same UIDs. `attributes` are set last, by keyword.

    Raises ValueError for pixels that are not a film of 1 to 65535 rows and columns, or do not fit into `bits`.
    """
    if pixels.ndim != 2 or not 1 <= min(pixels.shape) <= max(pixels.shape) <= 65535:
        raise ValueError(f"a film has 1 to 65535 rows and columns, not {pixels.shape}")
    if int(pixels.max()) >= 2**bits:
        raise ValueError(f"the pixels reach {pixels.max()}, more than {bits} bits hold")
    instance = UID(derive_uid(UUID_ROOT, ["demo", "instance", identity]))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _IMPLEMENTATION
    film = FileDataset("", Dataset(), preamble=bytes(128), file_meta=meta)
    film.SpecificCharacterSet = "ISO_IR 192"
    film.SOPClassUID = DigitalXRayImageStorageForPresentation
    film.SOPInstanceUID = instance
    film.StudyInstanceUID = derive_uid(UUID_ROOT, ["demo", "study", identity])
    film.SeriesInstanceUID = derive_uid(UUID_ROOT, ["demo", "series", identity])
    film.AccessionNumber = "D" + hashlib.sha256(identity.encode()).hexdigest()[:12].upper()
    _describe(film)
    _set_pixels(film, pixels, bits)
    film.ImagerPixelSpacing = [round(spacing, 6)] * 2
    for keyword, value in attributes.items():
        setattr(film, keyword, value)
    return film


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """An item of a code sequence (PS3.3 table 8.8-1)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _describe(film: Dataset) -> None:
    """Patient, study, series, equipment and the DX modules; what nobody knows is empty where it must be there."""
    for keyword in (
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
        "ReferringPhysicianName", "Manufacturer", "DetectorType", "PositionerType",
    ):  # fmt: skip
        setattr(film, keyword, "")
    film.Modality = "DX"
    film.PresentationIntentType = "FOR PRESENTATION"
    film.ImageType = ["ORIGINAL", "PRIMARY", ""]
    film.SeriesNumber = film.InstanceNumber = 1
    film.SoftwareVersions = __version__
    film.BodyPartExamined = "CHEST"
    film.AnatomicRegionSequence = [code("816094009", "SCT", "Chest")]
    film.ImageLaterality = "U"
    film.PatientOrientation = ["L", "F"]
    film.AcquisitionContextSequence = []
    film.BurnedInAnnotation = "NO"
    film.LossyImageCompression = "00"


def _set_pixels(film: Dataset, pixels: NDArray[np.uint8] | NDArray[np.uint16], bits: int) -> None:
    film.Rows, film.Columns = pixels.shape
    film.SamplesPerPixel = 1
    film.PhotometricInterpretation = "MONOCHROME2"
    film.PresentationLUTShape = "IDENTITY"
    film.PixelIntensityRelationship = "LOG"
    film.PixelIntensityRelationshipSign = -1
    film.RescaleIntercept, film.RescaleSlope, film.RescaleType = 0, 1, "US"
    film.WindowCenter, film.WindowWidth = 2 ** (bits - 1), 2**bits
    film.BitsAllocated = 8 if bits <= 8 else 16
    film.BitsStored, film.HighBit, film.PixelRepresentation = bits, bits - 1, 0
    values = pixels.astype("u1" if bits <= 8 else "<u2").tobytes()
    film.add_new("PixelData", "OB" if bits <= 8 else "OW", values + bytes(len(values) % 2))
