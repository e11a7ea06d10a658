"""Which SR class a destination takes: learnt from the association that refused the wanted one, and kept for a while."""

import json
from typing import cast

from cxr_node.domain.report_class import ReportClass
from cxr_node.store.db import Tx

KEPT_SECONDS = 86_400.0  # then the wanted class is tried again: a PACS that was renewed is to be found out


def record(tx: Tx, destination: str, wanted: ReportClass, accepted: ReportClass, now: float) -> None:
    """Where `wanted` was refused, `accepted` is what the destination takes instead."""
    value = json.dumps({"wanted": wanted, "accepted": accepted, "at": now})
    tx.execute("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (_name(destination), value))


def accepted(tx: Tx, destination: str, wanted: ReportClass, now: float) -> ReportClass:
    """The class to write for a destination of which the configuration wants `wanted`."""
    row = tx.row("SELECT value FROM setting WHERE name = ?", (_name(destination),))
    if row is None:
        return wanted
    known = json.loads(row["value"])
    if known["wanted"] != wanted or not 0 <= now - known["at"] < KEPT_SECONDS:
        return wanted
    return cast(ReportClass, known["accepted"])


def _name(destination: str) -> str:
    return f"report_class {destination}"
