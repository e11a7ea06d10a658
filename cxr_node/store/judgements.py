"""What models have said of films, as it stands in the database, for those who compare and calibrate models."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cxr_node.domain.instance import InstanceState
from cxr_node.store.db import Row, Tx


@dataclass(frozen=True, slots=True)
class Judgement:
    """One model's output for a film: logits as they came (none in results of an earlier release), and the probability
    as it was read then (0..1)."""

    logits: tuple[float, ...]
    probability: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A film in use and what a model said of it. `received_at` in seconds since 1970 UTC."""

    digest: str
    study: str
    accession: str
    received_at: float
    judgement: Judgement


def of_model(tx: Tx, model_digest: str, since: float = 0.0) -> list[Judged]:
    """The films that a model has judged, in the order of receipt, of those that came at `since` or later."""
    rows = tx.rows(
        """
        SELECT i.digest, i.study_instance_uid, i.received_at, coalesce(w.accession_number, '') AS accession,
            r.logits, r.probability
        FROM result r JOIN instance i ON i.digest = r.instance_digest
        LEFT JOIN worklist_entry w ON w.study_instance_uid = i.study_instance_uid
        WHERE r.model_digest = ? AND i.state = ? AND i.received_at >= ? ORDER BY i.received_at, i.id
        """,
        (model_digest, InstanceState.CURRENT, since),
    )
    return [_judged(row) for row in rows]


def of_both(tx: Tx, one: str, other: str, since: float = 0.0) -> Iterator[tuple[Judged, Judgement]]:
    """The films that two models have judged: what the first said, and what the other did."""
    seen = {each.digest: each.judgement for each in of_model(tx, other, since)}
    for each in of_model(tx, one, since):
        if each.digest in seen:
            yield each, seen[each.digest]


def _judged(row: Row) -> Judged:
    said: Any = json.loads(row["logits"])
    judgement = Judgement(tuple(said), float(row["probability"]))
    return Judged(row["digest"], row["study_instance_uid"], row["accession"], float(row["received_at"]), judgement)
