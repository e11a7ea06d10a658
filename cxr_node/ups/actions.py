"""The actions on workitems (PS3.4 CC.2.1 to CC.2.3): state, request to cancel, subscriptions."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from cxr_node.domain import dicom_json, requirements, workitem
from cxr_node.domain.clock import Clock
from cxr_node.domain.dicom_json import Attributes, element, first, items
from cxr_node.domain.reading import Actor
from cxr_node.domain.study import Judging
from cxr_node.domain.workitem import FILTERED, GLOBAL, Action, Caller, Event, Reply, State, Status
from cxr_node.errors import Permanent
from cxr_node.store import events, reading, subscriptions, workitems, worklist
from cxr_node.store.db import Row, Tx
from cxr_node.store.subscriptions import News, Wish

_MOST_RECEIVERS: Final = 1000
_STATE, _TRANSACTION, _RECEIVER, _LOCK = "00741000", "00081195", "00741234", "00741230"
_PROGRESS: Final = "00741002"
_SUBSCRIBING: Final = (_RECEIVER, _LOCK, "00080005")
_REASONS: Final = ("00741238", "0074100E", "0074100A", "0074100C")  # reason, code, whom to ask and how
_TITLE: Final = re.compile(r"[\x21-\x5b\x5d-\x7e][\x20-\x5b\x5d-\x7e]{0,15}")
_WELL_KNOWN: Final = (GLOBAL, FILTERED)
_RECORDED: Final = {
    Action.SUBSCRIBE: "subscriber.subscribed",
    Action.UNSUBSCRIBE: "subscriber.unsubscribed",
    Action.SUSPEND: "subscriber.suspended",
}


@dataclass(frozen=True, slots=True)
class Actions:
    """`judging`, `called` and `by_web` as in `Desk`."""

    judging: Callable[[], Judging]
    called: Collection[str]
    by_web: bool
    clock: Clock

    def act(self, tx: Tx, uid: str, action: int, said: Attributes, caller: Caller) -> Reply:
        """One action, in the transaction of the caller."""
        if action in (Action.SUBSCRIBE, Action.UNSUBSCRIBE, Action.SUSPEND):
            return self._subscription(tx, uid, Action(action), said, caller)
        if action not in (Action.CHANGE_STATE, Action.REQUEST_CANCEL):
            return Reply(Status.NO_SUCH_ACTION, "Action Type ID is 1 to 5")
        row = workitems.of_uid(tx, uid)
        if row is None:
            appropriate = Status.NOT_APPROPRIATE if uid in _WELL_KNOWN else Status.UNKNOWN
            return Reply(appropriate, "there is no such workitem here")
        if action == Action.CHANGE_STATE:
            return self._change(tx, row, said, caller)
        return self._request_cancel(tx, row, said, caller)

    def _change(self, tx: Tx, row: Row, said: Attributes, caller: Caller) -> Reply:
        wanted, transaction = first(said, _STATE), first(said, _TRANSACTION)
        if not wanted:
            return Reply(Status.MISSING_VALUE if _STATE in said else Status.MISSING_ATTRIBUTE, _text(_STATE))
        if fault := workitem.fault_in_change(State(row["state"]), row["transaction_uid"], wanted, transaction):
            return Reply(fault)
        if wanted == State.COMPLETED and (tag := requirements.lacking(workitems.said_of(row))):
            return Reply(Status.FINAL_STATE_UNMET, f"set {_text(tag)} of the performance (0074,1216) first")
        try:
            self._move(tx, row, State(wanted), transaction, caller)
        except Permanent as error:
            claimed = error.code == "STUDY_CLAIMED"
            return Reply(Status.ALREADY_IN_PROGRESS if claimed else Status.PROCESSING_FAILURE, error.message[:64])
        known = {"by": caller.name, "address": caller.address, "workitem": row["uid"], "state": wanted}
        study = row["study_instance_uid"]
        events.append(tx, self.clock(), "workitem.moved", study, **known, **worklist.whose(tx, study))
        return Reply()

    def _move(self, tx: Tx, row: Row, wanted: State, transaction: str, caller: Caller) -> None:
        """What is about a study moves it, as the web page would, and follows it."""
        now, study = self.clock(), row["study_instance_uid"]
        holder = Actor(row["performer"] or caller.name)
        if wanted is State.IN_PROGRESS:
            workitems.hold(tx, row["uid"], transaction, caller.name)
        if not row["listed"]:
            workitems.move(tx, row["uid"], wanted, now)
        elif wanted is State.IN_PROGRESS:
            reading.claim(tx, study, holder, now)
        elif wanted is State.COMPLETED:
            reading.mark_read(tx, study, holder, now)
        else:
            reading.release(tx, study, holder, self.judging(), now)

    def _request_cancel(self, tx: Tx, row: Row, said: Attributes, caller: Caller) -> Reply:
        """A study waits to be read whatever a peer wants: only what a peer created is canceled at once (CC.2.2.3)."""
        state, now = State(row["state"]), self.clock()
        if state is State.CANCELED:
            return Reply(Status.ALREADY_CANCELED)
        if state is State.COMPLETED:
            return Reply(Status.CANCEL_COMPLETED)
        reasons: Attributes = {tag: said[tag] for tag in _REASONS if tag in said}
        known = {"by": caller.name, "address": caller.address, "workitem": row["uid"]}
        if state is State.SCHEDULED:
            if row["creator"] is None:
                return Reply(Status.NOT_CANCELED, "the study waits to be read; a person may withdraw it")
            self._cancel(tx, row, reasons, now)
        else:
            asking = reasons | {"00741236": element("AE", caller.ae_title)}
            if not workitems.tell(tx, row, Event.CANCEL_REQUESTED, asking, now):
                return Reply(Status.UNREACHABLE, "nobody has subscribed to this workitem")
        study = row["study_instance_uid"]
        events.append(tx, now, "workitem.cancel_requested", study, **known, **worklist.whose(tx, study))
        return Reply()

    def _cancel(self, tx: Tx, row: Row, reasons: Attributes, now: float) -> None:
        said = workitems.said_of(row)
        progress = next(iter(items(said, _PROGRESS)), {}) | reasons
        workitems.say(tx, row["uid"], said | {_PROGRESS: dicom_json.sequence(progress)}, now)
        for state in (State.IN_PROGRESS, State.CANCELED):
            workitems.move(tx, row["uid"], state, now)

    def _subscription(self, tx: Tx, uid: str, action: Action, said: Attributes, caller: Caller) -> Reply:
        receiver, now = first(said, _RECEIVER), self.clock()
        row = workitems.of_uid(tx, uid)
        for tag in (_RECEIVER, _LOCK) if action is Action.SUBSCRIBE else (_RECEIVER,):  # type 1 in table CC.2.3-1
            if not first(said, tag):
                return Reply(Status.MISSING_VALUE if tag in said else Status.MISSING_ATTRIBUTE, _text(tag))
        if fault := self._fault_in_subscription(tx, uid, row, action, said):
            return fault
        keys = dicom_json.without(said, _SUBSCRIBING) if uid == FILTERED else None
        locked = first(said, _LOCK) == "TRUE"
        wish = Wish(receiver, uid, locked, receiver in self.called, keys)
        if action is Action.SUBSCRIBE:
            subscriptions.subscribe(tx, wish)
            self._tell_how_it_stands(tx, wish, row, now)
        elif action is Action.UNSUBSCRIBE:
            subscriptions.unsubscribe(tx, wish)
        else:
            subscriptions.suspend(tx, receiver)
        known = {"by": caller.name, "address": caller.address, "receiver": receiver, "workitem": uid, "locked": locked}
        events.append(tx, now, _RECORDED[action], None, **known)
        return Reply()

    def _fault_in_subscription(
        self, tx: Tx, uid: str, row: Row | None, action: Action, said: Attributes
    ) -> Reply | None:
        receiver = first(said, _RECEIVER)
        if uid not in _WELL_KNOWN and row is None:
            return Reply(Status.UNKNOWN, "there is no such workitem here")
        if action is Action.SUSPEND and uid not in _WELL_KNOWN:
            return Reply(Status.NOT_APPROPRIATE, "only a global subscription is suspended")
        if action is Action.SUBSCRIBE and first(said, _LOCK) not in ("TRUE", "FALSE"):
            return Reply(Status.INVALID_ARGUMENT, "Deletion Lock (0074,1230) is TRUE or FALSE")
        if not _TITLE.fullmatch(receiver) or not (self.by_web or receiver in self.called):
            return Reply(Status.RECEIVER_UNKNOWN, "no [[subscriber]] has this AE title")
        is_new = not subscriptions.known(tx, receiver)
        if action is Action.SUBSCRIBE and is_new and subscriptions.receivers(tx) >= _MOST_RECEIVERS:
            return Reply(Status.RESOURCE_LIMITATION, f"there are {_MOST_RECEIVERS} receivers")
        return None

    def _tell_how_it_stands(self, tx: Tx, wish: Wish, row: Row | None, now: float) -> None:
        """To a subscriber of one workitem, and to one of all with a lock of all (CC.2.4.3)."""
        to = {wish.receiver: wish.called}
        if row is not None:
            subscriptions.report(tx, to, _how_it_stands(row), now)
        elif wish.locked:
            for one in workitems.all_of(tx):
                if wish.receiver in subscriptions.of_workitem(tx, one, workitems.described(tx, one)):
                    subscriptions.report(tx, to, _how_it_stands(one), now)


def _text(tag: str) -> str:
    return f"({tag[:4]},{tag[4:]})"


def _how_it_stands(row: Row) -> News:
    return News(row["uid"], Event.STATE, workitems.state_information(row))
