"""Whose studies are: what films say, and what admissions and the RIS have said since."""

import json
import math
from collections.abc import Iterable
from dataclasses import astuple

from cxr_node.domain import patient
from cxr_node.domain.correction import Word
from cxr_node.domain.instance import InstanceState
from cxr_node.domain.order import Procedure, procedure_now
from cxr_node.domain.patient import Change, Identifier, Identity, Person, Whose
from cxr_node.store import archived, corrections, studies
from cxr_node.store.db import Row, Tx

PROCEDURE = "RequestedProcedureCodeSequence"
"""The keyword under which an identity has a procedure: its code value, meaning and coding scheme, with ^ between."""
_KIND = "patient"
_MOST_NUMBERS = 50  # of one patient, over all merges


def say(tx: Tx, change: Change, source: str, *, at: float, now: float) -> None:
    """Record what an admission says of a patient, under each of its numbers."""
    person = change.person
    detail = {
        "identifiers": [[one.value, one.authority] for one in person.identifiers],
        "prior": [[one.value, one.authority] for one in change.prior],
        "name": person.name, "birth_date": person.birth_date, "sex": person.sex,
    }  # fmt: skip
    for value in sorted({one.value for one in (*person.identifiers, *change.prior)}):
        corrections.add(tx, _KIND, None, value, source=source, said_at=at, recorded_at=now, detail=detail)


def studies_of(tx: Tx, change: Change) -> list[str]:
    """The studies here that may be of a patient: by the number that they have now, or that a film came with."""
    values = json.dumps(sorted({one.value for one in (*change.person.identifiers, *change.prior)}))
    rows = tx.rows(
        """
        SELECT study_instance_uid FROM worklist_entry WHERE site IS NULL
            AND patient_id IN (SELECT value FROM json_each(:values))
        UNION SELECT study_instance_uid FROM worklist_entry WHERE film_patient_id IN (
            SELECT value FROM json_each(:values)) ORDER BY 1
        """,
        {"values": values},
    )
    return [str(row["study_instance_uid"]) for row in rows]


def whose(tx: Tx, study: str) -> Whose:
    """What the films of a study say that count: what one does not, the next one may."""
    headers = [one.arrival.header for one in studies.of_study(tx, study) if one.state is InstanceState.CURRENT]
    names = ("patient_id", "issuer_of_patient_id", "patient_name", "birth_date", "sex", "accession_number")
    said = [[getattr(header, name) or "" for header in headers] for name in names]
    return Whose(*(next(filter(None, values), "") for values in said))


def accessions(tx: Tx, study: str) -> set[str]:
    """The accession numbers that a study goes by: the one that the RIS has given it, else each that a film names."""
    said, identity = known(tx, study)
    if "AccessionNumber" in identity:
        return {identity["AccessionNumber"]}
    headers = [one.arrival.header for one in studies.of_study(tx, study) if one.state is InstanceState.CURRENT]
    return {said.accession, *(header.accession_number or "" for header in headers)} - {""}


def patients(tx: Tx, study: str) -> set[Identifier]:
    """The patients that the films of a study name that count, as they are known now."""
    found = set()
    for one in studies.of_study(tx, study):
        header = one.arrival.header
        if one.state is InstanceState.CURRENT and header.patient_id:
            found.add(as_known(tx, Identifier(header.patient_id, header.issuer_of_patient_id or "")))
    return found


def as_known(tx: Tx, number: Identifier) -> Identifier:
    """A patient's number after all merges."""
    identity = patient.corrected(Whose(number.value, number.authority), _changes(tx, number.value))
    return Identifier(identity.get("PatientID", number.value), identity.get("IssuerOfPatientID", number.authority))


def known(tx: Tx, study: str) -> tuple[Whose, Identity]:
    """What the films say, and what is known otherwise.

    How the PACS calls the patient of the study counts where no admission has said it.
    """
    said = whose(tx, study)
    kept = [Change(one.person, at=-math.inf) for one in archived.of_study(tx, study) if one.study == study]
    identity = dict(patient.corrected(said, [*_changes(tx, said.patient_id), *kept], _accession(tx, study)))
    if procedure := _procedure(tx, study, identity.get("AccessionNumber", said.accession)):
        identity[PROCEDURE] = "^".join(astuple(procedure))
    return said, identity


def stands(tx: Tx, study: str) -> dict[str, str]:
    """What was known otherwise when the study was last looked at."""
    row = tx.row("SELECT identity FROM worklist_entry WHERE study_instance_uid = ?", (study,))
    found: dict[str, str] = json.loads(row["identity"]) if row else {}
    return found


def put(tx: Tx, study: str, said: Whose, identity: Identity) -> None:
    """The entry names the patient and the order as they are known now."""
    tx.execute(
        "UPDATE worklist_entry SET accession_number = ?, patient_id = ?, issuer_of_patient_id = ?, "
        "film_patient_id = ?, identity = ? WHERE study_instance_uid = ?",
        (
            identity.get("AccessionNumber", said.accession) or None, identity.get("PatientID", said.patient_id) or None,
            identity.get("IssuerOfPatientID", said.issuer) or None, said.patient_id or None,
            json.dumps(dict(identity), sort_keys=True, ensure_ascii=False), study,
        ),
    )  # fmt: skip


def _accession(tx: Tx, study: str) -> str:
    """The accession number that the RIS gave an order of the study last, in the place of another one."""
    row = tx.row(
        """
        SELECT subject FROM correction WHERE kind = ? AND study_instance_uid = ? AND message = ? AND subject != ''
            AND json_extract(detail, '$.changes') ORDER BY said_at DESC, id DESC
        """,
        (Word.ORDERED, study, study),
    )
    return str(row["subject"]) if row else ""


def _procedure(tx: Tx, study: str, accession: str) -> Procedure | None:
    """What the order of a study is for, where the RIS has said that it is another procedure than the films say."""
    rows = tx.rows(
        """
        SELECT json_extract(detail, '$.procedure') AS said, json_extract(detail, '$.changes') AS changes FROM correction
        WHERE kind = ? AND study_instance_uid = ? AND subject IN (?, '') AND said IS NOT NULL ORDER BY said_at, id
        """,
        (Word.ORDERED, study, accession),
    )
    said = [(Procedure(*json.loads(row["said"])), bool(row["changes"])) for row in rows]
    return procedure_now(studies.procedures(tx, study), said)


def _changes(tx: Tx, number: str) -> list[Change]:
    """What was said of a patient of this number, and of every number that they had since."""
    found: dict[int, Change] = {}
    numbers, looked_at = [number] if number else [], set[str]()
    while numbers and len(looked_at) < _MOST_NUMBERS:
        looked_at.add(value := numbers.pop())
        for row in tx.rows("SELECT * FROM correction WHERE kind = ? AND subject = ?", (_KIND, value)):
            change = found[int(row["id"])] = _change(row)
            if change.prior:
                numbers += [one.value for one in change.person.identifiers if one.value not in looked_at]
    return list(found.values())


def _change(row: Row) -> Change:
    detail = json.loads(row["detail"])
    person = Person(_read(detail["identifiers"]), detail["name"], detail["birth_date"], detail["sex"])
    return Change(person, _read(detail["prior"]), float(row["said_at"]), int(row["id"]))


def _read(pairs: Iterable[list[str]]) -> tuple[Identifier, ...]:
    return tuple(Identifier(*pair) for pair in pairs)
