"""Asking a PACS whose a study is: C-FIND at study level, by its UID and by its accession numbers (PS3.4 C.6.2)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from pydicom.dataset import Dataset

from cxr_node.dimse.find import Queried, find
from cxr_node.dimse.inquiry import STUDY_ROOT_FIND
from cxr_node.dimse.sender import Peer
from cxr_node.domain.doubt import Archived
from cxr_node.domain.patient import Identifier, Person
from cxr_node.imaging.header import texts

_ASKED = (
    "StudyInstanceUID", "AccessionNumber", "StudyDate", "ModalitiesInStudy", "PatientID", "IssuerOfPatientID",
    "PatientName", "PatientBirthDate", "PatientSex",
)  # fmt: skip
_WILD = frozenset("*?\\")


@dataclass(frozen=True, slots=True)
class Match:
    """A study that the PACS has, and the modalities of what is in it; none where it does not say."""

    archived: Archived
    modalities: frozenset[str]


def look_up(peer: Peer, calling: str, study: str, accessions: Sequence[str], queried: Queried) -> list[Match]:
    """What a PACS has under the UID of a study, and under each of its accession numbers.

    A number that would be a wild card is not asked for, and what is of other numbers is left out. Raises as `find`.
    """
    asked = [number for number in accessions if number and not _WILD & set(number)]
    queries = [_query(StudyInstanceUID=study), *(_query(AccessionNumber=number) for number in asked)]
    found = dict.fromkeys(_match(one) for one in find(peer, calling, STUDY_ROOT_FIND, queries, queried))
    return [one for one in found if one.archived.study == study or one.archived.accession in asked]


def _query(**keys: str) -> Dataset:
    query = Dataset()
    query.SpecificCharacterSet = "ISO_IR 192"
    query.QueryRetrieveLevel = "STUDY"
    for keyword in _ASKED:
        setattr(query, keyword, keys.get(keyword, ""))
    return query


def _match(identifier: Dataset) -> Match:
    said = {keyword: next(iter(texts(identifier, keyword)), "") for keyword in _ASKED}
    number, sex, born = said["PatientID"], said["PatientSex"].upper(), said["PatientBirthDate"]
    person = Person(
        identifiers=(Identifier(number, said["IssuerOfPatientID"]),) if number else (),
        name=said["PatientName"],
        birth_date=born if _day(born) else "",
        sex=sex if sex in ("F", "M", "O") else "",
    )
    archived = Archived(said["StudyInstanceUID"], said["AccessionNumber"], person, _day(said["StudyDate"]))
    return Match(archived, frozenset(texts(identifier, "ModalitiesInStudy")) - {""})


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch("[0-9]{8}", text) else None
    except ValueError:
        return None
