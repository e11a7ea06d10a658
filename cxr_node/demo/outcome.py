"""What became of the studies of the demonstration: in reading order, with the time that each step took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_node import views
from cxr_node.config import Config
from cxr_node.dimse.archive import Kept
from cxr_node.domain.eligibility import SECONDARY_CAPTURE
from cxr_node.domain.finding import tenths
from cxr_node.domain.study import EntryState
from cxr_node.store import events
from cxr_node.store.db import Store
from cxr_node.tables import aligned


@dataclass(frozen=True, slots=True)
class Arrival:
    """A study as the modality sent it: its number in the order of arrival, what a person is told of it, and its films.

    `answered_at` is when the node answered the last C-STORE, in seconds since 1970 UTC.
    """

    number: int
    title: str
    films: tuple[Path, ...]
    answered_at: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A study at the end. `entry` is that of `worklist --json`; the times are seconds after the last C-STORE answer.

    None stands for what did not happen. `heatmap` is the file in the archive.
    """

    arrival: Arrival
    entry: dict[str, Any]
    analysed: float | None
    settled: float | None
    sr: float | None
    sc: float | None
    heatmap: Path | None

    @property
    def was_analysed(self) -> bool:
        return bool(self.entry["state"] == EntryState.ANALYSED)

    @property
    def complete(self) -> bool:
        """Whether nothing is missing: the study was analysed and is documented in the archive, or was refused."""
        if self.was_analysed:
            return self.sr is not None and self.sc is not None
        return bool(self.entry["state"] == EntryState.NOT_ANALYSED)


def gather(
    config: Config, store: Store, now: float, arrivals: Mapping[str, Arrival], kept: Sequence[Kept]
) -> list[Outcome]:
    """The outcomes of `arrivals`, by Study Instance UID, in reading order; `kept` is what came to the archive."""
    order = views.reading_order(config, store, now)
    known = [(arrivals.get(entry["study_instance_uid"]), entry) for entry in order]
    return [_outcome(store, arrival, entry, kept) for arrival, entry in known if arrival]


def _outcome(store: Store, arrival: Arrival, entry: dict[str, Any], kept: Sequence[Kept]) -> Outcome:
    study = entry["study_instance_uid"]
    with store.reading() as tx:
        happened = {event["event"]: event["time"] for event in events.of_study(tx, study)}
    documents = {one.sop_class_uid == SECONDARY_CAPTURE: one for one in kept if one.study_instance_uid == study}
    report, heatmap = documents.get(False), documents.get(True)

    def after(time: float | None) -> float | None:
        return None if time is None else max(0.0, time - arrival.answered_at)

    return Outcome(
        arrival,
        entry,
        analysed=after(happened.get("instance.analysed")),
        settled=after(happened.get("study.settled")),
        sr=after(report.arrived_at if report else None),
        sc=after(heatmap.arrived_at if heatmap else None),
        heatmap=heatmap.path if heatmap else None,
    )


def reading_table(outcomes: Sequence[Outcome]) -> str:
    """Reading order against arrival order."""
    rows = [("read", "arrived", "film", "tier", "probability", "")]
    for outcome in outcomes:
        entry = outcome.entry
        said = "" if outcome.was_analysed else f"{entry['state'].replace('_', ' ')}: {entry['reason']}"
        rows.append(
            (
                str(entry["position"]),
                str(outcome.arrival.number),
                outcome.arrival.title,
                entry["tier"],
                "" if entry["probability"] is None else f"{tenths(entry['probability'])} %",
                said,
            )
        )
    return aligned(rows)


def latency_table(outcomes: Sequence[Outcome]) -> str:
    """The steps of each study that was analysed, in order of arrival."""
    rows: list[tuple[str, ...]] = [("film", "analysed", "settled", "SR in archive", "SC in archive")]
    for outcome in sorted(outcomes, key=lambda each: each.arrival.number):
        if outcome.was_analysed:
            times = (outcome.analysed, outcome.settled, outcome.sr, outcome.sc)
            rows.append((outcome.arrival.title, *("" if t is None else f"{t:.2f} s" for t in times)))
    return aligned(rows)
