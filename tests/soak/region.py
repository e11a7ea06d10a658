"""Many nodes and a hub, some of them killed: nothing is lost, and the order is that of one node that got everything.

That one node stands beside them, gets every film right after its site has it, and whatever is said of a study there.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from cxr_node.plan import open_store
from cxr_node.store import hub
from tests.films import chest
from tests.node import Node, free_port, wait_for
from tests.soak.report import Outcome, say

_DRAIN_SECONDS = 3600.0
_SAY_EVERY = 50
_MODE = "triage"  # no documents: what is looked at is the list
_JUDGED: dict[str, Any] = {  # phantoms look much alike to the model: so that it promotes a quarter of them
    "model__gate": "",
    "model__thresholds": {"pneumonia": 0.58},
    "worklist__tiers": {"medium": 0.58, "high": 0.6},
    "worklist__max_wait_minutes": 10_000,
}
_DEEDS = (("priority", "stat"), ("read",))
_FAILED = "SELECT count(*) AS n FROM job WHERE state = 'failed'"
_ASKED = "SELECT outcome FROM asked"


@dataclass
class Region:
    """`kept` are the films of a site whose node is away, which its X-ray machine has still to send."""

    hub: Node
    sites: dict[str, Node]
    single: Node
    kept: dict[str, list[Path]] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)

    @property
    def every(self) -> list[Node]:
        return [self.hub, self.single, *self.sites.values()]

    def expose(self, site: str, film: Path) -> None:
        """A film is made at a site: it is sent there and to the single node, or waits for its node to be back."""
        if site in self.kept:
            self.kept[site].append(film)
            return
        self.sites[site].send(film)
        self.single.send(film)

    def kill(self, site: str) -> None:
        """kill -9 of every process of a node."""
        _kill(self.sites[site])
        self.kept[site] = []

    def revive(self, site: str) -> None:
        self.sites[site].start()
        for film in self.kept.pop(site):
            self.expose(site, film)

    def ask(self, count: int, sites: set[str]) -> None:
        """People at the hub ask for STAT for studies of these sites, however those are."""
        for entry in self._untouched(self.hub.worklist(), count, sites):
            self._said(self.hub, "priority", entry["study_instance_uid"], "stat")

    def act(self, *sites: str) -> None:
        """At each site one study is called STAT, and another is read; the hub knew of both."""
        for site in sites:
            node = self.sites[site]
            for entry, (word, *more) in zip(self._untouched(node.worklist(), 2, {site}), _DEEDS, strict=False):
                self._said(node, word, entry["study_instance_uid"], *more)

    def in_step(self) -> bool:
        """Whether the hub has what the nodes have, and nobody has anything left to do."""
        found = self.hub.worklist()
        return all(
            [_place(entry) for entry in found if entry["site"] == name] == [_place(entry) for entry in node.worklist()]
            for name, node in self.sites.items()
        ) and not any(row["outcome"] is None for row in self.hub.rows(_ASKED))

    def _untouched(self, entries: list[dict[str, Any]], count: int, sites: set[str]) -> list[dict[str, Any]]:
        """The last of a list, of which nobody has said anything yet: to be moved far."""
        told = {row["study_instance_uid"] for row in self.hub.rows("SELECT study_instance_uid FROM worklist_entry")}
        found = [
            entry
            for entry in reversed(entries)
            if entry["study_instance_uid"] in told - self.touched and entry["site"] in (None, *sites)
        ][:count]
        self.touched |= {entry["study_instance_uid"] for entry in found}
        return found

    def _said(self, node: Node, *words: str) -> None:
        with ThreadPoolExecutor() as pool:
            for done in pool.map(lambda each: each.command(*words), (node, self.single)):
                assert done.returncode == 0, done.stderr


def region(folder: Path, sites: int, studies: int, seed: int) -> Outcome:
    """Send so many studies to so many nodes; two of them are killed, and the hub, and people say what is urgent."""
    chance, began = Random(seed), time.monotonic()
    with _standing(folder, sites) as found:
        say(f"{len(found.every)} nodes stand after {time.monotonic() - began:.0f} s")
        sending = time.monotonic()
        back = _play(found, folder, studies, chance)
        say(f"all sent after {time.monotonic() - sending:.0f} s")
        for node in found.every:
            node.wait_idle(_DRAIN_SECONDS)
        wait_for(found.in_step, _DRAIN_SECONDS, "a hub in step with its nodes")
        minutes = (time.monotonic() - sending) / 60
        outcome = Outcome("region", "A hub and its nodes")
        outcome.lines += [
            f"{sites} nodes, a hub, and a single node that got everything. Two nodes were killed with all their "
            f"processes, and the hub; from the first film to the last thing done {minutes:.0f} minutes. The hub had "
            f"been told what it had missed {back:.0f} s after it was started again.",
            "",
            "| | found | wanted |",
            "| --- | ---: | ---: |",
        ]
        _judge(found, outcome, studies)
    return outcome


def _play(found: Region, folder: Path, studies: int, chance: Random) -> float:
    """The films, and what happens between them; how long it took the hub to hear of what it had missed, in seconds."""
    first, second, third = list(found.sites)[:3]
    back: list[float] = []
    plan: list[tuple[float, str, Callable[[], None]]] = [
        (0.20, f"{first} is killed", lambda: found.kill(first)),
        (0.30, "the hub asks, also of who is away", lambda: found.ask(3, {first, third})),
        (0.35, f"{second} is killed", lambda: found.kill(second)),
        (0.50, f"{first} comes back", lambda: found.revive(first)),
        (0.55, "the hub is killed", partial(_kill, found.hub)),
        (0.60, "people read on", lambda: found.act(first, third)),
        (0.70, f"{second} comes back", lambda: found.revive(second)),
        (0.80, "the hub comes back", lambda: back.append(_timed(found))),
        (0.90, "the hub asks of all", lambda: found.ask(3, set(found.sites))),
    ]
    due = {round(share * studies): (text, deed) for share, text, deed in plan}
    for number in range(studies):
        if number in due:
            text, deed = due[number]
            say(f"film {number}: {text}")
            deed()
        elif number % _SAY_EVERY == 0:
            say(f"film {number}: {len(found.hub.worklist())} studies at the hub")
        film = found.single.written(chest(number + 1))
        found.expose(chance.choice(list(found.sites)), film)
    return back[0]


def _timed(found: Region) -> float:
    """Start the hub; how long until no node has anything left to tell it."""
    found.hub.start()
    began = time.monotonic()
    for node in found.sites.values():
        wait_for(partial(_has_told, node), _DRAIN_SECONDS, "a hub that knows all")
    return time.monotonic() - began


def _has_told(node: Node) -> bool:
    with closing(open_store(node.config)) as store, store.reading() as tx:
        return hub.behind(tx, time.time())[0] == 0


def _judge(found: Region, outcome: Outcome, studies: int) -> None:
    nodes = found.sites.values()
    outcome.expect("films acknowledged by the nodes", sum(len(node.acknowledged) for node in nodes), studies)
    count = "SELECT count(*) AS n FROM instance"
    outcome.expect("of them in their databases", sum(node.rows(count)[0]["n"] for node in nodes), studies)
    known = found.hub.rows("SELECT count(*) AS n FROM worklist_entry WHERE site IS NOT NULL")[0]["n"]
    outcome.expect("studies that the hub knows, each with its site", known, studies)
    outcomes = [row["outcome"] for row in found.hub.rows(_ASKED)]
    outcome.expect("priorities asked for at the hub, and given at the site", outcomes.count("given"), len(outcomes))
    hub, single = ([_place(entry) for entry in node.worklist()] for node in (found.hub, found.single))
    outcome.expect("studies in the list of the hub", len(hub), len(single))
    outcome.expect("of them promoted", sum(place[3] != "none" for place in hub),
                   sum(place[3] != "none" for place in single))  # fmt: skip
    differing = sum(one != other for one, other in zip(hub, single, strict=False))
    outcome.expect("places where that of the single node has another study, state, priority or tier", differing, 0)
    outcome.expect("jobs failed", sum(node.rows(_FAILED)[0]["n"] for node in found.every), 0)


def _place(entry: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(entry[name] for name in ("study_instance_uid", "state", "priority", "tier", "group"))


def _kill(node: Node) -> None:
    node.kill()
    node.kill("")


@contextmanager
def _standing(folder: Path, count: int) -> Iterator[Region]:
    """A hub, so many nodes that tell it, and one that tells nobody; all analyse."""
    names, port = [f"site{number:02}" for number in range(1, count + 1)], free_port()
    settings = {"node__mode": _MODE, "environment": {"OMP_NUM_THREADS": "1"}} | _JUDGED
    middle = Node(
        folder / "hub", node__role="hub", hub__sites=names, web__enabled=True, web__port=port,
        web__tokens=str(folder / "tokens"), **settings,
    )  # fmt: skip
    found = Region(middle, {}, Node(folder / "single", **settings))
    for name in names:
        token = middle.command("token", "add", name, "--role", "reader").stdout.strip()
        login = folder / f"{name}.login"
        login.write_text(f"Bearer {token}\n")
        url = f"http://127.0.0.1:{port}/dicom-web"
        found.sites[name] = Node(folder / name, hub__url=url, hub__authorization=str(login), **settings)
    with ExitStack() as standing:
        for node in found.every:
            standing.callback(node.close)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda node: node.start().analysing(), found.every))
        yield found
