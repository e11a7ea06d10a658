"""Codes of audit messages: PS3.16 context groups 400 to 404, the node's own alerts, and RFC 3881's object types."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """A coded value as audit messages write it; `meaning` is its original text."""

    value: str
    meaning: str
    scheme: str = "DCM"


APPLICATION_ACTIVITY = Code("110100", "Application Activity")
AUDIT_LOG_USED = Code("110101", "Audit Log Used")
INSTANCES_TRANSFERRED = Code("110104", "DICOM Instances Transferred")
INSTANCES_ACCESSED = Code("110103", "DICOM Instances Accessed")
EXPORT = Code("110106", "Export")
ORDER_RECORD = Code("110109", "Order Record")
PATIENT_RECORD = Code("110110", "Patient Record")
PROCEDURE_RECORD = Code("110111", "Procedure Record")
QUERY = Code("110112", "Query")
SECURITY_ALERT = Code("110113", "Security Alert")
USER_AUTHENTICATION = Code("110114", "User Authentication")

APPLICATION_START = Code("110120", "Application Start")
APPLICATION_STOP = Code("110121", "Application Stop")
LOGIN = Code("110122", "Login")
LOGOUT = Code("110123", "Logout")
NODE_AUTHENTICATION = Code("110126", "Node Authentication")
SOFTWARE_CONFIGURATION = Code("110131", "Software Configuration")

_OWN = "99CXR_NODE"
TRAIL_BROKEN = Code("trail-broken", "Audit trail was tampered with", _OWN)
TRAIL_TRUNCATED = Code("trail-truncated", "Audit trail was truncated", _OWN)
OBJECT_QUARANTINED = Code("object-quarantined", "Received object was kept aside", _OWN)
INSTANCE_DISPUTED = Code("instance-disputed", "Other pixels came under a known SOP Instance UID", _OWN)

APPLICATION = Code("110150", "Application")
DESTINATION = Code("110152", "Destination Role ID")
SOURCE = Code("110153", "Source Role ID")
DESTINATION_MEDIA = Code("110154", "Destination Media")
FOLDER = Code("110037", "URI")  # of CID 405, Media Type

STUDY = Code("110180", "Study Instance UID")
SOP_CLASS = Code("110181", "SOP Class UID")
NODE = Code("110182", "Node ID")
PATIENT_NUMBER = Code("2", "Patient Number", "RFC-3881")
URI = Code("12", "URI", "RFC-3881")
