"""The node's parts on a bench: a real database and spool in a temporary folder, and a clock that the test turns."""

import hashlib
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydicom.dataset import FileDataset

from cxr_node.decoding.line import Order
from cxr_node.decoding.process import Decoder
from cxr_node.dimse.sender import Peer
from cxr_node.domain.commitment import Terms
from cxr_node.domain.eligibility import Rules
from cxr_node.domain.finding import Analysis, Cutoffs, ModelIdentity
from cxr_node.domain.instance import Header, InstanceState
from cxr_node.domain.intake import Received, Verdict
from cxr_node.domain.outputs import Taste
from cxr_node.domain.priority import Policy
from cxr_node.domain.quality import LEAST_SIDE
from cxr_node.domain.study import Judging, Waiting
from cxr_node.imaging.digest import data_set_digest
from cxr_node.spool import Spool
from cxr_node.stages.analyse import Admission, Admit, Develop
from cxr_node.stages.deliver import Deliver
from cxr_node.stages.receive import Receive
from cxr_node.stages.stage import attempt
from cxr_node.stages.turned_away import TurnedAway
from cxr_node.store import results, studies
from cxr_node.store.db import Row, Store, Tx
from cxr_node.store.studies import Arrival
from cxr_node.ups.desk import Desk
from cxr_node.ups.looks import Looks

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
CUTOFFS = Cutoffs(threshold=0.3, medium=0.3, high=0.7)
MODEL = ModelIdentity("cxr-test", "1.0.0", "d" * 64)
JUDGING = Judging(MODEL.digest, CUTOFFS)


def opened(path: Path) -> Store:
    """The database of a node; where there is none yet, a copy of an empty one, which is made once."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)  # as the node makes it
        path.write_bytes(_empty_database())
    return Store.open(path)


@cache
def _empty_database() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.sqlite"
        Store.open(path).close()
        return path.read_bytes()


@dataclass
class Clock:
    """Stands still until it is turned."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now

    def turn(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Bench:
    """One node's store, spool and intake in `root`; `woken` counts how often the intake told of new work."""

    root: Path
    rules: Rules = field(default_factory=Rules)
    waiting: Waiting = field(default_factory=lambda: Waiting(settle=120.0, maximum=600.0))
    clock: Clock = field(default_factory=Clock)
    woken: int = 0

    def __post_init__(self) -> None:
        self.spool = Spool(self.root, watermark=0)
        self.spool.prepare()
        self.store = opened(self.root / "cxr-node.sqlite")
        self.intake = Receive(
            self.store, self.spool, self.rules, lambda: JUDGING, self.waiting, {}, self.clock, self._wake, str
        )
        self.turned_away = TurnedAway(self.store, self.clock)

    def _wake(self) -> None:
        self.woken += 1

    def send(self, film: FileDataset, **command: Any) -> Verdict:
        """Hand a film to the intake as the listener does; `command` replaces what the C-STORE command says."""
        with self.received(film, **command) as received:
            return self.intake.accept(received)

    @contextmanager
    def received(self, film: FileDataset | bytes, **command: Any) -> Iterator[Received]:
        """A part with a film (or bytes) in it, open as the listener leaves it, and gone afterwards."""
        part = self.spool.incoming / f"{uuid.uuid4().hex}.part"
        if isinstance(film, bytes):
            part.write_bytes(film)
        else:
            film.save_as(part, enforce_file_format=True)
        known: dict[str, Any] = {
            "error": None,
            "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1" if isinstance(film, bytes) else str(film.SOPClassUID),
            "sop_instance_uid": "1.2.3" if isinstance(film, bytes) else str(film.SOPInstanceUID),
            "transfer_syntax": "1.2.840.10008.1.2.1",
            "calling_ae_title": "MODALITY",
            "address": "192.0.2.7",
        }
        with part.open("rb") as stream:
            yield Received(path=part, stream=stream, digest=data_set_digest(part), **(known | command))
        part.unlink(missing_ok=True)

    def rows(self, sql: str, *parameters: object) -> list[Row]:
        with self.store.reading() as tx:
            return tx.rows(sql, parameters)

    def events(self) -> list[str]:
        return [row["event"] for row in self.rows("SELECT event FROM event ORDER BY sequence")]


def desk(bench: Bench, *, by_web: bool = False, called: Collection[str] = ("WATCHER",)) -> Desk:
    """Who answers for workitems; the model moves studies, and they wait for two hours at most."""
    return Desk(
        bench.store,
        lambda _: Policy(7200.0),
        lambda: JUDGING,
        called,
        by_web,
        lambda: "PACS",
        "CXR_NODE",
        bench.clock,
        lambda: None,
        Looks(),
    )


def deliver(
    bench: Bench, peers: Mapping[str, Peer], terms: Mapping[str, Terms], send: Callable[[Peer, Path], int], **more: Any
) -> Deliver:
    """The stage that sends, to peers that take every class of report."""
    known: dict[str, Any] = {
        "tastes": {name: Taste() for name in peers},
        "accepted": lambda _, sop_classes: sop_classes,
        "key_objects": False,
        "notes": frozenset(),
        "has": None,
    }
    return Deliver(bench.store, bench.spool, peers, terms, send=send, clock=bench.clock, **(known | more))


def header(number: int = 1, study: int | None = None, **facts: Any) -> Header:
    """The header of film `number`, an ordinary chest film; of a study of its own, or of `study`."""
    known: dict[str, Any] = {
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1",
        "sop_instance_uid": f"1.2.3.{number}",
        "study_instance_uid": study_uid(number if study is None else study),
        "series_instance_uid": f"1.2.5.{number}",
        "modality": "DX",
        "image_type": ("ORIGINAL", "PRIMARY"),
        "body_part": "CHEST",
        "view_position": "PA",
        "rows": 2000,
        "columns": 2000,
    }
    return Header(**(known | facts))


def study_uid(number: int) -> str:
    return f"1.2.4.{number}"


def digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def add_film(
    tx: Tx, number: int, *, at: float = NOON, state: InstanceState = InstanceState.CURRENT, **facts: Any
) -> str:
    """Row of film `number`, received `at`; its digest."""
    head = header(number, **facts)
    arrival = Arrival(digest(number), f"films/{number}.dcm", 1000, "1.2.840.10008.1.2.1", "MODALITY", at, head)
    studies.add(tx, arrival, state, None)
    return arrival.digest


def analysis(probability: float, finding: str = "pneumonia") -> Analysis:
    return Analysis(MODEL, finding, probability, {"none": 1 - probability, finding: probability}, ((0.0, 1.0),))


def add_result(tx: Tx, film: str, probability: float) -> None:
    results.save(tx, film, analysis(probability), NOON)


def develop(spool: Spool) -> Develop:
    """What the decoders do, in this process: films are prepared, admitted and drawn one after the other."""
    decoder = Decoder(spool, LEAST_SIDE)

    def one(admit: Admit, arrival: Arrival) -> Admission:
        order = Order(arrival.path, arrival.digest)
        film, prepared = decoder.prepare(order)
        admission = admit(prepared)
        decoder.draw(order, film, inverted=admission[1] is not None and admission[1].inverted)
        return admission

    return lambda films, admit: [attempt(partial(one, admit), film) for film in films]
