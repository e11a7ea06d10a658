"""Metrics for Prometheus, read from the database when they are asked for, so that they outlive restarts.

No label names a patient or a study. docs/operations.md lists them.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cxr_node import pipeline
from cxr_node.store import events, overview
from cxr_node.store.db import Store
from cxr_node.web.measures import Values, gauge, measures

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_FILMS: Final = 100
_NO_JOBS: Final[Values] = {
    (step.kind, state): 0.0 for step in pipeline.PIPELINE for state in ("ready", "running", "failed")
}
_ALARMING: Final = {"audit.broken": 0}  # from 0 on: Prometheus sees no increase in a series that begins with 1


class NodeCollector(Collector):
    """What is true of the node now. `status` is its health in the shape of `status --json`."""

    def __init__(self, store: Store, status: Callable[[], dict[str, Any]], version: str) -> None:
        self._store, self._status, self._version = store, status, version
        self._counted, self._through = Counter[str](), 0
        self._lock = threading.Lock()

    def collect(self) -> Iterable[Metric]:
        found = self._status()
        with self._store.reading() as tx:
            states, delays = overview.entry_states(tx), overview.analysis_seconds(tx, _FILMS)
        yield gauge("cxr_node_info", "What runs: always 1.", {(self._version, found["mode"], found["model"]): 1.0},
                     "version", "mode", "model")  # fmt: skip
        yield _one("cxr_node_ready", "1 while films are received and analysed.", float(found["ready"]))
        yield _one("cxr_node_worklist_frozen", "1 while the kill switch is on.", float(found["frozen"]))
        yield _one("cxr_node_dead_letters", "Jobs that failed and wait for an operator.", found["dead_letters"])
        oldest = found["oldest_ready_seconds"]
        yield _one("cxr_node_oldest_ready_seconds", "Age of the oldest job that could run now.", oldest or 0.0)
        yield _one("cxr_node_disk_free_bytes", "Free space where films are kept.", found["disk_free_bytes"] or 0)
        yield _one("cxr_node_missing_files", "Files that the database knows and the disk does not have.",
                   found["missing_files"])  # fmt: skip
        queues = _NO_JOBS | {
            (kind, state): float(count) for kind, queue in found["queues"].items() for state, count in queue.items()
        }
        yield gauge("cxr_node_jobs", "Jobs by kind and state.", queues, "kind", "state")
        yield gauge("cxr_node_studies", "Studies by their state in the worklist.",
                     {(state,): float(count) for state, count in states.items()}, "state")  # fmt: skip
        for key, text in (
            ("pending", "Documents that have not left for a destination."),
            ("uncommitted", "Documents sent and not yet committed to."),
            ("overdue", "Documents whose commitment is overdue."),
        ):
            of: Values = {(one["name"],): float(one[key]) for one in found["destinations"]}
            yield gauge(f"cxr_node_deliveries_{key}", text, of, "destination")
        waiting: Values = {(one["name"],): float(one["pending"]) for one in found["messages"]}
        yield gauge("cxr_node_messages_pending", "HL7 messages that have not left for a destination, or are held.",
                     waiting, "destination")  # fmt: skip
        unsent: Values = {(one["target"],): float(one["unsent"]) for one in found["audit"]}
        yield gauge("cxr_node_audit_unsent", "Events that an audit target has not had.", unsent, "target")
        shares: Values = {(str(share),): seconds for share, seconds in _shares(delays).items()}
        yield gauge("cxr_node_analysis_seconds",
                     f"From receipt to result, of the newest {_FILMS} films: median, 95 of 100, longest.",
                     shares, "quantile")  # fmt: skip
        yield from measures(self._store, found)
        counter = CounterMetricFamily(
            "cxr_node_events", "Events by name, all that the trail has had.", labels=["event"]
        )
        for name, count in sorted((_ALARMING | dict(self._events())).items()):
            counter.add_metric([name], count)
        yield counter

    def _events(self) -> Counter[str]:
        """Counted on from where the last scrape ended: the trail may be long, and its beginning be removed."""
        with self._lock, self._store.reading() as tx:
            last = events.last(tx)
            self._counted.update(events.counts(tx, self._through, last))
            self._through = last
            return Counter(self._counted)


def exposition(collector: NodeCollector) -> bytes:
    """The text format of Prometheus."""
    return generate_latest(collector)


def _one(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _shares(seconds: list[float]) -> dict[float, float]:
    ordered = sorted(seconds)
    return {share: ordered[round(share * (len(ordered) - 1))] for share in (0.5, 0.95, 1.0)} if ordered else {}
