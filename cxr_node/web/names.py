"""What a study is called in an address: its pseudonym, since addresses stay in logs and histories (Law 7)."""

import re
import threading
from collections.abc import Callable

from cxr_node.domain.pseudonym import is_study_pseudonym
from cxr_node.store import studies
from cxr_node.store.db import Store

_UID = re.compile(r"[0-9.]{1,64}")


class Names:
    """Studies by pseudonym. Those that came since are read from the database when one is asked for and not known."""

    def __init__(self, store: Store, pseudonym: Callable[[str], str]) -> None:
        self._store, self._pseudonym = store, pseudonym
        self._uids: dict[str, str] = {}
        self._read = self._gathered = 0
        self._lock = threading.Lock()

    def uid(self, name: str) -> str | None:
        """The Study Instance UID of what is a pseudonym or a UID already; None for anything else."""
        if not is_study_pseudonym(name):
            return name if _UID.fullmatch(name) else None
        with self._lock:
            if name not in self._uids:
                self._read_on()
            return self._uids.get(name)

    def _read_on(self) -> None:
        with self._store.reading() as tx:
            found, self._read = studies.uids_since(tx, self._read)
            others, self._gathered = studies.gathered_since(tx, self._gathered)
        self._uids.update((self._pseudonym(uid), uid) for uid in (*found, *others))
