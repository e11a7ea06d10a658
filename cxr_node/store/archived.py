"""What the PACS says of studies: a fact for each answer that is another one than before."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from cxr_node.domain.doubt import Archived
from cxr_node.domain.patient import Identifier, Person
from cxr_node.store import corrections
from cxr_node.store.db import Tx

_KIND = "archived"


def say(tx: Tx, study: str, found: Sequence[Archived], source: str, now: float) -> None:
    """Record what the PACS has under the UID and the accession number of a study."""
    answers = [_kept(one) for one in found]
    if answers != _newest(tx, study):
        known = {"source": source, "said_at": now, "recorded_at": now}
        corrections.add(tx, _KIND, study, "", **known, detail={"answers": answers})


def of_study(tx: Tx, study: str) -> list[Archived]:
    """What it has said last; nothing, where it was not asked, or has nothing."""
    return [_read(kept) for kept in _newest(tx, study)]


def is_asked(tx: Tx, study: str, now: float) -> bool:
    """Whether the PACS is being asked now, or next: the end of that calls settle again."""
    row = tx.row(
        """
        SELECT 1 FROM job WHERE kind = 'crosscheck' AND subject = ?
            AND (state = 'running' OR state = 'ready' AND not_before <= ?)
        """,
        (study, now),
    )
    return row is not None


def heard(tx: Tx, study: str) -> str | None:
    """What came of asking last: "" an answer, else the code of what failed; None where nobody was asked."""
    row = tx.row(
        "SELECT coalesce(json_extract(detail, '$.code'), '') AS code FROM event WHERE study_instance_uid = ? "
        "AND event IN ('pacs.answered', 'pacs.unanswered') ORDER BY sequence DESC LIMIT 1",
        (study,),
    )
    return str(row["code"]) if row else None


def _newest(tx: Tx, study: str) -> list[dict[str, Any]]:
    row = tx.row(
        "SELECT detail FROM correction WHERE study_instance_uid = ? AND kind = ? ORDER BY id DESC LIMIT 1",
        (study, _KIND),
    )
    found: list[dict[str, Any]] = json.loads(row["detail"])["answers"] if row else []
    return found


def _kept(one: Archived) -> dict[str, Any]:
    person = one.person
    return {
        "study": one.study, "accession": one.accession, "day": f"{one.day:%Y%m%d}" if one.day else "",
        "identifiers": [[each.value, each.authority] for each in person.identifiers],
        "name": person.name, "birth_date": person.birth_date, "sex": person.sex,
    }  # fmt: skip


def _read(kept: dict[str, Any]) -> Archived:
    numbers = tuple(Identifier(*pair) for pair in kept["identifiers"])
    person = Person(numbers, kept["name"], kept["birth_date"], kept["sex"])
    day = date.fromisoformat(kept["day"]) if kept["day"] else None
    return Archived(kept["study"], kept["accession"], person, day)
