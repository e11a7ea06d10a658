"""Who wants to hear of workitems (PS3.4 table CC.2.3-2), and what each is still to be told, in order.

A receiver has a row for each workitem that it named, which goes before the row of its global subscription. That one
stands for every workitem up to number `through`, or without end; a filtered one for those that match its keys.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from cxr_node.domain.dicom_json import Attributes, element
from cxr_node.domain.job import NewJob
from cxr_node.domain.matching import matches
from cxr_node.domain.workitem import FILTERED, GLOBAL, Event
from cxr_node.store import events, jobs
from cxr_node.store.db import Row, Tx

MOST_REPORTS = 10_000
"""That wait for one receiver. Of more, the oldest are dropped, and the trail says so."""

_WELL_KNOWN = (GLOBAL, FILTERED)


@dataclass(frozen=True, slots=True)
class News:
    """What happened to a workitem."""

    workitem: str
    event: Event
    information: Attributes


@dataclass(frozen=True, slots=True)
class Report:
    """The same for a receiver that has not had it yet."""

    sequence: int
    workitem: str
    event: Event
    information: Attributes


@dataclass(frozen=True, slots=True)
class Wish:
    """A subscription that is asked for. `called`: its receiver is called by DIMSE; else it comes for its reports."""

    receiver: str
    workitem: str
    locked: bool
    called: bool
    keys: Mapping[str, Any] | None = None


def subscribe(tx: Tx, wish: Wish) -> None:
    """To one workitem, or to all; in the second case to those that were unsubscribed from, too."""
    if wish.workitem in _WELL_KNOWN:
        tx.execute("DELETE FROM subscription WHERE receiver = ? AND NOT wanted", (wish.receiver,))
        tx.execute("DELETE FROM subscription WHERE receiver = ? AND workitem IN (?, ?)", (wish.receiver, *_WELL_KNOWN))
    _put(tx, wish, wanted=True)


def unsubscribe(tx: Tx, wish: Wish) -> None:
    """From one workitem; or from all, those included that were subscribed to one by one."""
    if wish.workitem in _WELL_KNOWN:
        tx.execute("DELETE FROM subscription WHERE receiver = ?", (wish.receiver,))
    else:
        _put(tx, wish, wanted=False)


def suspend(tx: Tx, receiver: str) -> None:
    """What is there already is told of on; workitems that come from now on are not."""
    tx.execute(
        """
        UPDATE subscription SET through = (SELECT coalesce(max(sequence), 0) FROM workitem)
        WHERE receiver = ? AND workitem IN (?, ?) AND through IS NULL
        """,
        (receiver, *_WELL_KNOWN),
    )


def _put(tx: Tx, wish: Wish, *, wanted: bool) -> None:
    keys = None if wish.keys is None else json.dumps(wish.keys, sort_keys=True)
    tx.execute(
        "INSERT OR REPLACE INTO subscription (receiver, workitem, called, wanted, locked, filter) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (wish.receiver, wish.workitem, wish.called, wanted, wish.locked and wanted, keys),
    )


def known(tx: Tx, receiver: str) -> bool:
    """Whether it has any subscription."""
    return tx.row("SELECT 1 FROM subscription WHERE receiver = ? AND wanted LIMIT 1", (receiver,)) is not None


def receivers(tx: Tx) -> int:
    """How many there are."""
    row = tx.row("SELECT count(DISTINCT receiver) AS n FROM subscription WHERE wanted")
    return int(row["n"]) if row else 0


def of_workitem(tx: Tx, row: Row, attributes: Mapping[str, Any]) -> dict[str, bool]:
    """Who hears of a workitem, and whether they are called; `attributes` as the keys of a filter look at them."""
    found = tx.rows(
        """
        SELECT receiver, called, workitem, filter FROM subscription s WHERE wanted AND (workitem = :uid OR (
            workitem IN (:all, :some) AND coalesce(through, :sequence) >= :sequence AND NOT EXISTS (
                SELECT 1 FROM subscription o WHERE o.receiver = s.receiver AND o.workitem = :uid)))
        """,
        {"uid": row["uid"], "all": GLOBAL, "some": FILTERED, "sequence": row["sequence"]},
    )
    return {
        one["receiver"]: bool(one["called"])
        for one in found
        if one["filter"] is None or matches(json.loads(one["filter"]), attributes)
    }


def anybody(tx: Tx) -> bool:
    """Whether anybody hears of anything: most nodes have no subscriber."""
    return tx.row("SELECT 1 FROM subscription WHERE wanted LIMIT 1") is not None


def everybody(tx: Tx) -> dict[str, bool]:
    """Who has any subscription, and whether they are called."""
    rows = tx.rows("SELECT DISTINCT receiver, called FROM subscription WHERE wanted")
    return {row["receiver"]: bool(row["called"]) for row in rows}


def report(tx: Tx, to: Mapping[str, bool], news: News, now: float) -> None:
    """Have receivers told of an event, in its transaction; those that are called, by a job for each."""
    text = json.dumps(news.information, sort_keys=True)
    for receiver in to:
        tx.execute(
            "INSERT INTO workitem_report (receiver, workitem, event, information, made_at) VALUES (?, ?, ?, ?, ?)",
            (receiver, news.workitem, int(news.event), text, now),
        )
        _bound(tx, receiver, now)
    called = [receiver for receiver, is_called in to.items() if is_called]
    jobs.enqueue_unless_open(tx, [NewJob("tell", receiver) for receiver in called], now)


def report_restart(tx: Tx, now: float) -> None:
    """The node is there again, with the workitems and subscriptions that it had (PS3.4 CC.2.4.3)."""
    warm = element("CS", "WARM START")
    information = {"00741242": element("CS", "RESTARTED"), "00741244": warm, "00741246": warm}
    report(tx, everybody(tx), News(GLOBAL, Event.SCP_STATUS, information), now)


def _bound(tx: Tx, receiver: str, now: float) -> None:
    oldest = tx.row(
        "SELECT sequence FROM workitem_report WHERE receiver = ? ORDER BY sequence DESC LIMIT 1 OFFSET ?",
        (receiver, MOST_REPORTS),
    )
    if oldest:
        dropped = tx.execute(
            "DELETE FROM workitem_report WHERE receiver = ? AND sequence <= ?", (receiver, oldest["sequence"])
        )
        events.append(tx, now, "subscriber.dropped", None, receiver=receiver, reports=dropped)


def waiting(tx: Tx, receiver: str, limit: int) -> list[Report]:
    """The next reports for a receiver."""
    rows = tx.rows("SELECT * FROM workitem_report WHERE receiver = ? ORDER BY sequence LIMIT ?", (receiver, limit))
    return [
        Report(int(row["sequence"]), row["workitem"], Event(row["event"]), json.loads(row["information"]))
        for row in rows
    ]


def told(tx: Tx, receiver: str, through: int) -> None:
    """A receiver has had its reports up to this one."""
    tx.execute("DELETE FROM workitem_report WHERE receiver = ? AND sequence <= ?", (receiver, through))


def forget(tx: Tx, workitems: Collection[str]) -> None:
    """These workitems are gone."""
    tx.execute(
        "DELETE FROM subscription WHERE workitem IN (SELECT value FROM json_each(?))", (json.dumps(list(workitems)),)
    )
