"""A PACS that is asked whose a study is, with pynetdicom's own Query/Retrieve server; it only has what it is given."""

from collections.abc import Iterator
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from cxr_node.dimse.inquiry import STUDY_ROOT_FIND
from cxr_node.dimse.sender import Peer


class Pacs:
    """Studies as attributes by keyword; in `with` it listens. `asked`: the keys of each query that have a value."""

    def __init__(self, *studies: dict[str, Any], status: int = 0x0000) -> None:
        self.studies, self._status = list(studies), status
        self.asked: list[dict[str, str]] = []

    def __enter__(self) -> Peer:
        ae = AE(ae_title="PACS")
        ae.add_supported_context(STUDY_ROOT_FIND)
        handlers: Any = [(evt.EVT_C_FIND, self._find)]
        self._server: Any = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        return Peer("the PACS", "PACS", "127.0.0.1", int(self._server.server_address[1]), timeout=60.0)

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        known = {"SpecificCharacterSet", "QueryRetrieveLevel"}
        asked = {e.keyword: str(e.value) for e in event.identifier if e.value and e.keyword not in known}
        self.asked.append(asked)
        for study in self.studies:
            if all(str(study.get(keyword, "")) == value for keyword, value in asked.items()):
                found = Dataset()
                found.SpecificCharacterSet = "ISO_IR 192"
                for keyword, value in study.items():
                    setattr(found, keyword, value)
                yield 0xFF00, found
        if self._status:
            yield self._status, None


def as_sent(film: Dataset, **other: Any) -> dict[str, Any]:
    """A study as a PACS has it that was sent this film, but for what is `other`."""
    keywords = ("StudyInstanceUID", "AccessionNumber", "PatientID", "PatientName", "PatientSex", "StudyDate")
    known = {keyword: film[keyword].value for keyword in keywords if keyword in film}
    return {**known, "ModalitiesInStudy": ["DX"], **other}
