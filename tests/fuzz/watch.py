"""Running a target: in processes that are watched, for so many inputs or so long."""

import gc
import hashlib
import logging
import multiprocessing
import os
import resource
import signal
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from random import Random
from typing import Any

import structlog

from tests.fuzz.target import Target

_processes: Any = multiprocessing.get_context("fork")
_REPORT_SECONDS = 1.0
_MEMORY = 6 << 30  # address space of a worker: what wants more is told so by its allocator
_WARM = 300  # inputs until files, threads and memory of a worker are taken for what it needs
_LEAKED_MEGABYTES = 400


@dataclass
class Summary:
    """What came of a run. `findings`: sentence by sentence, the first input of each kind kept as a file."""

    target: str
    inputs: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    peak_megabytes: float = 0.0

    @property
    def rate(self) -> float:
        return self.inputs / self.seconds if self.seconds else 0.0


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    at: Any  # number of the input in hand; -1 before the first
    seen: int = -1
    since: float = field(default_factory=time.monotonic)


def input_of(target: Target, seed: int, number: int) -> bytes:
    """The input of a number, always the same."""
    return target.make(Random(f"{target.name} {seed} {number}"))


def run(
    target: Target, seed: int, kept: Path, *, inputs: int | None = None, seconds: float | None = None,
    say: Callable[[str], None] = print, say_seconds: float = 30.0,
) -> Summary:  # fmt: skip
    """Run until `inputs` or `seconds` are used up; inputs that found something are written into `kept`."""
    until = time.monotonic() + seconds if seconds is not None else None
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_memory_disk()) as folder, target.standing(Path(folder)):
        return _Run(_Errand(target, seed, Path(folder), inputs, until), kept).go(say, say_seconds)


@dataclass(frozen=True, slots=True)
class _Errand:
    """What workers are to do: the inputs up to number `last`, or those until a time on the monotonic clock."""

    target: Target
    seed: int
    folder: Path
    last: int | None
    until: float | None


class _Run:
    def __init__(self, errand: _Errand, kept: Path) -> None:
        self._errand, self._kept, self._target = errand, kept, errand.target
        self._summary = Summary(errand.target.name)

    def go(self, say: Callable[[str], None], say_seconds: float) -> Summary:
        input_of(self._target, self._errand.seed, 0)  # what inputs are made from is made once, before the workers part
        began = said = looked = time.monotonic()
        workers = [self._start(number) for number in range(self._target.workers)]
        while workers:
            wait([worker.pipe for worker in workers], _REPORT_SECONDS)
            workers = [again for worker in workers if (again := self._watch(worker))]
            now = self._summary.seconds = time.monotonic() - began
            if time.monotonic() - looked > 5:
                looked = time.monotonic()
                self._look(final=False)
            if time.monotonic() - said > say_seconds:
                said = time.monotonic()
                say(f"{self._target.name}: {self._summary.inputs} inputs, {self._summary.inputs / now:.0f}/s, "
                    f"{sum(self._summary.findings.values())} findings")  # fmt: skip
        self._look(final=True)
        self._summary.seconds = time.monotonic() - began
        return self._summary

    def _look(self, *, final: bool) -> None:
        for sentence in self._target.look(final):
            self._summary.findings[sentence] += 1

    def _start(self, first: int) -> _Worker:
        ours, theirs = _processes.Pipe()
        at = _processes.Value("q", -1)
        process = _processes.Process(target=_work, args=(self._errand, first, theirs, at), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours, at)

    def _watch(self, worker: _Worker) -> _Worker | None:
        """Hear what a worker has to say; itself, one in its place when it died or hangs, or None when it is done."""
        try:
            while worker.pipe.poll():
                if (said := worker.pipe.recv()) is None:
                    worker.process.join()
                    return None
                self._hear(*said)
        except (EOFError, ConnectionResetError):
            worker.process.join()
            return self._after(worker, _manner(worker.process.exitcode))
        if worker.at.value != worker.seen:
            worker.seen, worker.since = worker.at.value, time.monotonic()
        elif time.monotonic() - worker.since > self._target.patience + (30 if worker.seen < 0 else 0):
            worker.process.kill()
            worker.process.join()
            self._found(worker.at.value, f"hangs: {self._target.patience:g} s and no end")
            return self._start(worker.at.value + self._target.workers)
        return worker

    def _after(self, worker: _Worker, how: str) -> _Worker:
        self._summary.deaths[how] += 1
        if not self._target.mortal or worker.at.value < 0:
            self._found(worker.at.value, f"the process died: {how}")
        elif self._summary.deaths[how] <= 3:
            self._keep(worker.at.value, f"death-{how}")
        if worker.at.value < 0:
            raise RuntimeError("a worker died before its first input")
        self._summary.inputs += 1
        return self._start(worker.at.value + self._target.workers)

    def _hear(self, outcomes: Counter[str], findings: list[tuple[int, str]], megabytes: float) -> None:
        self._summary.outcomes += outcomes
        self._summary.inputs += outcomes.total()
        self._summary.peak_megabytes = max(self._summary.peak_megabytes, megabytes)
        for number, sentence in findings:
            self._found(number, sentence)

    def _found(self, number: int, sentence: str) -> None:
        self._summary.findings[sentence] += 1
        if self._summary.findings[sentence] == 1:
            self._keep(number, sentence)

    def _keep(self, number: int, sentence: str) -> None:
        if number < 0:
            return
        data = input_of(self._target, self._errand.seed, number)
        self._kept.mkdir(parents=True, exist_ok=True)
        path = self._kept / f"{self._target.name}-{hashlib.sha256(data).hexdigest()[:10]}"
        path.write_bytes(data)
        path.with_suffix(".txt").write_text(f"--seed {self._errand.seed}, input {number}\n{sentence}\n", "utf-8")


