"""That somebody looked: at the list or at one workitem; in the trail once a minute, however often a program asks."""

import threading
from collections import OrderedDict
from dataclasses import asdict
from typing import Final

from cxr_node.domain.workitem import Asked, Caller
from cxr_node.store import events, worklist
from cxr_node.store.db import Row, Tx

_AGAIN_SECONDS: Final = 60.0
_MOST: Final = 10_000


class Looks:
    """Who looked at what within the last minute. Safe for threads."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._lock = threading.Lock()

    def is_new(self, now: float, *key: str) -> bool:
        with self._lock:
            last = self._last.get(key)
            if last is not None and 0 <= now - last < _AGAIN_SECONDS:
                return False
            self._last[key] = now
            self._last.move_to_end(key)
            while len(self._last) > _MOST:
                self._last.popitem(last=False)
            return True

    def at_list(self, tx: Tx, caller: Caller, now: float, asked: Asked | None = None) -> None:
        """With the query of a peer (`asked`) it is told as PS3.15 A.5.3.10 has it."""
        if self.is_new(now, caller.name, caller.address, ""):
            name, how = ("worklist.queried", asdict(asked)) if asked else ("worklist.viewed", {})
            known = {"by": caller.name, "calling": caller.ae_title, "address": caller.address}
            events.append(tx, now, name, None, **known, **how)

    def at_workitem(self, tx: Tx, caller: Caller, row: Row, now: float) -> None:
        study = row["study_instance_uid"]
        if study and self.is_new(now, caller.name, caller.address, study):
            whose = worklist.whose(tx, study)
            events.append(tx, now, "study.viewed", study, by=caller.name, address=caller.address, **whose)
