"""`cxr-node backfill --ray`: what a person asks for, as what Ray's workers are to do."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from cxr_node import lock, trust
from cxr_node.backfill.bulk import Bulk, Judged, Progress
from cxr_node.backfill.judge import Work
from cxr_node.backfill.places import Files, Instances, Objects, Place
from cxr_node.backfill.record import Manifest
from cxr_node.backfill.sources import Days
from cxr_node.config import Called, Config
from cxr_node.dicomweb.client import Server
from cxr_node.domain.eligibility import Rules
from cxr_node.errors import CxrNodeError
from cxr_node.inference.build import verify
from cxr_node.plan import Plan, peers_of
from cxr_node.reaching import server_of

STORES: Final = frozenset({"s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs"})
"""Schemes of the addresses of object stores, as pyarrow has them."""


def place_of(config: Config, named: str, days: Days) -> Place:
    """A folder, an object store (s3://...), `https://...` or a [[destination]] that speaks DICOMweb.

    Raises CxrNodeError("SOURCE").
    """
    peers, url = peers_of(config), urlsplit(named)
    modalities = tuple(sorted(config.eligibility.modalities))
    if named in peers and (server := server_of(peers[named])):
        return Instances(server, days, modalities)
    if url.scheme in ("http", "https"):
        tls = trust.called(config, "source", Called(tls=True)) if url.scheme == "https" else None
        return Instances(Server("the source", named, tls=tls), days, modalities)
    if url.scheme in STORES:
        bare = url._replace(netloc=url.netloc.rpartition("@")[2])  # a login stays out of what is written
        return Objects(named, urlunsplit(bare))
    if url.scheme == "dicom" or named in peers:
        raise CxrNodeError(
            "SOURCE",
            f"{named} sends to a node's listener, and not to Ray: name its DICOMweb address, or leave out --ray",
        )
    if not Path(named).is_dir():
        raise CxrNodeError("SOURCE", f"{named} is no folder, no https://... or s3://..., and no [[destination]]")
    return Files(Path(named).resolve())


def work_of(config: Config) -> Work:
    """What the node would judge films by, the model that is in service. Raises ConfigError, and MODEL_DIGEST."""
    plan, asked = Plan.in_service(config), config.inference
    judging = plan.judging()
    verify(plan.manifest)
    return Work(
        model=plan.manifest,
        gate=plan.gate(),
        rules=plan.rules(),
        cutoffs=judging.cutoffs,
        prevalence=judging.prevalence,
        device=asked.device,
        backend="torch" if asked.backend == "ray" else asked.backend,  # the workers are no node that asks a pool
        explanation=config.report.explain,
        batch=asked.batch_size,
    )


def tabulate(
    place: Place, work: Work, out: Path, judged: Judged, *, limit: int | None, progress: Callable[[Progress], None]
) -> Progress:
    """Judge the films of a place into the folder `out`, which nobody else may write to.

    Raises CxrNodeError("OUTPUT") where somebody does, or `out` lies in the source; else as `Bulk.run`.
    """
    if isinstance(place, Files) and out.resolve().is_relative_to(place.folder):
        raise CxrNodeError("OUTPUT", f"{out} lies in the source; give another folder")
    with _alone(out):
        return Bulk(place, Manifest.opened(out, described(place, work)), judged, progress).run(limit)


def described(place: Place, work: Work) -> dict[str, Any]:
    """What a table is of, for its manifest: what differs here may not be mixed in one."""
    model, gate = work.model, work.gate
    return {
        "source": place.name,
        "model": {
            "name": model.name, "version": model.version, "digest": model.digest,
            "calibration": model.outputs.site_calibration, "restriction": model.restriction,
        },
        "gate": {"name": gate.name, "version": gate.version, "digest": gate.digest} if gate else None,
        "thresholds": asdict(work.cutoffs),
        "prevalence": work.prevalence,
        "rules": {each.name: _plain(getattr(work.rules, each.name)) for each in fields(Rules)},
    }  # fmt: skip


def _plain(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset) else value


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    out.mkdir(mode=0o700, parents=True, exist_ok=True)  # UIDs and file names identify
    descriptor = lock.hold(out / lock.LOCK)
    if descriptor is None:
        raise CxrNodeError("OUTPUT", f"another backfill is writing to {out}")
    try:
        yield
    finally:
        os.close(descriptor)
