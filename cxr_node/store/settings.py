"""Small things that the node remembers by name, as JSON."""

import json
from typing import Any

from cxr_node.store.db import Tx


def put(tx: Tx, name: str, value: Any) -> None:
    tx.execute("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (name, json.dumps(value)))


def get(tx: Tx, name: str, default: Any) -> Any:
    row = tx.row("SELECT value FROM setting WHERE name = ?", (name,))
    return json.loads(row["value"]) if row else default
