"""Metrics of how the node is used and kept: stages, peers, X-ray machines, models, disk, GPU, copies, certificates."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from cxr_node.observe.gpu import gpus
from cxr_node.store import tallies
from cxr_node.store.db import Store

Values = dict[tuple[str, ...], float]
_REFUSED = ("association.rejected", "connection.refused")


def measures(store: Store, status: Mapping[str, Any]) -> Iterable[Metric]:
    """Read from the database, and from `status` in the shape of `status --json`."""
    with store.reading() as tx:
        stages = tallies.durations(tx)
        accepted = tallies.of(tx, "association.accepted")
        refused = {what: tallies.of(tx, what) for what in _REFUSED}
    yield _stages(stages)
    yield _counter("cxr_node_associations", "Associations that were accepted, by calling AE title.",
                   {(name,): count for name, count in accepted.items()}, "calling")  # fmt: skip
    yield _counter("cxr_node_refusals", "Callers that got no association, by reason.",
                   {(what, reason): count for what, found in refused.items() for reason, count in found.items()},
                   "event", "reason")  # fmt: skip
    yield gauge("cxr_node_delivery_lag_seconds", "Age of the oldest document that has not left for a destination.",
                {(one["name"],): one["lag_seconds"] for one in status["destinations"]}, "destination")  # fmt: skip
    yield from _machines(status["machines"])
    yield from _models(status)
    yield from _kept(status)
    yield from _region(status)
    yield from _pair(status)
    yield from _gpus()


def _stages(stages: Mapping[str, tallies.Durations]) -> Metric:
    family = HistogramMetricFamily(
        "cxr_node_stage_seconds", "How long jobs of a kind took that were done.", labels=["kind"]
    )
    for kind, found in sorted(stages.items()):
        family.add_metric([kind], buckets=[*found.cumulative().items()], sum_value=found.total)
    return family


def _machines(machines: Iterable[Mapping[str, Any]]) -> Iterable[Metric]:
    found = [*machines]
    yield gauge("cxr_node_machine_last_film_timestamp_seconds", "When the last film of an X-ray machine came.",
                {(one["name"],): _seconds(one["last_at"]) for one in found}, "machine")  # fmt: skip
    yield gauge("cxr_node_machine_silent", "1 for an X-ray machine of which films were expected and none came.",
                {(one["name"],): float(one["silent"]) for one in found}, "machine")  # fmt: skip
    yield gauge("cxr_node_machine_expected_films",
                "Films that came in the weeks before at the hours in which none has come since the last one.",
                {(one["name"],): one["expected_films"] for one in found if one["expected_films"] is not None},
                "machine")  # fmt: skip
    yield gauge("cxr_node_machine_films", "Films of an X-ray machine in the past five weeks.",
                {(one["name"],): float(one["films"]) for one in found}, "machine")  # fmt: skip


def _models(status: Mapping[str, Any]) -> Iterable[Metric]:
    served: Values = {(status["model"], "service"): 1.0}
    for role in ("further", "shadow"):
        served |= {(one["model"], role): 1.0 for one in status[role] if not one["reason"]}
    yield gauge("cxr_node_model_info", "Models that judge films: always 1.", served, "model", "role")
    yield gauge("cxr_node_drift_psi", "Population stability index of the past 7 days against the reference.",
                {(one["model"], one["machine"], one["measure"]): one["psi"] for one in status["drift"]
                 if one["verdict"] != "too_few"}, "model", "machine", "measure")  # fmt: skip
    yield gauge("cxr_node_drifted", "1 where the index is beyond its limit and beyond chance.",
                {(one["model"], one["machine"], one["measure"]): float(one["verdict"].startswith("moved"))
                 for one in status["drift"]}, "model", "machine", "measure")  # fmt: skip


def _kept(status: Mapping[str, Any]) -> Iterable[Metric]:
    total, backup = status["disk_total_bytes"], status["backup"]
    yield gauge("cxr_node_disk_total_bytes", "Size of the disk where films are kept.", {(): float(total or 0)})
    yield gauge("cxr_node_films", "Films whose file is here, and those of which only the record is left.",
                {(state,): float(status["retention"][state]) for state in ("kept", "purged")}, "state")  # fmt: skip
    made: Values = {(): _seconds(backup["last_at"])} if backup["last_at"] else {}
    yield gauge("cxr_node_backup_timestamp_seconds", "When the database was last copied.", made)
    yield gauge(
        "cxr_node_backup_failed", "1 when the last copy could not be made.", {(): float(bool(backup["failed"]))}
    )
    yield gauge("cxr_node_certificate_expiry_timestamp_seconds", "Until when a certificate of the node is valid.",
                {(one["file"],): _seconds(one["until"]) for one in status["certificates"]}, "file")  # fmt: skip


def _region(status: Mapping[str, Any]) -> Iterable[Metric]:
    told, sites = status["hub"], status["sites"]
    reached: Values = {(): _seconds(told["reached_at"])} if told and told["reached_at"] else {}
    yield gauge("cxr_node_hub_reached_timestamp_seconds", "When the hub has last answered.", reached)
    yield gauge("cxr_node_hub_behind_studies", "Studies of which the hub is still to be told.",
                {(): float(told["behind"])} if told else {})  # fmt: skip
    yield gauge("cxr_node_hub_behind_seconds", "For how long what the hub is told next has waited.",
                {(): told["behind_seconds"]} if told else {})  # fmt: skip
    heard: Values = {(one["name"],): _seconds(one["heard_at"]) for one in sites if one["heard_at"]}
    yield gauge("cxr_node_site_heard_timestamp_seconds", "When a site was last heard of.", heard, "site")
    for key, text in (
        ("silent", "1 for a site that was not heard of for five minutes, or never."),
        ("open", "Studies of a site that wait at the hub to be read."),
        ("asked", "Studies of which a priority is asked of a site that it has not answered."),
    ):
        of: Values = {(one["name"],): float(one[key]) for one in sites}
        yield gauge(f"cxr_node_site_{key}", text, of, "site")


def _pair(status: Mapping[str, Any]) -> Iterable[Metric]:
    pair = status["pair"]
    there: Values = {(): float(pair["stands_by"] is not None)} if pair else {}
    yield gauge("cxr_node_standing_by", "1 while the second of two nodes is there to take over.", there)


def _gpus() -> Iterable[Metric]:
    found = {(str(one.number), one.name): one for one in gpus()}
    used: Values = {labels: float(one.memory_used) for labels, one in found.items()}
    total: Values = {labels: float(one.memory_total) for labels, one in found.items()}
    busy: Values = {labels: one.use for labels, one in found.items() if one.use is not None}
    yield gauge("cxr_node_gpu_memory_used_bytes", "Memory of a GPU in use, by whomever.", used, "gpu", "name")
    yield gauge("cxr_node_gpu_memory_total_bytes", "Memory of a GPU.", total, "gpu", "name")
    yield gauge("cxr_node_gpu_use_ratio", "Share of the past second in which a GPU computed.", busy, "gpu", "name")


def gauge(name: str, text: str, values: Values, *labels: str) -> Metric:
    """A gauge with a value for each tuple of labels."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for label, value in values.items():
        family.add_metric(label, value)
    return family


def _counter(name: str, text: str, values: Values, *labels: str) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for label, value in values.items():
        family.add_metric(label, value)
    return family


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
