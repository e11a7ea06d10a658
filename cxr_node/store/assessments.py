"""What the gate said of the pixels of films that were analysed."""

import json
from dataclasses import asdict

from cxr_node.domain.quality import Assessment, Flag
from cxr_node.store.db import Tx


def save(tx: Tx, digest: str, assessment: Assessment | None, assessed_at: float) -> None:
    """Store what was said of a film in the place of what was said before; None where no gate looked at it."""
    tx.execute("DELETE FROM assessment WHERE instance_digest = ?", (digest,))
    if assessment is None:
        return
    gate = assessment.gate
    tx.execute(
        "INSERT INTO assessment (instance_digest, gate, version, gate_digest, reading, flags, assessed_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            digest, gate.name, gate.version, gate.digest, json.dumps(asdict(assessment.reading)),
            json.dumps(assessment.flags), assessed_at,
        ),
    )  # fmt: skip


def flags(tx: Tx, digest: str) -> tuple[Flag, ...] | None:
    """What was flagged of a film; None where no gate looked at it."""
    row = tx.row("SELECT flags FROM assessment WHERE instance_digest = ?", (digest,))
    return tuple(Flag(each) for each in json.loads(row["flags"])) if row else None
