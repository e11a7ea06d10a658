"""The coded concepts that our documents name (PS3.16); `cxr_node.locale` has their meanings in other languages."""

from collections.abc import Iterator, Mapping

from pydicom.sr.coding import Code

# Document
REPORT = Code("126000", "DCM", "Imaging Measurement Report")
LANGUAGES = {"en": Code("en", "RFC5646", "English"), "es": Code("es", "RFC5646", "Spanish")}
TEXT_REPORT = Code("18782-3", "LN", "Radiology Study observation (findings)")
LANGUAGE = Code("121049", "DCM", "Language of Content Item and Descendants")
PROCEDURE_REPORTED = Code("121058", "DCM", "Procedure reported")
FINDINGS_SECTION = Code("121070", "DCM", "Findings")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
FINDING = Code("121071", "DCM", "Finding")
ALGORITHM_PARAMETERS = Code("111002", "DCM", "Algorithm Parameters")
DEVICE = Code("121007", "DCM", "Device")
RADIOGRAPHY = Code("43468-8", "LN", "XR unspecified body region")
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
PROCESSED_IMAGE = Code("121322", "DCM", "Source image for image processing operation")

# Image library (TID 1600 to 1603)
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
SOURCE = Code("260753009", "SCT", "Source")
MODALITY = Code("121139", "DCM", "Modality")
PIXEL_ROWS = Code("110910", "DCM", "Pixel Data Rows")
PIXEL_COLUMNS = Code("110911", "DCM", "Pixel Data Columns")
ORIENTATION_ROW = Code("111044", "DCM", "Patient Orientation Row")
ORIENTATION_COLUMN = Code("111043", "DCM", "Patient Orientation Column")
SPACING_HORIZONTAL = Code("111026", "DCM", "Horizontal Pixel Spacing")
SPACING_VERTICAL = Code("111066", "DCM", "Vertical Pixel Spacing")
IMAGE_VIEW = Code("111031", "DCM", "Image View")
MODALITIES = {"CR": Code("CR", "DCM", "Computed Radiography"), "DX": Code("DX", "DCM", "Digital Radiography")}
VIEWS = {
    "PA": Code("272479007", "SCT", "postero-anterior"),
    "AP": Code("399348003", "SCT", "antero-posterior"),
    "LL": Code("399173006", "SCT", "left lateral"),
    "RL": Code("399198007", "SCT", "right lateral"),
}

# Key objects and segmentation
OF_INTEREST = Code("113000", "DCM", "Of Interest")
REJECTIONS = {
    "113001": Code("113001", "DCM", "Rejected for Quality Reasons"),
    "113037": Code("113037", "DCM", "Rejected for Patient Safety Reasons"),
    "113038": Code("113038", "DCM", "Incorrect Modality Worklist Entry"),
    "113039": Code("113039", "DCM", "Data Retention Policy Expired"),
}
KEY_OBJECT_DESCRIPTION = Code("113012", "DCM", "Key Object Description")
SPATIAL = Code("309825002", "SCT", "Spatial and Relational Concept")

# Units
PERCENT = Code("%", "UCUM", "Percent")
PIXELS = Code("{pixels}", "UCUM", "Pixels")
MILLIMETRE = Code("mm", "UCUM", "mm")

# Findings that a model may name without bringing a code of its own, and how sure it is
LUNG = Code("39607008", "SCT", "Lung structure")
FINDINGS = {
    "pneumonia": Code("233604007", "SCT", "Pneumonia"),
    "bacterial_pneumonia": Code("53084003", "SCT", "Bacterial pneumonia"),
    "viral_pneumonia": Code("75570004", "SCT", "Viral pneumonia"),
    "covid19": Code("840544004", "SCT", "Suspected COVID-19"),
    "opacity": Code("112001", "DCM", "Opacity"),
}
CERTAINTY = Code("111012", "DCM", "Certainty of Finding")
IMPRESSION = Code("111023", "DCM", "Differential Diagnosis/Impression")
CERTAINTY_OF_IMPRESSION = Code("111013", "DCM", "Certainty of Impression")
PROBABILITY = Code("122157", "DCM", "Probability")

# Evaluations: triage (CID 7035), quality (CID 7036), run status (CID 6047), visual explanation (CID 217)
PRIORITY = Code("260870009", "SCT", "Priority")
TRIAGE = {
    2: Code("RID49481", "RADLEX", "ACR Category 2 Actionable Finding"),
    3: Code("RID49482", "RADLEX", "ACR Category 3 Actionable Finding"),
}
IMAGE_QUALITY = Code("111101", "DCM", "Image Quality")
QUALITIES = {
    "diagnostic": Code("RID12", "RADLEX", "Diagnostic quality"),
    "limited": Code("RID13", "RADLEX", "Limited quality"),
    "non-diagnostic": Code("RID14", "RADLEX", "Non-diagnostic quality"),
}
RUN_STATUS = Code("111017", "DCM", "CAD Processing and Findings Summary")
# by (every image was analysed, something was found)
RUN_STATUSES = {
    (True, False): Code("111241", "DCM", "All algorithms succeeded; without findings"),
    (True, True): Code("111242", "DCM", "All algorithms succeeded; with findings"),
    (False, False): Code("111243", "DCM", "Not all algorithms succeeded; without findings"),
    (False, True): Code("111244", "DCM", "Not all algorithms succeeded; with findings"),
}
COMMENT = Code("121106", "DCM", "Comment")
VISUAL_EXPLANATION = Code("130401", "DCM", "Visual explanation")
EXPLANATIONS = {
    "cam": Code("130402", "DCM", "Class activation"),
    "gradcam": Code("130403", "DCM", "Gradient-weighted class activation"),
    "occlusion": Code("130404", "DCM", "Saliency"),
}

# Concepts of the templates that highdicom writes
TEMPLATES = (
    Code("121005", "DCM", "Observer Type"),
    Code("121012", "DCM", "Device Observer UID"),
    Code("121013", "DCM", "Device Observer Name"),
    Code("121014", "DCM", "Device Observer Manufacturer"),
    Code("121015", "DCM", "Device Observer Model Name"),
    Code("121016", "DCM", "Device Observer Serial Number"),
    Code("126010", "DCM", "Imaging Measurements"),
    Code("125007", "DCM", "Measurement Group"),
    Code("112039", "DCM", "Tracking Identifier"),
    Code("112040", "DCM", "Tracking Unique Identifier"),
    Code("363698007", "SCT", "Finding Site"),
    Code("121112", "DCM", "Source of Measurement"),
    Code("111030", "DCM", "Image Region"),
    Code("111001", "DCM", "Algorithm Name"),
    Code("111003", "DCM", "Algorithm Version"),
    Code("122405", "DCM", "Algorithm Manufacturer"),
    Code("111000", "DCM", "Algorithm Family"),
)


def _all() -> Iterator[Code]:
    for thing in list(globals().values()):
        if isinstance(thing, Code):
            yield thing
        elif isinstance(thing, dict | tuple):
            yield from (
                each for each in (thing.values() if isinstance(thing, dict) else thing) if isinstance(each, Code)
            )


MEANINGS: Mapping[tuple[str, str], str] = {(code.value, code.scheme_designator): code.meaning for code in _all()}
"""What each of these codes means, in English, by its value and its scheme."""
