"""A DICOM node that analyses chest radiographs beside a PACS."""

__version__ = "0.1.0"
