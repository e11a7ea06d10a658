"""The DICOM conformance statement (PS3.2), made from what the node works by."""
