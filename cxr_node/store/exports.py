"""Which films there are to export, with what the newest model that was in service said of them."""

from collections.abc import Collection
from dataclasses import dataclass

from cxr_node.domain.instance import InstanceState
from cxr_node.store import studies
from cxr_node.store.db import Tx
from cxr_node.store.served import SERVED
from cxr_node.store.studies import Stored


@dataclass(frozen=True, slots=True)
class Judged:
    """A film that is in use, and what a model found: its probability is that of the finding that sets the severity."""

    film: Stored
    model: str
    version: str
    finding: str
    probability: float


def studies_judged(tx: Tx, since: float, wanted: Collection[str]) -> list[str]:
    """The studies with films that were judged and came at `since` or later; of those `wanted`, or of all."""
    rows = tx.rows(
        """
        SELECT DISTINCT study_instance_uid FROM instance i WHERE state = ? AND received_at >= ?
            AND EXISTS (SELECT 1 FROM result WHERE instance_digest = i.digest) ORDER BY study_instance_uid
        """,
        (InstanceState.CURRENT, since),
    )
    found = [str(row["study_instance_uid"]) for row in rows]
    return [study for study in found if study in wanted] if wanted else found


def judged(tx: Tx, study: str) -> list[Judged]:
    """The films of a study that are in use and were judged, in the order of receipt."""
    found = []
    for film in studies.of_study(tx, study):
        row = tx.row(
            "SELECT model, version, finding, probability FROM result r "  # noqa: S608 - a constant condition
            f"WHERE instance_digest = ? AND {SERVED} ORDER BY id DESC",
            (film.arrival.digest,),
        )
        if row and film.state is InstanceState.CURRENT:
            found.append(Judged(film, **row))
    return found
