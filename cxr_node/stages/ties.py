"""The selections of key objects that fall due when no more documents of a revision are made."""

from collections.abc import Iterable, Sequence

from cxr_node.domain.job import NewJob
from cxr_node.domain.outputs import Target
from cxr_node.store import results
from cxr_node.store.db import Tx


def due(tx: Tx, study: str, target: Target, destinations: Sequence[str]) -> Iterable[NewJob]:
    """Those for destinations of a mode that had got their documents before it was known that these were the last.

    For all others the last of their deliveries asks for it.
    """
    for name in (target.destination,) if target.destination else destinations:
        whose = Target(target.revision, target.mode, destination=name)
        if results.all_sent(tx, study, whose):
            yield NewJob("key_objects", study, str(whose))
