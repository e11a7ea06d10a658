"""What a person may do with a worklist entry: claim it, give it back, mark it as read, reopen it, set its priority.

Pure rules over the state of an entry and who holds it. One reader holds a study at a time. Who overrules (an
administrator, or the operator at the command line) may also release and close what somebody else holds.
"""

from collections.abc import Collection
from dataclasses import dataclass

from cxr_node.domain.study import EntryState
from cxr_node.errors import Permanent

OPEN = frozenset({EntryState.WAITING, EntryState.ANALYSED, EntryState.NOT_ANALYSED, EntryState.READING})
"""States in which a study is there to be read. One that is held is listed, but a person has to look at it first."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, as the audit trail names them, and whether they may do so with what another reader holds.

    `address`: whence somebody acts at the page; empty at the command line. None where another system has sent word by a
    message or a workitem, which is an event of its own.
    """

    name: str
    overrules: bool = False
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """What the rules look at: the state of an entry, and who reads it, if anybody does."""

    state: EntryState
    reader: str | None = None


def require_claimable(entry: Entry, actor: Actor) -> None:
    """Raises Permanent: STUDY_HELD, STUDY_CLOSED, or STUDY_CLAIMED where somebody else was faster."""
    _require(entry, OPEN)
    if entry.state is EntryState.READING and entry.reader != actor.name:
        raise Permanent("STUDY_CLAIMED", f"the study is being read by {entry.reader}")


def require_releasable(entry: Entry, actor: Actor) -> None:
    """Raises Permanent: STUDY_NOT_CLAIMED, or STUDY_CLAIMED where it is another reader's."""
    if entry.state is not EntryState.READING:
        raise Permanent("STUDY_NOT_CLAIMED", "nobody has claimed the study")
    _require_own(entry, actor)


def require_readable(entry: Entry, actor: Actor) -> None:
    """Raises Permanent: STUDY_HELD, STUDY_CLOSED, or STUDY_CLAIMED where another reader holds it."""
    _require(entry, OPEN)
    if entry.state is EntryState.READING:
        _require_own(entry, actor)


def require_read(entry: Entry) -> None:
    """Raises Permanent: STUDY_NOT_READ."""
    if entry.state is not EntryState.READ:
        raise Permanent("STUDY_NOT_READ", "the study is not marked as read")


def require_listed(entry: Entry) -> None:
    """Raises Permanent: STUDY_CLOSED for one that has left the list."""
    _require(entry, OPEN | {EntryState.HELD})


def _require(entry: Entry, states: Collection[EntryState]) -> None:
    if entry.state in states:
        return
    if entry.state is EntryState.HELD:
        raise Permanent("STUDY_HELD", "the study is held until a person has decided which patient its films show")
    raise Permanent("STUDY_CLOSED", f"the study has left the worklist: it is {entry.state}")


def _require_own(entry: Entry, actor: Actor) -> None:
    if entry.reader != actor.name and not actor.overrules:
        raise Permanent("STUDY_CLAIMED", f"the study is being read by {entry.reader}")
