"""What contradicts what about a study: its films each other, or the RIS or the PACS its films."""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import date

from cxr_node.domain.correction import Word
from cxr_node.domain.doubt import Archived, Claim, Films, doubts
from cxr_node.domain.instance import InstanceState
from cxr_node.domain.patient import Identifier
from cxr_node.domain.study import Judging
from cxr_node.store import archived, identities, studies
from cxr_node.store.db import Row, Tx


def of_study(tx: Tx, study: str, judging: Judging) -> Mapping[str, str]:
    """By name, a sentence for each doubt for which the site wants studies held; none where no film is left."""
    if not judging.hold:
        return {}
    films = _films(tx, study)
    kept = [_as_known(tx, one) for one in archived.of_study(tx, study)]
    found = doubts(films, _claims(tx, study, identities.accessions(tx, study)), kept, judging.order_days)
    return {doubt.name: doubt.sentence for doubt in found if doubt.about in judging.hold}


def said(tx: Tx, study: str) -> list[dict[str, str]]:
    """Who says whose a study is: its films, the RIS and the PACS, each once, as `study --json` shows it."""
    headers = [one.arrival.header for one in studies.of_study(tx, study) if one.state is InstanceState.CURRENT]
    found = [
        _line("film", _number(header.patient_id or "", header.issuer_of_patient_id or ""), header.accession_number,
              _date(header.study_date))
        for header in headers
    ]  # fmt: skip
    for claim in _claims(tx, study, identities.accessions(tx, study)):
        patients = " ".join(_number(one.value, one.authority) for one in claim.patients)
        found.append(_line("ris", patients, claim.accession, claim.day))
    for one in archived.of_study(tx, study):
        patients = " ".join(_number(number.value, number.authority) for number in one.person.identifiers)
        found.append(_line("pacs", patients, one.accession, one.day) | {"study_instance_uid": one.study})
    return [line for place, line in enumerate(found) if line not in found[:place]]


def _line(source: str, patients: str, accession: str | None, day: date | None) -> dict[str, str]:
    planned = day.isoformat() if day else ""
    return {"source": source, "patient_id": patients, "accession_number": accession or "", "date": planned}


def _number(value: str, authority: str) -> str:
    return f"{value} ({authority})" if authority else value


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _films(tx: Tx, study: str) -> Films:
    named, identity = identities.known(tx, study)
    headers = [one.arrival.header for one in studies.of_study(tx, study) if one.state is InstanceState.CURRENT]
    accession = identity.get("AccessionNumber", named.accession)
    numbers = {accession, *(header.accession_number or "" for header in headers)} - {""}
    days = frozenset(day for header in headers if (day := _date(header.study_date)))
    return Films(study, identities.patients(tx, study), accession, frozenset(numbers), days)


def _as_known(tx: Tx, one: Archived) -> Archived:
    """The PACS may not have heard yet of a merge: it means the patient as they are known now."""
    numbers = tuple(identities.as_known(tx, number) for number in one.person.identifiers)
    return replace(one, person=replace(one.person, identifiers=numbers))


def _claims(tx: Tx, study: str, accessions: Collection[str]) -> list[Claim]:
    """What the RIS says of orders of the study, by its UID or an accession number; of each order its newest word.

    For when it is planned the newest word counts that says so.
    """
    rows = tx.rows(
        """
        SELECT * FROM correction WHERE kind = :ordered AND study_instance_uid = :study
        UNION SELECT * FROM correction WHERE kind = :ordered AND message = :study
        UNION SELECT * FROM correction WHERE kind = :ordered AND subject != ''
            AND subject IN (SELECT value FROM json_each(:accessions))
        ORDER BY said_at, id
        """,
        {"ordered": Word.ORDERED, "study": study, "accessions": json.dumps(sorted(accessions))},
    )
    newest: dict[tuple[str, str], Claim] = {}
    for row in rows:
        order = (row["source"], row["subject"])
        claim, before = _claim(row, study), newest.get(order)
        newest[order] = replace(claim, day=before.day) if before and claim.day is None else claim
    return list(newest.values())


def _claim(row: Row, study: str) -> Claim:
    detail = json.loads(row["detail"])
    patients = tuple(Identifier(*pair) for pair in detail.get("patients", ()))
    return Claim(str(row["subject"]), patients, row["message"] == study, _date(detail.get("day")))
