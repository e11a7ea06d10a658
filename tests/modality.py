"""An X-ray machine that reports its procedure steps (MPPS as SCU, PS3.4 annex F); dcmtk has no such tool."""

import time
from collections.abc import Sequence
from io import BytesIO
from typing import Any, Self

from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE
from pynetdicom.dimse_primitives import N_CREATE, N_SET

from cxr_node.dimse.mpps import PERFORMED_PROCEDURE_STEP

TIMEOUT = 60.0  # generous: the machine may be busy with other things


class Modality:
    """An association with a node; in `with` it is open."""

    def __init__(self, port: int, called: str = "CXR_NODE", calling: str = "XRAY1") -> None:
        ae = AE(ae_title=calling)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = TIMEOUT
        ae.add_requested_context(PERFORMED_PROCEDURE_STEP, ExplicitVRLittleEndian)
        self._association = ae.associate("127.0.0.1", port, ae_title=called)
        assert self._association.is_established

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.alive:
            self._association.release()

    def create(self, uid: str | None, said: Dataset | None) -> Dataset:
        """N-CREATE; the status."""
        status, _ = self._association.send_n_create(said, UID(PERFORMED_PROCEDURE_STEP), uid and UID(uid))
        return status

    def set(self, uid: str, said: Dataset) -> Dataset:
        """N-SET; the status."""
        status, _ = self._association.send_n_set(said, UID(PERFORMED_PROCEDURE_STEP), UID(uid))
        return status

    def flood(self, uid: str, size: int) -> None:
        """N-CREATE with a data set of so many bytes; whether anybody answers is not waited for."""
        self._request(N_CREATE(), uid, bytes(size))

    def send(self, primitive: N_CREATE | N_SET, uid: str, said: bytes | None) -> Any:
        """A request as it is given, with a data set of these bytes; the response, None where none came."""
        self._association._reactor_checkpoint.clear()  # as send_n_create does, so that the response comes to us
        while not self._association._is_paused:
            time.sleep(0.01)
        try:
            self._request(primitive, uid, said)
            return self._association.dimse.get_msg(block=True)[1]
        finally:
            self._association._reactor_checkpoint.set()

    def _request(self, primitive: N_CREATE | N_SET, uid: str, said: bytes | None) -> None:
        primitive.MessageID = 1
        content = None if said is None else BytesIO(said)
        if isinstance(primitive, N_CREATE):
            primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = UID(PERFORMED_PROCEDURE_STEP), UID(uid)
            primitive.AttributeList = content
        else:
            primitive.RequestedSOPClassUID, primitive.RequestedSOPInstanceUID = UID(PERFORMED_PROCEDURE_STEP), UID(uid)
            primitive.ModificationList = content
        (context,) = self._association.accepted_contexts
        assert context.context_id is not None
        self._association.dimse.send_msg(primitive, context.context_id)

    @property
    def alive(self) -> bool:
        return self._association.is_established


def begun(*studies: str, **attributes: Any) -> Dataset:
    """What N-CREATE says of a step for these studies, as far as PS3.4 table F.7.2-1 asks for it."""
    said = Dataset()
    said.ScheduledStepAttributesSequence = [_scheduled(study) for study in studies]
    said.PatientName, said.PatientID, said.PatientBirthDate, said.PatientSex = "Doe^Jane", "P1", "19700101", "F"
    said.ReferencedPatientSequence = []
    said.PerformedProcedureStepID = "1"
    said.PerformedStationAETitle, said.PerformedStationName, said.PerformedLocation = "XRAY1", "", ""
    said.PerformedProcedureStepStartDate, said.PerformedProcedureStepStartTime = "20260101", "120000"
    said.PerformedProcedureStepEndDate = said.PerformedProcedureStepEndTime = ""
    said.PerformedProcedureStepStatus = "IN PROGRESS"
    said.PerformedProcedureStepDescription = said.PerformedProcedureTypeDescription = ""
    said.ProcedureCodeSequence = said.PerformedProtocolCodeSequence = said.PerformedSeriesSequence = []
    said.Modality, said.StudyID = "DX", "1"
    return _changed(said, attributes)


def _scheduled(study: str) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = study
    item.ReferencedStudySequence = item.ScheduledProtocolCodeSequence = []
    item.AccessionNumber = item.RequestedProcedureID = item.RequestedProcedureDescription = ""  # unscheduled
    item.ScheduledProcedureStepID = item.ScheduledProcedureStepDescription = ""
    return item


def ended(state: str, *films: FileDataset, reason: str | None = None, **attributes: Any) -> Dataset:
    """What the last N-SET says: one series with these films, if any, and the reason of a discontinuation."""
    said = Dataset()
    said.PerformedProcedureStepStatus = state
    said.PerformedProcedureStepEndDate, said.PerformedProcedureStepEndTime = "20260101", "120500"
    said.PerformedSeriesSequence = [series(films)] if films else []
    if reason:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = reason, "DCM", "as the standard says"
        said.PerformedProcedureStepDiscontinuationReasonCodeSequence = [code]
    return _changed(said, attributes)


def series(films: Sequence[FileDataset]) -> Dataset:
    """An item of Performed Series Sequence."""
    item = Dataset()
    item.PerformingPhysicianName = item.OperatorsName = item.RetrieveAETitle = item.SeriesDescription = ""
    item.ProtocolName, item.SeriesInstanceUID = "CHEST", generate_uid()
    item.ReferencedImageSequence = [reference(film.SOPClassUID, film.SOPInstanceUID) for film in films]
    item.ReferencedNonImageCompositeSOPInstanceSequence = []
    return item


def reference(sop_class: str, sop_instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
    return item


def _changed(said: Dataset, attributes: dict[str, Any]) -> Dataset:
    """With these attributes; one that is None is not there at all."""
    for keyword, value in attributes.items():
        if value is None:
            delattr(said, keyword)
        else:
            setattr(said, keyword, value)
    return said
