"""The workitems of a node for whoever asks by DIMSE or HTTP: what is asked is judged, done, recorded, and answered."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from cxr_node.domain import dicom_json, requirements, workitem
from cxr_node.domain.clock import Clock
from cxr_node.domain.dicom_json import Attributes, element, first, items, values
from cxr_node.domain.matching import answer, matches
from cxr_node.domain.modality_worklist import scheduled
from cxr_node.domain.priority import Policy, Priority
from cxr_node.domain.reading import Actor
from cxr_node.domain.reading_step import SETTABLE
from cxr_node.domain.study import Judging
from cxr_node.domain.workitem import Action, Asked, Caller, Event, Reply, State, Status
from cxr_node.errors import Transient
from cxr_node.store import events, gathered, reading, workitems, worklist
from cxr_node.store.db import Row, Store, Tx
from cxr_node.ups import asking
from cxr_node.ups.actions import Actions
from cxr_node.ups.looks import Looks
from cxr_node.ups.search import Ranking, Search

log = structlog.get_logger()

_MOST_OPEN: Final = 10_000  # workitems of peers
_MOST_CHARACTERS: Final = 64 * 1024  # of what is said of one
_NEVER_SET: Final = frozenset({"00080016", "00080018", "00081195", "00741000"})
_PRIORITY, _PROGRESS, _TRANSACTION, _PARAMETERS = "00741200", "00741002", "00081195", "00741210"
_ASSIGNED: Final = ("00404025", "00404034")  # stations and persons


@dataclass(frozen=True, slots=True)
class Desk:
    """`called` are the receivers that are called with event reports; `by_web`: others come for theirs.

    `judging` and `wake` as in `Receive`, `archive` gives what `Step` has, `station` is the node's AE title. `sites` are
    the names of nodes that tell this one, a hub, of their worklists; they come by web.
    """

    store: Store
    policy: Callable[[Tx], Policy]
    judging: Callable[[], Judging]
    called: Collection[str]
    by_web: bool
    archive: Callable[[], str]
    station: str
    clock: Clock
    wake: Callable[[], None]
    looks: Looks
    ranking: Ranking = field(default_factory=Ranking)
    sites: Collection[str] = ()

    @property
    def search(self) -> Search:
        return Search(self.store, self.policy, self.clock, self.archive, self.ranking)

    def create(self, uid: str, said: Attributes, caller: Caller) -> Reply:
        """N-CREATE (PS3.4 CC.2.5): a reading that a peer wants, of a study that is here or is to come."""
        if fault := _fault_in_creation(said):
            return fault
        return self._done(lambda tx: self._create(tx, uid, said, caller))

    def get(self, uid: str, tags: Sequence[str], caller: Caller) -> Reply:
        """N-GET (PS3.4 CC.2.7)."""

        def look(tx: Tx) -> Reply:
            row = workitems.of_uid(tx, uid)
            if row is None:
                return _unknown()
            if self._site(caller) != row["creator"]:  # a site that compares its own with ours is nobody who looks
                self.looks.at_workitem(tx, caller, row, self.clock())
            found = self.search.one(tx, row)
            wanted = {tag: found[tag] for tag in tags if tag in found} if tags else found
            return Reply(Status.NOT_SUPPORTED if set(tags) - found.keys() else Status.SUCCESS, attributes=wanted)

        return self._done(look)

    def set(self, uid: str, said: Attributes, caller: Caller) -> Reply:
        """N-SET (PS3.4 CC.2.6)."""
        if _too_long(said):
            return Reply(Status.RESOURCE_LIMITATION, f"more than {_MOST_CHARACTERS} characters")
        return self._done(lambda tx: self._set(tx, uid, said, caller))

    def act(self, uid: str, action: int, said: Attributes, caller: Caller) -> Reply:
        """N-ACTION (PS3.4 CC.2.1 to CC.2.3)."""
        actions = Actions(self.judging, self.called, self.by_web, self.clock)

        def act(tx: Tx) -> Reply:
            if action in (Action.CHANGE_STATE, Action.REQUEST_CANCEL) and self._of_another(tx, uid, caller):
                return asking.at_its_site()
            return actions.act(tx, uid, action, said, caller)

        return self._done(act)

    def find(self, query: Attributes, caller: Caller, asked: Asked) -> Iterator[Attributes]:
        """C-FIND (PS3.4 CC.2.8). Raises Transient where that somebody looks cannot be recorded."""
        with self.store.transaction() as tx:
            self.looks.at_list(tx, caller, self.clock(), asked)
        return (answer(query, found) for found in self.search.found(query))

    def find_scheduled(self, query: Attributes, caller: Caller, asked: Asked) -> Iterator[Attributes]:
        """C-FIND of a Modality Worklist (PS3.4 K.6): the studies that wait, in reading order."""
        with self.store.transaction() as tx:
            self.looks.at_list(tx, caller, self.clock(), asked)
        waiting = self.search.found({"00741000": element("CS", State.SCHEDULED)})
        entries = (scheduled(found, self.station) for found in waiting if found.get("0020000D", {}).get("Value"))
        return (answer(query, entry) for entry in entries if matches(query, entry))

    def find_whole(self, query: Attributes, caller: Caller) -> Iterator[Attributes]:
        """The same by HTTP, with all attributes of what is found."""
        site = self._site(caller)
        if site and asking.is_asking(query):
            return asking.found(self.search, site, query, self.looks, self.clock)
        with self.store.transaction() as tx:
            self.looks.at_list(tx, caller, self.clock())
        return self.search.found(query)

    def _done(self, work: Callable[[Tx], Reply]) -> Reply:
        """What is refused changes nothing: neither does what fails on the way."""
        try:
            with self.store.transaction() as tx:
                reply = work(tx)
                if reply.status.refused:
                    raise _Refused(reply)
        except _Refused as refused:
            log.info("workitem.refused", status=f"0x{refused.reply.status:04X}", reason=refused.reply.comment)
            return refused.reply
        except Transient as error:
            return Reply(Status.RESOURCE_LIMITATION, error.message[:64])
        self.wake()
        return reply

    def _create(self, tx: Tx, uid: str, said: Attributes, caller: Caller) -> Reply:
        if workitems.of_uid(tx, uid):
            return Reply(Status.DUPLICATE, "there is a workitem of this SOP Instance UID")
        site = self._site(caller)
        if not site and workitems.created_by_peers(tx) >= _MOST_OPEN:
            return Reply(Status.RESOURCE_LIMITATION, f"{_MOST_OPEN} workitems of peers are open")
        accession = first(next(iter(items(said, "0040A370")), {}), "00080050")
        study = _study_said(said) or _study_of(tx, accession)
        now = self.clock()
        filled = [tag for tag in requirements.CREATED_EMPTY if said[tag].get("Value")]
        kept = dicom_json.without(said, _NEVER_SET | requirements.CREATED_EMPTY)
        row = workitems.add(tx, uid, study, now, accession=accession, creator=caller.name, said=kept)
        known = {"by": caller.name, "address": caller.address, "workitem": uid}
        events.append(tx, now, "workitem.created", study, **known, **worklist.whose(tx, study))
        fault = self._gathered(tx, site, row, said, now) if site else self._joined(tx, row, said, caller, now)
        if fault:
            return fault
        self._assigned(tx, row, {}, now)
        return Reply(Status.CREATED_MODIFIED, "nobody has begun: what says so was left") if filled else Reply()

    def _joined(self, tx: Tx, row: Row, said: Attributes, caller: Caller, now: float) -> Reply | None:
        """A peer's workitem of a study that is here stands where the study does; why not, if it cannot."""
        if not row["listed"]:
            return None
        if row["entry_state"] in ("read", "withdrawn"):
            return Reply(Status.PROCESSING_FAILURE, "the study has left the worklist; reopen it first")
        self._prioritise(tx, row, said, caller, now)
        if row["entry_state"] == "reading":
            workitems.move(tx, row["uid"], State.IN_PROGRESS, now)
        return None

    def _set(self, tx: Tx, uid: str, said: Attributes, caller: Caller) -> Reply:
        row = workitems.of_uid(tx, uid)
        if row is None:
            return _unknown()
        if self._of_another(tx, uid, caller):
            return asking.ask(tx, row, said, caller, self.clock())
        if first(said, "00741000"):
            return Reply(Status.ONLY_BY_CREATION, "a state is changed by N-ACTION")
        state, transaction = State(row["state"]), first(said, _TRANSACTION)
        if fault := workitem.fault_in_update(state, row["transaction_uid"], transaction):
            return Reply(fault)
        if tag := requirements.emptied(said):
            return Reply(Status.MISSING_VALUE, f"({tag[:4]},{tag[4:]})")
        if _PRIORITY in said and workitem.wished_priority(said) is None:
            return Reply(Status.INVALID_VALUE, "Priority (0074,1200) is HIGH, MEDIUM or LOW")
        given = dicom_json.without(said, _NEVER_SET)
        taken = dicom_json.without(given, requirements.IDENTIFYING)
        if not row["creator"]:
            taken = {tag: found for tag, found in taken.items() if tag in SETTABLE}
        stood = workitems.said_of(row)
        kept = stood | taken
        if _too_long(kept):
            return Reply(Status.RESOURCE_LIMITATION, f"more than {_MOST_CHARACTERS} characters")
        now, ready = self.clock(), workitems.readiness(row)
        row = workitems.say(tx, uid, kept, now)
        told = row["creator"] in self.sites and _PARAMETERS in taken
        if told and (unfit := self._gathered(tx, row["creator"], row, taken, now)):
            return unfit
        known = {"by": caller.name, "address": caller.address, "workitem": uid, "attributes": sorted(taken)}
        study = row["study_instance_uid"]
        events.append(tx, now, "workitem.changed", study, **known, **worklist.whose(tx, study))
        if row["listed"]:
            self._prioritise(tx, row, taken, caller, now)
        if workitems.readiness(row) != ready:
            workitems.tell_state(tx, uid, now)
        if _PROGRESS in taken:
            workitems.tell(tx, row, Event.PROGRESS, {_PROGRESS: taken[_PROGRESS]}, now)
        self._assigned(tx, row, stood, now)
        return Reply() if len(taken) == len(given) else Reply(Status.COERCED, "what the study itself says was left")

    def _site(self, caller: Caller) -> str:
        """Which site asks; empty where it is somebody else. By DIMSE anybody may call themselves so."""
        return caller.name if self.by_web and caller.name in self.sites else ""

    def _of_another(self, tx: Tx, uid: str, caller: Caller) -> bool:
        """Whether it is a site's workitem, which nobody but that site changes."""
        row = workitems.of_uid(tx, uid)
        return bool(row and row["creator"] in self.sites and self._site(caller) != row["creator"])

    def _gathered(self, tx: Tx, site: str, row: Row, said: Attributes, now: float) -> Reply | None:
        """Put into the list what a site says of its study; why not, where it is not taken."""
        if row["study_instance_uid"] is None:
            return Reply(Status.MISSING_VALUE, "Study Instance UID (0020,000D)")
        fault = gathered.take(tx, site, row["study_instance_uid"], said, now)
        return Reply(Status.INVALID_VALUE, fault[:64]) if fault else None

    def _prioritise(self, tx: Tx, row: Row, said: Attributes, caller: Caller, now: float) -> None:
        """A person at another system wishes it: that is a person's priority."""
        wished = workitem.wished_priority(said)
        if wished is None or row["entry_state"] in ("read", "withdrawn"):
            return
        stands = Priority(row["priority"]) if row["priority"] else None
        priority = workitem.set_priority(stands, wished)
        reading.prioritise(tx, row["study_instance_uid"], priority, Actor(caller.name), now)

    def _assigned(self, tx: Tx, row: Row, before: Attributes, now: float) -> None:
        """To whom it is given is told as a whole, when any of it is not as `before` (PS3.4 CC.2.4.3)."""
        stands = workitems.said_of(row)
        if any(values(stands, tag) != values(before, tag) for tag in _ASSIGNED):
            assigned = {tag: stands[tag] for tag in _ASSIGNED if values(stands, tag)}
            workitems.tell(tx, row, Event.ASSIGNED, assigned, now)


