"""Films judged by the workers of a Ray cluster, with Ray Data: it gives out their names, and takes back rows.

Ray begins a worker that ended again, and gives its films to another one: a film that kills who reads it ends a process
of the worker alone (`backfill.reader`), so that what ends a worker is never a film.
"""

import logging
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import ray
import ray.data
from ray.exceptions import RayError

from cxr_node.backfill.judge import Work, Worker
from cxr_node.backfill.places import Place
from cxr_node.backfill.table import Row, packed, unpacked
from cxr_node.errors import ConfigError, Permanent
from cxr_node.message import Message
from cxr_node.pool.cluster import joined

_NAME: Final = "film"
_OURS: Final = re.compile(r"^cxr_node\.errors\.\w+: (.+)$", re.MULTILINE)
"""In the text that Ray makes of what a worker raised."""
_MOST, _LOTS = 32, 4
"""Films that a worker is given at a time, so that Ray's share of each is small: at most so many, or a batch, and so few
that each worker gets several lots."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a worker has: cores (below 1: several share one), and of a card; 0: it judges on its cores."""

    cpus: float
    gpus: float


@contextmanager
def begun() -> Iterator[None]:
    """Ray on this machine alone, for as long as this goes on; it ends with this process, however that ends.

    Who wants to use it needs a token, which no one else has. Without one Ray would leave one in the home directory, and
    every cluster that is begun there later would ask for it.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it tells nobody of its uses
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


def judged(films: Sequence[str], place: Place, work: Work, share: Share, cluster: str | None) -> Iterator[list[Row]]:
    """A row for each film of a place, in whatever order, by the workers of a cluster (None: of this machine).

    Raises as `joined`; ConfigError where there is no room for a worker, Permanent("RAY") where one fails in itself.
    """
    with joined(cluster) if cluster else begun():
        yield from _judged(films, place, work, share)


def _judged(films: Sequence[str], place: Place, work: Work, share: Share) -> Iterator[list[Row]]:
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what goes wrong is told below
    ray.data.DataContext.get_current().enable_progress_bars = False
    workers = _room(share)
    size = max(work.batch, min(_MOST, len(films) // (_LOTS * workers)))
    given = [pa.table({_NAME: films[start : start + size]}) for start in range(0, len(films), size)]
    count = min(workers, len(given))
    rows = ray.data.from_arrow(given).map_batches(
        _Worker,
        fn_constructor_args=(place, work, max(1, int(share.cpus))),
        batch_size=work.batch,
        batch_format="pyarrow",
        num_cpus=share.cpus,
        num_gpus=share.gpus,
        compute=ray.data.ActorPoolStrategy(min_size=count, max_size=count),
    )
    try:
        for table in rows.iter_batches(batch_size=None, batch_format="pyarrow"):
            yield unpacked(table)
    except RayError as error:
        why = Message("a worker failed: {error}; Ray's logs have more", error=_why(error))
        raise Permanent("RAY", why) from error


class _Worker:
    """A worker as Ray Data has it."""

    def __init__(self, place: Place, work: Work, readers: int) -> None:
        self._worker = Worker(place, work, readers)

    def __call__(self, films: pa.Table) -> pa.Table:
        return packed(self._worker.rows(films[_NAME].to_pylist()))


def _room(share: Share) -> int:
    """How many workers the cluster has room for."""
    has = ray.cluster_resources()  # type: ignore[no-untyped-call]
    room = [has.get(name, 0.0) / each for name, each in (("CPU", share.cpus), ("GPU", share.gpus)) if each]
    if (workers := int(min(room))) < 1:
        raise ConfigError(
            f"Ray has {has.get('CPU', 0.0):g} cores and {has.get('GPU', 0.0):g} cards, which is too little for a "
            f"worker of {share.cpus:g} and {share.gpus:g}"
        )
    return workers


def _why(error: RayError) -> str:
    """What of a worker's failure is a sentence of ours; others could quote a film."""
    return str((_OURS.findall(str(error)) or [type(error).__name__])[-1])