def _manner(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def _memory_disk() -> str | None:
    """Where syncing costs nothing: a fuzzer looks for wrong answers, not for lost power."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _work(errand: _Errand, first: int, pipe: Connection, at: Any) -> None:
    """A worker's whole life."""
    target, last, until = errand.target, errand.last, errand.until
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    own = errand.folder / f"worker-{os.getpid()}"
    own.mkdir()
    warnings.simplefilter("ignore")
    logging.disable()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    target.begin(own)
    outcomes, findings, reported, before = Counter[str](), list[tuple[int, str]](), time.monotonic(), None
    number = first
    while (last is None or number < last) and (until is None or time.monotonic() < until):
        data = input_of(target, errand.seed, number)
        at.value = number
        try:
            outcomes[target.run(data)] += 1
        except Exception as error:  # noqa: BLE001 - anything at all is a finding
            outcomes["finding"] += 1
            findings.append((number, _described(error)))
        if number // target.workers == first // target.workers + _WARM:
            before = _used()
        number += target.workers
        if time.monotonic() - reported > _REPORT_SECONDS:
            pipe.send((outcomes, findings, _peak()))
            outcomes, findings, reported = Counter(), [], time.monotonic()
    findings += [(-1, sentence) for sentence in _leaks(before)] if before else []
    pipe.send((outcomes, findings, _peak()))
    pipe.send(None)


def _described(error: Exception) -> str:
    """An exception by its kind and where it was raised, so that the same finding is counted, not told again."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/cxr_node/" in frame.filename]
    where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in (*frames[-1:], *own[-2:][::-1]))
    return f"{type(error).__name__}: {str(error)[:200]} ({where})"


def _used() -> tuple[int, int, float]:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), pages * 4096 / (1 << 20)


def _leaks(before: tuple[int, int, float]) -> Iterator[str]:
    files, threads, megabytes = (now - then for now, then in zip(_used(), before, strict=True))
    if files > 0:
        yield f"leaks {files} open files"
    if threads > 0:
        yield f"leaks {threads} threads"
    if megabytes > _LEAKED_MEGABYTES:
        yield f"leaks {megabytes:.0f} MB"


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
