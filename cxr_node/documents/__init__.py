"""Structured reports and heat maps for the archive: the node's results as DICOM objects."""

from cxr_node.documents.heatmap import build_heatmap
from cxr_node.documents.report import build_report
from cxr_node.documents.request import Document, Form, Further, Predecessor, Profile, Source, StudyReport

__all__ = [
    "Document",
    "Form",
    "Further",
    "Predecessor",
    "Profile",
    "Source",
    "StudyReport",
    "build_heatmap",
    "build_report",
]
