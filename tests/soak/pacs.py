"""What a PACS holds of a study, by C-FIND (PS3.4 C.4.1, Study Root, IMAGE level)."""

from collections import Counter
from collections.abc import Iterable, Iterator

from pydicom.dataset import Dataset
from pynetdicom import AE

from tests.node import TIMEOUT
from tests.orthanc import Orthanc

_STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
_PENDING = (0xFF00, 0xFF01)


def held(pacs: Orthanc, studies: Iterable[str]) -> Iterator[Counter[str]]:
    """For each study, how many instances of each modality the PACS has."""
    ae = AE(ae_title="SOAK")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = TIMEOUT
    ae.add_requested_context(_STUDY_ROOT_FIND)
    association = ae.associate("127.0.0.1", pacs.port, ae_title=pacs.ae_title)
    try:
        for study in studies:
            query = Dataset()
            query.QueryRetrieveLevel, query.StudyInstanceUID = "IMAGE", study
            query.Modality, query.SOPInstanceUID = "", ""
            answers = association.send_c_find(query, _STUDY_ROOT_FIND)
            yield Counter(found.Modality for status, found in answers if found and status.Status in _PENDING)
    finally:
        association.release()
