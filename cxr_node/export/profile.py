"""What of a film may leave the site, as data.

This is the Basic Application Level Confidentiality Profile (PS3.15 E.2) with the option to retain longitudinal temporal
information with modified dates (E.3.6), turned round: whatever is not named here is removed, whether table E.1-1 knows
it or not, with every private attribute, overlay, curve and free text. Nothing that is named here stands in table
E.1-1, but for the identifiers, which are replaced, and the dates, which are moved. What may be a word is one of a known
list, so that nobody's name stands where a code belongs.
"""

from collections.abc import Mapping
from itertools import permutations, product

_ORIENTATIONS = frozenset(
    "".join(letters).replace(" ", "") for axes in product("LR ", "AP ", "HF ") for letters in permutations(axes)
)
_SIDES = frozenset({"R", "L", "U", "B"})

WORDS: Mapping[str, frozenset[str]] = {
    "Modality": frozenset({"CR", "DX"}),
    "PresentationIntentType": frozenset({"FOR PRESENTATION", "FOR PROCESSING"}),
    "ImageType": frozenset({"ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", ""}),
    "PhotometricInterpretation": frozenset({"MONOCHROME1", "MONOCHROME2"}),
    "PresentationLUTShape": frozenset({"IDENTITY", "INVERSE"}),
    "PixelIntensityRelationship": frozenset({"LIN", "LOG", "DISP"}),
    "RescaleType": frozenset({"US", "OD"}),
    "ModalityLUTType": frozenset({"US", "OD"}),
    "VOILUTFunction": frozenset({"LINEAR", "LINEAR_EXACT", "SIGMOID"}),
    "LossyImageCompression": frozenset({"00", "01"}),
    "LossyImageCompressionMethod": frozenset({"ISO_10918_1", "ISO_14495_1", "ISO_15444_1"}),
    "BurnedInAnnotation": frozenset({"NO"}),
    "BodyPartExamined": frozenset({"CHEST", "THORAX", "TORAX", "LUNG", "LUNGS", "PULMON", "BRUST", "POUMON"}),
    "ViewPosition": frozenset({"PA", "AP", "LL", "RL"}),
    "Laterality": _SIDES,
    "ImageLaterality": _SIDES,
    "PatientOrientation": _ORIENTATIONS,
    "PositionerType": frozenset({"CARM", "COLUMN", "RIGID", "NONE"}),
    "DetectorType": frozenset({"DIRECT", "SCINTILLATOR", "STORAGE", "FILM"}),
    "ConversionType": frozenset({"DV", "DI", "DF", "WSD", "SD", "SI", "DRW", "SYN"}),
    "PixelSpacingCalibrationType": frozenset({"GEOMETRY", "FIDUCIAL"}),
}
"""Attributes of which the values are kept up to the first that is none of these."""

NUMBERS = (
    "SeriesNumber", "InstanceNumber", "SamplesPerPixel", "PixelSpacing", "ImagerPixelSpacing",
    "NominalScannedPixelSpacing", "PixelAspectRatio", "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept",
    "PixelIntensityRelationshipSign", "PixelPaddingValue", "PixelPaddingRangeLimit", "LossyImageCompressionRatio",
    "KVP", "ExposureTime", "XRayTubeCurrent", "Exposure", "DistanceSourceToDetector", "DistanceSourceToPatient",
    "RelativeXRayExposure", "Sensitivity", "ExposureIndex", "TargetExposureIndex", "DeviationIndex",
)  # fmt: skip
"""Attributes that are kept if they are numbers."""

TEXTS = ("Manufacturer", "ManufacturerModelName")
"""Texts of the machine's maker, not of its user."""

TABLES: Mapping[str, str] = {"ModalityLUTSequence": "ModalityLUTType", "VOILUTSequence": ""}
"""Lookup tables, of which descriptor and data are kept, and what else."""

CODES: Mapping[str, Mapping[tuple[str, str], str]] = {
    "AnatomicRegionSequence": {
        ("816094009", "SCT"): "Chest", ("51185008", "SCT"): "Chest", ("T-D3000", "SRT"): "Chest",
        ("39607008", "SCT"): "Lung", ("T-28000", "SRT"): "Lung",
    },
    "ViewCodeSequence": {
        ("272479007", "SCT"): "postero-anterior", ("R-10214", "SRT"): "postero-anterior",
        ("399348003", "SCT"): "antero-posterior", ("R-10206", "SRT"): "antero-posterior",
    },
}  # fmt: skip
"""Codes that are kept, by value and scheme, with the meaning that is written for them."""

DATES = (
    ("StudyDate", "StudyTime"),
    ("SeriesDate", "SeriesTime"),
    ("AcquisitionDate", "AcquisitionTime"),
    ("ContentDate", "ContentTime"),
)
"""Dates with their times, moved together. An AcquisitionDateTime says nothing more and is removed."""

EMPTY = ("AccessionNumber", "PatientBirthDate", "PatientSex", "ReferringPhysicianName", "StudyID")
"""Identifiers that the modules of an image want, empty (type 2)."""

EMPTY_IF_PRESENT = (
    "BodyPartExamined", "ViewPosition", "Laterality", "Manufacturer", "SeriesNumber", "InstanceNumber",
    "AnatomicRegionSequence", "AcquisitionContextSequence", "PositionerType", "DetectorType", "PatientOrientation",
)  # fmt: skip
"""Attributes that become empty where their values may not leave, since a module may want them (type 2)."""

METHOD = ("cxr_node: PS3.15 Basic Application Confidentiality Profile", "Retain Longitudinal, Modified Dates")
METHOD_CODES = {
    "113100": "Basic Application Confidentiality Profile",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
}
"""De-identification Method (0012,0063) and its codes (0012,0064; PS3.16 CID 7050)."""
