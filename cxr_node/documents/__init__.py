"""Structured reports, heat maps and what goes with them: the node's results as DICOM objects for the archive."""

from cxr_node.documents.heatmap import build_heatmap
from cxr_node.documents.keys import build_key_objects
from cxr_node.documents.pdf import build_pdf
from cxr_node.documents.presentation import build_presentation
from cxr_node.documents.references import Reference
from cxr_node.documents.rejection import build_rejection
from cxr_node.documents.report import build_report
from cxr_node.documents.request import Document, Form, Further, Lacking, Profile, Source, StudyReport
from cxr_node.documents.segmentation import build_segmentation

__all__ = [
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
