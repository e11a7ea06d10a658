"""What PS3.4 annex CC says of workitems, as tables: read from the standard, not from the node's source.

Attributes within sequences stand in their own rows only where a final state requires them.
"""

from dataclasses import dataclass

NOT_ALLOWED = "not allowed"


@dataclass(frozen=True)
class Row:
    """A row of table CC.2.5-3: types (SCU/SCP) for N-CREATE, N-SET and N-GET, final state, return key type of C-FIND.

    `inside`: the sequence that the attribute stands in.
    """

    keyword: str
    create: str
    set: str
    final: str
    get: str
    found: str
    inside: str = ""

    def __str__(self) -> str:
        return self.keyword


PERFORMED, PROGRESS = "UnifiedProcedureStepPerformedProcedureSequence", "ProcedureStepProgressInformationSequence"
ATTRIBUTES = [
    Row("TransactionUID", "2/2 empty", "-", "O", NOT_ALLOWED, "-"),
    # Scheduled Procedure Information
    Row("ScheduledProcedureStepPriority", "1/1", "3/1", "R", "3/1", "1"),
    Row("ScheduledProcedureStepModificationDateTime", "-/1", "-/1", "R", "3/1", "3"),
    Row("ProcedureStepLabel", "1/1", "3/1", "O", "3/1", "1"),
    Row("WorklistLabel", "2/1", "3/1", "O", "3/1", "1"),
    Row("ScheduledProcessingParametersSequence", "2/2", "3/2", "O", "3/2", "2"),
    Row("ScheduledStationNameCodeSequence", "2/2", "3/2", "O", "3/2", "2"),
    Row("ScheduledStationClassCodeSequence", "2/2", "3/2", "O", "3/2", "2"),
    Row("ScheduledStationGeographicLocationCodeSequence", "2/2", "3/2", "O", "3/2", "2"),
    Row("ScheduledHumanPerformersSequence", "2C/2C", "3/2", "O", "3/2", "2"),
    Row("ScheduledProcedureStepStartDateTime", "1/1", "3/1", "R", "3/1", "1"),
    Row("ExpectedCompletionDateTime", "3/1", "3/1", "O", "3/1", "3"),
    Row("ScheduledProcedureStepExpirationDateTime", "3/3", "3/3", "O", "3/3", "3"),
    Row("ScheduledWorkitemCodeSequence", "2/2", "3/1", "O", "3/1", "2"),
    Row("CommentsOnTheScheduledProcedureStep", "2/2", "3/1", "O", "3/1", "3"),
    Row("InputReadinessState", "1/1", "3/1", "R", "3/1", "1"),
    Row("InputInformationSequence", "2/2", "3/2", "O", "3/2", "2"),
    Row("StudyInstanceUID", "1C/2", "3/2", "O", "3/2", "2"),
    # Relationship
    Row("PatientName", "2/2", NOT_ALLOWED, "O", "3/2", "2"),
    Row("PatientID", "1C/2", NOT_ALLOWED, "O", "3/2", "2"),
    Row("IssuerOfPatientID", "2/2", NOT_ALLOWED, "O", "3/2", "2"),
    Row("IssuerOfPatientIDQualifiersSequence", "2/2", NOT_ALLOWED, "O", "3/2", "2"),
    Row("OtherPatientIDsSequence", "2/2", "3/3", "O", "3/2", "2"),
    Row("PatientBirthDate", "2/2", NOT_ALLOWED, "O", "3/2", "2"),
    Row("PatientSex", "2/2", NOT_ALLOWED, "O", "3/2", "2"),
    Row("AdmissionID", "2/2", NOT_ALLOWED, "O", "3/2", "2"),
    Row("IssuerOfAdmissionIDSequence", "2/2", NOT_ALLOWED, "O", "3/2", "2"),
    Row("AdmittingDiagnosesDescription", "2/2", NOT_ALLOWED, "O", "3/2", "2"),
    Row("AdmittingDiagnosesCodeSequence", "2/2", NOT_ALLOWED, "O", "3/2", "2"),
    Row("ReferencedRequestSequence", "2/2", NOT_ALLOWED, "O", "3/2", "2"),
    Row("ReplacedProcedureStepSequence", "1C/1C", NOT_ALLOWED, "O", "3/2", "3"),
    # Progress
    Row("ProcedureStepState", "1/1", NOT_ALLOWED, "R", "3/1", "1"),
    Row(PROGRESS, "2/2 empty", "3/2", "X", "3/2", "2"),
    Row("ProcedureStepCancellationDateTime", NOT_ALLOWED, "3/1", "X", "-/1", "-", PROGRESS),
    Row("ProcedureStepDiscontinuationReasonCodeSequence", NOT_ALLOWED, "3/1", "X", "-/1", "-", PROGRESS),
    # Performed Procedure Information
    Row(PERFORMED, "2/2 empty", "3/2", "P", "3/2", "-"),
    Row("PerformedStationNameCodeSequence", NOT_ALLOWED, "3/2", "P", "-/2", "3", PERFORMED),
    Row("PerformedProcedureStepStartDateTime", NOT_ALLOWED, "3/1", "P", "-/1", "-", PERFORMED),
    Row("PerformedWorkitemCodeSequence", NOT_ALLOWED, "3/1", "P", "-/1", "-", PERFORMED),
    Row("PerformedProcedureStepEndDateTime", NOT_ALLOWED, "3/1", "P", "-/1", "1C", PERFORMED),
    Row("OutputInformationSequence", NOT_ALLOWED, "2/2", "P", "-/2", "-", PERFORMED),
]
MAY_HAVE_NO_ITEMS = {"OutputInformationSequence"}
"""Required in a final state, and yet empty where nothing was made (its remark)."""

