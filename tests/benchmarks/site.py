"""A database in which many studies have been, and the way of one more through it."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cxr_node import config as configuration
from cxr_node import views
from cxr_node.dimse.sender import Peer
from cxr_node.domain.commitment import Terms
from cxr_node.domain.job import Job, JobState, NewJob
from cxr_node.domain.priority import Policy
from cxr_node.plan import database_of
from cxr_node.stages.analyse import follow
from cxr_node.stages.settle import Settle
from cxr_node.stages.stage import Stage
from cxr_node.store import events, jobs, results, worklist
from cxr_node.store.db import Tx
from cxr_node.store.results import Written
from tests.bench import JUDGING, Bench, analysis, deliver
from tests.films import chest

STEPS = ("receive", "take the analysis", "its result, the worklist", "settle", "two documents", "deliver two")
QUESTIONS = ("the worklist", "the study", "`status`")
_TABLES = ("instance", "worklist_entry", "result", "job", "study_revision", "document", "delivery", "event")
_MARK, _FIRST = "7777777", 1_000_000  # of the study that is copied, and the first of its copies
_SECONDS_APART, _WAITED = 60.0, 700.0
_AT_ONCE = 50_000
_PEER = Peer("pacs", "PACS", "127.0.0.1", 104)
_NUMBERS = "WITH RECURSIVE series (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM series WHERE n < :last)"
_DIGEST = "printf('%08x%056x', (n * 2654435761) & 4294967295, n)"  # in no order, as digests are


class Site:
    """One node's database with so many studies in it; `taken` in milliseconds, by step."""

    def __init__(self, folder: Path, count: int) -> None:
        folder.mkdir(parents=True)
        file = folder / "node.toml"
        file.write_text(f'[node]\ndata_dir = "{folder}"\nmode = "full"\n')
        self._config = configuration.load(file, {})
        assert database_of(self._config).parent == folder
        self._bench, self._number = Bench(folder), _FIRST + count
        self._deliver = deliver(self._bench, {"pacs": _PEER}, {"pacs": Terms("off", 0.0)}, lambda *_: 0)
        self.taken: dict[str, list[float]] = {name: [] for name in (*STEPS, *QUESTIONS)}
        if count:
            self._fill(count)

    @property
    def megabytes(self) -> float:
        return database_of(self._config).stat().st_size / 1e6

    def pass_one(self, *, counted: bool) -> None:
        """Have one study go the whole way, and be read."""
        self._number += 1
        took = self._pass(str(self._number))
        if counted:
            for name, milliseconds in took.items():
                self.taken[name].append(milliseconds)

    def _pass(self, mark: str) -> dict[str, float]:
        bench, study = self._bench, f"1.2.4.{mark}"
        took: dict[str, float] = {}
        bench.clock.turn(_SECONDS_APART)
        film = chest(SOPInstanceUID=f"1.2.3.{mark}", StudyInstanceUID=study, PatientID=f"P{mark}", AccessionNumber=mark)
        with bench.received(film) as received:
            took["receive"] = _timed(lambda: bench.intake.accept(received))
        taken: list[Job] = []
        took["take the analysis"] = _timed(lambda: taken.append(self._claim("analyse")))
        took["its result, the worklist"] = _timed(lambda: self._judge(taken[0], study))
        bench.clock.turn(_WAITED)
        took["settle"] = _timed(self._settle)
        written = [self._document(kind, study, mark) for kind in ("sr", "sc")]
        took["two documents"] = _timed(lambda: self._write(written))
        took["deliver two"] = _timed(lambda: [self._send() for _ in written])
        took["the worklist"] = _timed(self._worklist)
        took["the study"] = _timed(lambda: views.study(bench.store, study))
        took["`status`"] = _timed(lambda: views.status(self._config, bench.store, bench.clock(), call=False))
        with bench.store.transaction() as tx:
            tx.execute("UPDATE worklist_entry SET state = 'read' WHERE study_instance_uid = ?", (study,))
        return took

    def whole(self) -> list[float]:
        """Milliseconds of all that the node did, study by study."""
        return [sum(each) for each in zip(*(self.taken[name] for name in STEPS), strict=True)]

    def _claim(self, kind: str) -> Job:
        with self._bench.store.transaction(durable=False) as tx:
            (job,) = jobs.claim(tx, kind, "bench", self._bench.clock(), 300.0)
            return job

    def _end(self, tx: Tx, job: Job, following: Sequence[NewJob]) -> None:
        assert jobs.finish(tx, job, JobState.DONE, self._bench.clock())
        jobs.enqueue(tx, following, self._bench.clock())

    def _judge(self, job: Job, study: str) -> None:
        now = self._bench.clock()
        with self._bench.store.transaction() as tx:
            results.save(tx, job.subject, analysis(0.6), now)
            events.append(tx, now, "instance.analysed", study, digest=job.subject, probability=0.6)
            self._end(tx, job, follow(tx, study, JUDGING, self._bench.waiting, now))

    def _settle(self) -> None:
        stage = Settle(JUDGING, {}, self._bench.waiting, {"full": "report"}, (), self._bench.clock)
        self._run(stage, self._claim("settle"))

    def _document(self, kind: str, study: str, mark: str) -> Written:
        path = self._bench.spool.outbox / f"{kind}.dcm"
        path.touch()
        relative = str(path.relative_to(self._bench.spool.root))
        return Written(f"1.2.6.{len(kind) + ord(kind[1])}.{mark}", study, 1, "full", kind, "1.2", "1.3", relative)

    def _write(self, written: Sequence[Written]) -> None:
        job = self._claim("report")
        with self._bench.store.transaction() as tx:
            for document in written:
                results.add_document(tx, document, self._bench.clock())
                results.add_delivery(tx, document.sop_instance_uid, "pacs")
            self._end(tx, job, [NewJob("deliver", document.sop_instance_uid, "pacs") for document in written])

    def _send(self) -> None:
        self._run(self._deliver, self._claim("deliver"))

    def _run(self, stage: Stage, job: Job) -> None:
        (commit,) = stage.run_batch([job])
        if isinstance(commit, Exception):
            raise commit
        with self._bench.store.transaction() as tx:
            self._end(tx, job, [*commit(tx)])

    def _worklist(self) -> None:
        with self._bench.store.reading() as tx:
            worklist.entries(tx, Policy(7200.0), self._bench.clock())

    def _fill(self, count: int) -> None:
        """Copy one study that went the whole way."""
        self._pass(_MARK)
        with self._bench.store.transaction() as tx:
            digest = (tx.row("SELECT digest FROM instance") or {})["digest"]
            for table in _TABLES:
                tx.execute(f"CREATE TEMP TABLE first_{table} AS SELECT * FROM {table}")  # noqa: S608 - constants
            copies = [self._copy(tx, table) for table in _TABLES]
        for first in range(0, count, _AT_ONCE):
            last = min(first + _AT_ONCE, count) - 1
            numbers = {"first": _FIRST + first, "last": _FIRST + last, "end": _FIRST + count}
            with self._bench.store.transaction() as tx:
                for copy in copies:
                    tx.execute(copy, numbers | {"mark": _MARK, "digest": digest, "apart": _SECONDS_APART})
            self._bench.store.tidy()

    def _copy(self, tx: Tx, table: str) -> str:
        """The statement that copies a table's rows of the first study."""
        columns = {}
        for about in tx.rows(f"PRAGMA table_info({table})"):
            name = about["name"]
            if about["type"] == "TEXT":
                columns[name] = f"replace(replace({name}, :digest, {_DIGEST}), :mark, n)"
            elif about["type"] == "REAL" and name.endswith(("_at", "time", "_before")):
                columns[name] = f"{name} - (:end - n) * :apart"
            elif not about["pk"] or table == "study_revision":
                columns[name] = name
        into, chosen = f"{table} ({', '.join(columns)})", ", ".join(columns.values())
        return f"{_NUMBERS} INSERT INTO {into} SELECT {chosen} FROM series CROSS JOIN first_{table}"  # noqa: S608


def _timed(work: Callable[[], Any]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)
