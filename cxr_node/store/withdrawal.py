"""Keeping a study in step with what was said of it: which of its films count, and whether it stands.

Whoever records a fact, or brings a film, calls `follow` in the same transaction.
"""

from collections.abc import Collection
from dataclasses import dataclass

from cxr_node.domain.correction import (
    Facts,
    Ground,
    Rejection,
    Word,
    gravest,
    ground,
    require_releasable,
    standing_grounds,
)
from cxr_node.domain.instance import InstanceState
from cxr_node.domain.job import NewJob
from cxr_node.domain.patient import Identifier
from cxr_node.domain.reading import Actor
from cxr_node.domain.study import EntryState, Judging
from cxr_node.message import Message
from cxr_node.store import (
    calling_off,
    corrections,
    doubts,
    events,
    identities,
    jobs,
    reading,
    results,
    retraction,
    revisions,
    steps,
    studies,
    tellings,
    worklist,
)
from cxr_node.store.db import Tx
from cxr_node.store.studies import Stored

_CALLED_OFF = Message("the study was withdrawn")
_RENAMED = Message("its patient or its order has been corrected since")
_STANDS = Message("the study stands again")
_FILM_GONE = Message("a film that it was made from was rejected")


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What became of a study: its state, why, what was called off, and how many deliveries had left already."""

    state: EntryState
    reason: str | None
    called_off: int
    delivered: int


def withdraw(tx: Tx, study: str, why: str, actor: Actor, *, judging: Judging, now: float) -> Withdrawn | None:
    """A person takes a study back, for a reason in their own words; None where it had been before.

    Raises Permanent as `reading.require_here`.
    """
    reading.require_here(tx, study)
    known = standing_grounds(_facts(tx, study, judging))
    if any(each.state is EntryState.WITHDRAWN and each.name.startswith(Word.WITHDRAWN) for each in known):
        return None
    reason = Message("withdrawn by {name}: {why}", name=actor.name, why=why)
    corrections.say(tx, study, Word.WITHDRAWN, actor.name, now, reason=reason)
    return follow(tx, study, judging, now, actor)


def release(tx: Tx, study: str, actor: Actor, judging: Judging, now: float) -> None:
    """A person says that a study stands, whatever speaks against it now.

    Raises Permanent as `reading.require_here` and `require_releasable`.
    """
    reading.require_here(tx, study)
    grounds = standing_grounds(_facts(tx, study, judging))
    require_releasable(grounds)
    names = [each.name for each in grounds if each.releasable]
    corrections.say(tx, study, Word.RELEASED, actor.name, now, grounds=names)
    events.append(tx, now, "study.released", study, grounds=names, **_who(actor), **worklist.whose(tx, study))
    follow(tx, study, judging, now, actor)


def disown(tx: Tx, study: str, source: str, judging: Judging, now: float) -> Withdrawn | None:
    """A step of a study was begun from the wrong worklist entry (110514, DCM).

    Where another step stands, only what the wrong one lists is meant; else all that is filed there.
    """
    if not steps.stands(tx, study):
        corrections.say(tx, study, Word.DISOWNED, source, now)
    return follow(tx, study, judging, now)


def title(tx: Tx, study: str, number: int, judging: Judging) -> Rejection:
    """What a note about the documents of a revision is to be titled."""
    facts, found = _facts(tx, study, judging), revisions.numbered(tx, study, number)
    decides = ground(facts)
    if decides and decides.state is EntryState.WITHDRAWN:
        return decides.title
    gone = facts.outcast & found.revision.images.keys() if found else frozenset()
    return gravest(facts.rejected.get(uid, Rejection.WRONG_ENTRY) for uid in gone)


def follow(tx: Tx, study: str, judging: Judging, now: float, actor: Actor | None = None) -> Withdrawn | None:
    """Bring films, entry and jobs of a study in step with its facts; None where nothing is withdrawn or held by it.

    `actor`: the person whose word it is.
    """
    if worklist.state(tx, study) is None:
        return None
    _cast_out(tx, study, corrections.facts(tx, study, {}), judging, now)
    _identify(tx, study, now)
    whose = worklist.whose(tx, study)
    patient = Identifier(whose["patient_id"], whose["issuer_of_patient_id"] or "") if whose["patient_id"] else None
    if corrections.adopt(tx, study, identities.accessions(tx, study), patient):
        _identify(tx, study, now)
    decides, state = ground(_facts(tx, study, judging)), worklist.state(tx, study)
    if decides is None:
        if state in (EntryState.HELD, EntryState.WITHDRAWN):
            _reinstate(tx, study, actor or Actor(""), judging, now)
        return None
    if (state, worklist.reason(tx, study)) == (decides.state, decides.reason):
        return None
    return _take_out(tx, study, decides, actor, judging=judging, now=now)


def _facts(tx: Tx, study: str, judging: Judging) -> Facts:
    """Of a study that was read nothing is doubted any more: who read it has seen whose it is."""
    closed = worklist.state(tx, study) is EntryState.READ
    return corrections.facts(tx, study, {} if closed else doubts.of_study(tx, study, judging))


def _current(tx: Tx, study: str, uids: Collection[str] | None = None) -> list[Stored]:
    films = [one for one in studies.of_study(tx, study) if one.state is InstanceState.CURRENT]
    return [one for one in films if uids is None or one.arrival.header.sop_instance_uid in uids]


def _cast_out(tx: Tx, study: str, facts: Facts, judging: Judging, now: float) -> None:
    """Films that do not count any more leave the study: what it says comes from the others."""
    gone = _current(tx, study, facts.outcast)
    if not gone:
        return
    for one in gone:
        uid = one.arrival.header.sop_instance_uid
        studies.set_state(tx, one.arrival.digest, InstanceState.REJECTED)
        title = facts.rejected.get(uid)
        events.append(
            tx, now, "instance.rejected", study, sop_instance_uid=uid, digest=one.arrival.digest,
            reason=(title or Rejection.WRONG_ENTRY).sentence,
        )  # fmt: skip
    calling_off.analyses(tx, [one.arrival.digest for one in gone], _FILM_GONE, now)
    if not facts.left:  # it is withdrawn, and keeps what it was
        return
    revision = revisions.latest(tx, study)
    if revision and any(one.arrival.digest in revision.images.values() for one in gone):
        calling_off.documents(tx, study, calling_off.SUPERSEDED, _FILM_GONE, now)
    worklist.recompute(tx, study, judging, now)
    jobs.enqueue_unless_open(tx, [NewJob("settle", study)], now)


def _identify(tx: Tx, study: str, now: float) -> None:
    """What is known otherwise than the films say it stands in the worklist at once, and in the documents to come."""
    if not _current(tx, study):
        return
    before, (said, identity) = identities.stands(tx, study), identities.known(tx, study)
    identities.put(tx, study, said, identity)
    if identity == before:
        return
    events.append(tx, now, "study.identified", study, attributes=sorted(identity), **worklist.whose(tx, study))
    if revisions.latest(tx, study):
        calling_off.documents(tx, study, calling_off.SUPERSEDED, _RENAMED, now)
        jobs.enqueue_unless_open(tx, [NewJob("settle", study)], now)


def _take_out(tx: Tx, study: str, decides: Ground, actor: Actor | None, *, judging: Judging, now: float) -> Withdrawn:
    before = worklist.state(tx, study)
    worklist.put(tx, study, decides.state, decides.reason, now, by=actor.name if actor else None)
    films = [one.arrival.digest for one in _current(tx, study)]
    if decides.state is EntryState.WITHDRAWN:
        calling_off.analyses(tx, films, _CALLED_OFF, now)
    elif before is EntryState.WITHDRAWN:
        calling_off.resume_analyses(tx, films, now)
        worklist.recompute(tx, study, judging, now)  # of films that may be gone since
    called_off = calling_off.documents(tx, study, calling_off.WITHDRAWN, _CALLED_OFF, now)
    found = Withdrawn(decides.state, decides.reason, called_off, results.delivered_count(tx, study))
    jobs.hasten(tx, NewJob("settle", study, not_before=now))  # there is nothing to wait for
    known = {"called_off": found.called_off, "delivered": found.delivered}
    who = worklist.whose(tx, study) | (_who(actor) if actor else {})
    events.append(tx, now, f"study.{found.state}", study, alarm=True, reason=found.reason, **known, **who)
    if decides.state is EntryState.WITHDRAWN:
        jobs.enqueue(tx, retraction.due(tx, study, judging.notes, now), now)
        jobs.enqueue(tx, retraction.untold(tx, study), now)
    return found


def _who(actor: Actor) -> dict[str, str]:
    return {"by": actor.name} | ({} if actor.address is None else {"address": actor.address})


def _reinstate(tx: Tx, study: str, actor: Actor, judging: Judging, now: float) -> None:
    """The study stands again; documents follow when it has settled."""
    calling_off.resume_analyses(tx, [one.arrival.digest for one in _current(tx, study)], now)
    if worklist.state(tx, study) is EntryState.WITHDRAWN:
        worklist.recompute(tx, study, judging, now)
    reading.reinstate(tx, study, actor, judging, now)
    tellings.forget_retractions(tx, study, _STANDS, now)
    jobs.enqueue_unless_open(tx, [NewJob("settle", study)], now)