MISSING_ATTRIBUTE, MISSING_VALUE = 0x0120, 0x0121  # PS3.4 5.4.2.1

STATES = ("null", "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED")
TRANSITIONS = {
    # Table CC.1.1-2: what is asked, and whether with the right Transaction UID -> the answer in each of the STATES.
    ("IN PROGRESS", True): (0xC307, 0x0000, 0xC302, 0xC300, 0xC300),
    ("IN PROGRESS", False): (0xC307, 0xC301, 0xC301, 0xC301, 0xC301),
    ("SCHEDULED", True): (0xC307, 0xC303, 0xC303, 0xC303, 0xC303),
    ("COMPLETED", True): (0xC307, 0xC310, 0x0000, 0xB306, 0xC300),
    ("COMPLETED", False): (0xC307, 0xC301, 0xC301, 0xC301, 0xC301),
    ("CANCELED", True): (0xC307, 0xC310, 0x0000, 0xC300, 0xB304),
    ("CANCELED", False): (0xC307, 0xC301, 0xC301, 0xC301, 0xC301),
}
CREATED_AGAIN = (0x0000, 0x0111, 0x0111, 0x0111, 0x0111)
ASKED_TO_CANCEL = (0xC307, 0x0000, 0x0000, 0xC311, 0xB304)
"""In progress: by who subscribed to it."""
SET = {  # CC.2.6.3, table CC.2.6-1
    None: (0xC307, 0x0000, 0xC301, 0xC300, 0xC300),
    True: (0xC307, 0xC310, 0x0000, 0xC300, 0xC300),
    False: (0xC307, 0xC310, 0xC301, 0xC300, 0xC300),
}
"""N-SET without a Transaction UID, with the right one, and with another."""

EVENTS = {  # table CC.2.4-1, what is always there
    1: ("ProcedureStepState", "InputReadinessState"),
    2: ("RequestingAE",),
    3: (PROGRESS,),
    4: ("SCPStatus", "SubscriptionListStatus", "UnifiedProcedureStepListStatus"),
}