class _Refused(Exception):
    """Ends the transaction of what is refused."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.comment)
        self.reply = reply


def _unknown() -> Reply:
    return Reply(Status.UNKNOWN, "there is no such workitem here")


def _too_long(said: Attributes) -> bool:
    return len(json.dumps(said)) > _MOST_CHARACTERS


def _fault_in_creation(said: Attributes) -> Reply | None:
    if fault := requirements.fault_in_creation(said):
        status, tag = fault
        return Reply(status, f"({tag[:4]},{tag[4:]})")
    if first(said, "00741000") != State.SCHEDULED:
        return Reply(Status.NOT_SCHEDULED, "Procedure Step State (0074,1000) must be SCHEDULED")
    if workitem.wished_priority(said) is None:
        return Reply(Status.INVALID_VALUE, "Priority (0074,1200) is HIGH, MEDIUM or LOW")
    if _too_long(said):
        return Reply(Status.RESOURCE_LIMITATION, f"more than {_MOST_CHARACTERS} characters")
    return None


def _study_said(said: Attributes) -> str:
    """The Study Instance UID that a peer names: of the request, of the input, or of the workitem itself."""
    named = [first(item, "0020000D") for tag in ("0040A370", "00404021") for item in items(said, tag)]
    return next((uid for uid in [*named, first(said, "0020000D")] if uid), "")


def _study_of(tx: Tx, accession: str) -> str | None:
    """The study of an accession number, where there is one and no other."""
    return worklist.study_of_accession(tx, accession) if accession else None
