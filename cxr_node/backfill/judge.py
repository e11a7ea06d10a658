"""Films judged for a table: read, let in, and predicted in batches with the functions of the node's own stages."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from queue import SimpleQueue

import numpy as np

from cxr_node.backfill.places import Place
from cxr_node.backfill.reader import Read, Reader, Uids
from cxr_node.backfill.table import Row, State
from cxr_node.domain.eligibility import Rules
from cxr_node.domain.finding import Cutoffs
from cxr_node.domain.quality import LEAST_SIDE, Assessment
from cxr_node.errors import CxrNodeError, Ineligible, Transient
from cxr_node.imaging.film import Prepared, resized
from cxr_node.inference import golden
from cxr_node.inference.explain import Explanation
from cxr_node.inference.gate import admission
from cxr_node.inference.gate_manifest import GateManifest
from cxr_node.inference.manifest import Manifest
from cxr_node.inference.memory import keep_freed_memory
from cxr_node.inference.predictor import Backend, Prediction, Predictor, analyse
from cxr_node.message import Message
from cxr_node.stages.stage import attempt


@dataclass(frozen=True, slots=True)
class Work:
    """How films are judged: as the node would, by its model, its gate (None: without) and the site's rules.

    `batch`: films that are predicted together; the rest as in a `Predictor` and in [model]. The folders of model and
    gate are to be the same on every machine.
    """

    model: Manifest
    gate: GateManifest | None
    rules: Rules
    cutoffs: Cutoffs
    prevalence: float | None
    device: str
    backend: Backend
    explanation: Explanation
    batch: int

    @property
    def side(self) -> int:
        """Pixels of a film as it is read: enough for the gate, too."""
        return max(self.model.size, LEAST_SIDE)


class Judge:
    """The model and the gate, verified and loaded; not to be shared between threads.

    Raises as `Predictor` and `Gate` do, and MODEL_GOLDEN: the model computes something else here than at release.
    """

    def __init__(self, work: Work, monotonic: Callable[[], float] = time.monotonic) -> None:
        keep_freed_memory()
        self._work, self._monotonic = work, monotonic
        self._predictor = Predictor(work.model, work.device, work.explanation, work.backend)
        golden.check(self._predictor)
        self._admit = admission(work.gate)

    def rows(self, films: Sequence[tuple[str, Read]]) -> list[Row]:
        """What is to be said of films that were read, each given with its name in the source."""
        began = self._monotonic()
        admitted = [one.outcome if isinstance(one.outcome, Exception) else attempt(self._admit, one.outcome)
                    for _, one in films]  # fmt: skip
        sound = [one for one in admitted if not isinstance(one, Exception)]
        predictions = iter(self._predicted([prepared for prepared, _ in sound]))
        rows = [
            self._failed(name, read, one) if isinstance(one, Exception)
            else self._judged(name, read, one[1], next(predictions))
            for (name, read), one in zip(films, admitted, strict=True)
        ]  # fmt: skip
        share = (self._monotonic() - began) / max(1, len(sound))
        return [replace(row, seconds=row.seconds + share) if row.state == "analysed" else row for row in rows]

    def _predicted(self, films: Sequence[Prepared]) -> list[Prediction]:
        size = self._work.model.size
        return self._predictor.predict(np.stack([resized(film, size) for film in films])) if films else []

    def _judged(self, name: str, read: Read, assessment: Assessment | None, prediction: Prediction) -> Row:
        analysis = analyse(self._work.model, prediction, self._work.prevalence)
        cutoffs = self._work.cutoffs
        return replace(
            self._row(name, read, "analysed"),
            flags=[str(flag) for flag in assessment.flags] if assessment else [],
            finding=analysis.finding,
            probability=analysis.probability,
            probabilities=dict(analysis.probabilities),
            positive=cutoffs.positive(analysis.probability),
            severity=str(cutoffs.tier(analysis.probability)),
        )

    def _failed(self, name: str, read: Read, failure: Exception) -> Row:
        code, reason = _why(failure)
        return replace(self._row(name, read, _state(failure)), code=code, reason=str(reason))

    def _row(self, name: str, read: Read, state: State) -> Row:
        model, gate, uids = self._work.model, self._work.gate, read.uids
        return Row(
            source=name,
            sha256=read.sha256,
            sop_instance_uid=uids.instance,
            study_instance_uid=uids.study,
            series_instance_uid=uids.series,
            state=state,
            model=model.name,
            version=model.version,
            model_digest=model.digest,
            gate=f"{gate.name}:{gate.version}" if gate else None,
            seconds=read.seconds,
        )


class Worker:
    """Judges films of a place by their names, and reads so many at a time; each in a process of its own, so that a film
    that kills or hangs ends none but that."""

    def __init__(self, place: Place, work: Work, readers: int) -> None:
        self._place, self._judge = place, Judge(work)
        self._readers: SimpleQueue[Reader] = SimpleQueue()
        for _ in range(readers):
            self._readers.put(Reader(work.rules, work.side))
        self._threads = ThreadPoolExecutor(readers)  # they last, and with them what they begin (`fence.end_with`)

    def rows(self, films: Sequence[str]) -> list[Row]:
        """One of each. Raises Permanent("DECODER") where no film can be read."""
        return self._judge.rows(list(zip(films, self._threads.map(self._read, films), strict=True)))

    def close(self) -> None:
        """End the processes that read."""
        while not self._readers.empty():
            self._readers.get().close()
        self._threads.shutdown()

    def _read(self, film: str) -> Read:
        with self._reader() as reader:
            try:
                with self._place.local(film) as path:
                    return reader.read(path)
            except (Transient, Ineligible, OSError) as error:  # of the place
                return Read("", Uids(), error, 0.0)

    @contextmanager
    def _reader(self) -> Iterator[Reader]:
        reader = self._readers.get()
        try:
            yield reader
        finally:
            self._readers.put(reader)


def _state(failure: Exception) -> State:
    """What a failure makes of a film: one that lies with the machine or the source leaves it for the next run."""
    if isinstance(failure, Ineligible):
        return "not_analysed"
    return "left" if isinstance(failure, Transient | OSError) else "set_aside"


def _why(failure: Exception) -> tuple[str, str]:
    """Code and sentence; what libraries say can quote a header, and is not passed on."""
    if isinstance(failure, CxrNodeError):
        return failure.code, failure.message
    if isinstance(failure, MemoryError):
        return "NO_MEMORY", Message("there is not enough memory to read the film")
    if isinstance(failure, OSError):
        return "IO_ERROR", failure.strerror or type(failure).__name__
    return "BUG", Message("internal error ({kind})", kind=type(failure).__name__)
