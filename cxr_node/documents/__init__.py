"""Structured reports, heat maps and what goes with them: the node's results as DICOM objects for the archive."""

from cxr_node.documents.heatmap import SECONDARY_CAPTURE, build_heatmap
from cxr_node.documents.keys import KEY_OBJECTS, build_key_objects
from cxr_node.documents.pdf import ENCAPSULATED_PDF, build_pdf
from cxr_node.documents.presentation import PRESENTATION_STATE, build_presentation
from cxr_node.documents.references import Reference
from cxr_node.documents.rejection import build_rejection
from cxr_node.documents.report import build_report
from cxr_node.documents.request import Document, Form, Further, Lacking, Profile, Source, StudyReport
from cxr_node.documents.segmentation import SEGMENTATION, build_segmentation
from cxr_node.domain.report_class import REPORT_CLASSES

__all__ = [
    "SOP_CLASSES",
    "Document",
    "Form",
    "Further",
    "Lacking",
    "Profile",
    "Reference",
    "Source",
    "StudyReport",
    "build_heatmap",
    "build_key_objects",
    "build_pdf",
    "build_presentation",
    "build_rejection",
    "build_report",
    "build_segmentation",
]

SOP_CLASSES = (
    *REPORT_CLASSES.values(),
    SECONDARY_CAPTURE,
    KEY_OBJECTS,
    PRESENTATION_STATE,
    SEGMENTATION,
    ENCAPSULATED_PDF,
)
"""Of whatever the node writes."""
