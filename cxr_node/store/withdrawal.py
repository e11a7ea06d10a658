"""Taking a study back: it is not to be read, and nothing more of it is to be written or sent."""

from dataclasses import dataclass

from cxr_node.domain.instance import InstanceState
from cxr_node.domain.study import EntryState
from cxr_node.message import Message
from cxr_node.store import events, jobs, messages, results, steps, studies, worklist
from cxr_node.store.db import Tx

DISOWNED = Message(
    "its X-ray machine says that the wrong worklist entry was selected: its films may show another patient"
)
CANCELLED = Message("its order was cancelled in the RIS")
MIXED = Message("some of its films were withdrawn, and others were not: a person has to say which are this patient's")


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What became of a study: the documents and deliveries that were called off, and how many had left already."""

    state: EntryState
    reason: str
    called_off: int
    delivered: int


def withdraw(tx: Tx, study: str, reason: str, now: float, state: EntryState = EntryState.WITHDRAWN) -> Withdrawn | None:
    """Withdraw a study for `reason`, a sentence for the reader, or hold it; None where it was so before, or is unknown.

    One that is held stands in the worklist, but no documents are made of it either.
    """
    if worklist.state(tx, study) in (None, state):
        return None
    worklist.put(tx, study, state, reason, now)
    why = Message("the study was withdrawn")
    called_off = results.call_off(tx, study, "WITHDRAWN", why, now)
    jobs.enqueue(tx, messages.call_off(tx, study, "WITHDRAWN", why, now), now)
    withdrawn = Withdrawn(state, reason, called_off, results.delivered_count(tx, study))
    known = {"called_off": withdrawn.called_off, "delivered": withdrawn.delivered}
    events.append(tx, now, f"study.{state}", study, alarm=True, reason=reason, **known)
    return withdrawn


def disown(tx: Tx, study: str, now: float) -> Withdrawn | None:
    """A step of a study was begun from the wrong worklist entry (110514, DCM).

    Where another step stands, only what the wrong one lists is meant; else all that is filed there.
    """
    if not steps.stands(tx, study):
        return withdraw(tx, study, DISOWNED, now)
    return _sort(tx, study, now)


def film_came(tx: Tx, study: str, sop_instance_uid: str, now: float) -> Withdrawn | None:
    """A film may have been disowned before it came; one that was not brings a withdrawn study back into sight."""
    if steps.disowned(tx, sop_instance_uid) or worklist.state(tx, study) == EntryState.WITHDRAWN:
        return _sort(tx, study, now)
    return None


def cancelled(tx: Tx, study: str) -> bool:
    """Whether a study was withdrawn because its order was cancelled."""
    return worklist.reason(tx, study) == CANCELLED


def _sort(tx: Tx, study: str, now: float) -> Withdrawn | None:
    films = [one for one in studies.of_study(tx, study) if one.state is InstanceState.CURRENT]
    wrong = [one for one in films if steps.disowned(tx, one.arrival.header.sop_instance_uid)]
    if wrong and len(wrong) == len(films):
        return withdraw(tx, study, DISOWNED, now)
    if wrong or worklist.state(tx, study) == EntryState.WITHDRAWN:
        return withdraw(tx, study, MIXED, now, EntryState.HELD)
    return None
