"""A hub and its nodes on the bench: real databases and desks, and a line of function calls between them."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from cxr_node.domain import region
from cxr_node.domain.dicom_json import Attributes, element, first, sequence
from cxr_node.domain.job import Job
from cxr_node.domain.priority import Policy, Priority
from cxr_node.domain.reading import Actor
from cxr_node.domain.region import Asked
from cxr_node.domain.study import EntryState
from cxr_node.domain.workitem import Action, Caller, Reply, State
from cxr_node.errors import Permanent, Transient
from cxr_node.stages.inform import Inform
from cxr_node.store import events, reading, worklist
from cxr_node.ups.desk import Desk
from tests.bench import JUDGING, Bench, add_film, add_result, desk, header, study_uid

POLICY = Policy(max_wait_seconds=7200.0)
READER = Actor("reader")
ASKING = {"00741210": sequence({"0040A043": sequence({"00080100": element("SH", region.ASKED)})})}
"""What a site searches for at its hub (PS3.18 11.9)."""


@dataclass
class Line:
    """A node's way to a hub, without HTTP between; `away`: nobody answers. It counts what is asked for."""

    at: Desk
    site: str
    away: bool = False
    calls: list[str] = field(default_factory=list)

    def look(self, uid: str) -> State | None:
        self._reach("look")
        reply = self.at.get(uid, (), self._caller)
        return State(reply.attributes["00741000"]["Value"][0]) if reply.attributes else None

    def asked(self) -> dict[str, Asked]:
        self._reach("asked")
        found: dict[str, Asked] = {}
        for one in self.at.find_whole(ASKING, self._caller):
            asked = region.asked(one)
            assert asked is not None
            found[first(one, "0020000D")] = asked
        return found

    def create(self, uid: str, said: Attributes) -> None:
        self._answered("create", self.at.create(uid, said, self._caller))

    def update(self, uid: str, said: Attributes, transaction: str | None) -> None:
        shown = {"00081195": {"vr": "UI", "Value": [transaction]}} if transaction else {}
        self._answered("update", self.at.set(uid, said | shown, self._caller))

    def move(self, uid: str, state: State, transaction: str) -> None:
        said = {"00741000": {"vr": "CS", "Value": [state]}, "00081195": {"vr": "UI", "Value": [transaction]}}
        self._answered("move", self.at.act(uid, Action.CHANGE_STATE, said, self._caller))

    @property
    def _caller(self) -> Caller:
        return Caller(self.site, self.site, "127.0.0.1")

    def _reach(self, what: str) -> None:
        if self.away:
            raise Transient("UNREACHABLE", "no connection with the hub")
        self.calls.append(what)

    def _answered(self, what: str, reply: Reply) -> None:
        self._reach(what)
        if reply.status.refused:
            raise Permanent("HUB_REFUSED", f"{reply.status.name}: {reply.comment}")


@dataclass
class Site:
    """A node and its line to a hub."""

    name: str
    bench: Bench
    line: Line

    def tell(self) -> None:
        """Everything that the hub does not know yet."""
        stage = Inform(self.bench.store, self.line, self.bench.clock)
        while True:
            commit = stage.run(Job(1, "inform", "hub", "", 1, "token"))
            with self.bench.store.transaction() as tx:
                if not list(commit(tx)):
                    return


def hub_of(folder: Path, *sites: str) -> tuple[Bench, Desk]:
    folder.mkdir()
    bench = Bench(folder)
    return bench, replace(desk(bench, by_web=True, called=()), sites=sites)


def site(folder: Path, name: str, at: Desk) -> Site:
    folder.mkdir()
    return Site(name, Bench(folder), Line(at, name))


def listed(bench: Bench, *, closed: bool = False) -> list[dict[str, object]]:
    with bench.store.reading() as tx:
        return worklist.entries(tx, POLICY, bench.clock(), closed=closed)


def come(bench: Bench, number: int, at: float, probability: float | None = None, **facts: object) -> str:
    """A study of one film, judged or not."""
    with bench.store.transaction() as tx:
        film = add_film(tx, number, at=at, **facts)
        worklist.arrive(tx, header(number, **facts), at)
        events.append(tx, at, "instance.stored", study_uid(number))
        if probability is not None:
            add_result(tx, film, probability)
            worklist.refresh(tx, study_uid(number), JUDGING, at)
    return study_uid(number)


def act(bench: Bench, what: str, study: str) -> None:
    now = bench.clock()
    with bench.store.transaction() as tx:
        if what == "claim":
            reading.claim(tx, study, READER, now)
        elif what == "read":
            reading.mark_read(tx, study, READER, now)
        elif what == "give back":
            reading.claim(tx, study, READER, now)
            reading.release(tx, study, READER, JUDGING, now)
        elif what == "reopen":
            reading.mark_read(tx, study, READER, now)
            reading.reopen(tx, study, READER, JUDGING, now)
        elif what == "withdraw":
            worklist.put(tx, study, EntryState.WITHDRAWN, "a repeat", now)
        else:
            reading.prioritise(tx, study, Priority(what), READER, now)


SHOWN = ("study_instance_uid", *region.COLUMNS, "group")


def shown(bench: Bench, *, closed: bool = False) -> list[tuple[object, ...]]:
    return [tuple(entry[name] for name in SHOWN) for entry in listed(bench, closed=closed)]
