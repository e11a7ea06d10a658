"""`cxr-node models`: which models there are, whether they are whole, and which one is in service."""

import json
import time
from datetime import datetime
from pathlib import Path

import click

from cxr_node.commands.options import DAY, as_json, midnight, operator, with_config
from cxr_node.config import Config
from cxr_node.errors import ConfigError, CxrNodeError


@click.group()
def models() -> None:
    """The models that are installed."""


@models.command("list", epilog="Example: cxr-node models list")
@with_config
def list_(config: Config) -> None:
    """Name, version, digest and use of every model, which of them serve, and what their films do not allow."""
    from cxr_node.inference import gate_manifest, manifest
    from cxr_node.inference.gate_manifest import GateManifest
    from cxr_node.inference.manifest import Manifest

    folder = config.model.directory
    roles = _roles(config)
    known: list[Manifest | GateManifest] = [*manifest.list_models(folder), *gate_manifest.list_gates(folder)]
    for model in known:
        role = f"  {roles[model.digest]}" if model.digest in roles else ""
        restricted = f"  RESTRICTED: {model.restriction}" if model.restriction else ""
        click.echo(f"{model.name} {model.version}  {model.digest[:12]}{role}  {model.intended_use}{restricted}")


def _roles(config: Config) -> dict[str, str]:
    """By digest, what the models that serve do; none where the one that should serve is not there."""
    from cxr_node.plan import Plan

    try:
        plan = Plan.in_service(config)
    except CxrNodeError:
        return {}
    gate = plan.gate()
    return {
        **({gate.digest: "gate"} if gate else {}),
        **{each.digest: "shadow" for each in plan.shadows},
        **{each.digest: "further" for each in plan.further},
        plan.manifest.digest: "in service",
    }


@models.command(epilog="Example: cxr-node models show cxr-pneumonia")
@click.argument("name")
@with_config
def show(config: Config, name: str) -> None:
    """The model card of NAME, or of NAME:VERSION."""
    from cxr_node.inference import gate_manifest, manifest

    gates = gate_manifest.list_gates(config.model.directory)
    meant = next((gate for gate in gates if name in (gate.name, f"{gate.name}:{gate.version}")), None)
    model = meant or manifest.named(config.model.directory, name)
    if model.restriction:
        click.echo(f"RESTRICTED: {model.restriction}\n")
    click.echo(model.card.read_text("utf-8"))


@models.command(epilog="Example: cxr-node models verify")
@click.argument("name", required=False)
@with_config
def verify(config: Config, name: str | None) -> None:
    """Recompute the digests and the golden outputs of one model, or of all, and say which are releases."""
    from cxr_node.inference import gate_manifest, golden, manifest
    from cxr_node.inference.build import is_release
    from cxr_node.inference.gate import Gate
    from cxr_node.inference.gate_manifest import GateManifest
    from cxr_node.inference.manifest import Manifest
    from cxr_node.inference.predictor import Predictor

    folder = config.model.directory
    known: list[Manifest | GateManifest] = [*manifest.list_models(folder), *gate_manifest.list_gates(folder)]
    chosen = [model for model in known if name in (None, model.name)]
    if not chosen:
        raise ConfigError(f"no model is named {name!r}; there are {', '.join(sorted({m.name for m in known}))}")
    for model in chosen:
        released = is_release(model)
        loaded = Predictor(model, config.inference.device) if isinstance(model, Manifest) else Gate(model)
        golden.check(loaded)
        whose = "as released" if released else "as its own metadata say; not a released model"
        click.echo(
            f"{model.name} {model.version}: every file and every golden output is {whose}; digest {model.digest}"
        )


@models.command(epilog="Example: cxr-node models activate cxr-pneumonia:2.0.0")
@click.argument("name")
@with_config
def activate(config: Config, name: str) -> None:
    """Put NAME, or NAME:VERSION, in service, while films keep coming; it goes before the configuration's model."""
    from cxr_node import activating
    from cxr_node.inference import manifest
    from cxr_node.plan import open_store

    store, model = open_store(config, create=False), manifest.named(config.model.directory, name)
    click.echo(activating.activate(config, store, model, operator()))
    if model.restriction:
        click.echo(f"RESTRICTED: {model.restriction}", err=True)


@models.command(epilog="Example: cxr-node models rollback")
@with_config
def rollback(config: Config) -> None:
    """Put the model in service again that was before the last activation."""
    from cxr_node import activating
    from cxr_node.plan import open_store

    click.echo(activating.rollback(config, open_store(config, create=False), operator()))


@models.command(epilog="Example: cxr-node models compare cxr-pneumonia:1.0.0 cxr-pneumonia:2.0.0 --json")
@click.argument("a")
@click.argument("b")
@click.option("--since", type=DAY, help="Only films received on this day and later.")
@as_json
@with_config
def compare(config: Config, a: str, b: str, since: datetime | None, as_json: bool) -> None:
    """How far two models agree on the films that both have judged, in all and by week."""
    from cxr_node import comparison
    from cxr_node.plan import open_store

    day = midnight(config, since) if since else 0.0
    found = comparison.compare(config, open_store(config, create=False), a, b, day)
    click.echo(json.dumps(found, indent=2) if as_json else comparison.table(found))


@models.command(epilog="Example: cxr-node models calibrate --labels read.csv --out site.toml")
@click.option(
    "--labels", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="CSV: study or accession, label."
)
@click.option("--unlabelled", is_flag=True, help="Estimate the prevalence from films that nobody has labelled.")
@click.option("--model", "name", help="Another model than the one in service; NAME or NAME:VERSION.")
@click.option("--since", type=DAY, help="Only films received on this day and later.")
@click.option(
    "--sensitivity", type=click.FloatRange(0.5, 0.999), default=0.92, show_default=True,
    help="With labels: the share of positive studies that the threshold is to find.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default=Path("calibration.toml"), show_default=True)
@with_config
def calibrate(
    config: Config,
    *,
    labels: Path | None,
    unlabelled: bool,
    name: str | None,
    since: datetime | None,
    sensitivity: float,
    out: Path,
) -> None:
    """Calibrate a model for this site from what it has said of films here; the model itself is not changed."""
    from cxr_node.calibrating import calibrate as find
    from cxr_node.inference import manifest
    from cxr_node.inference.build import sha256
    from cxr_node.plan import Plan, open_store
    from cxr_node.store import events

    if unlabelled == (labels is not None):
        raise click.UsageError("give --labels CSV, or --unlabelled")
    if out.exists():
        raise click.UsageError(f"{out} exists; give another --out")
    store = open_store(config, create=False)
    model = manifest.named(config.model.directory, name or Plan.in_service(config).manifest.called)
    day = midnight(config, since) if since else 0.0
    found = find(config, store, model, labels=labels, since=day, sensitivity=sensitivity, now=time.time())
    out.write_text(found.calibration.text(), "utf-8")
    with store.transaction() as tx:
        events.append(
            tx, time.time(), "model.calibrated", None, by=operator(), model=model.name, version=model.version,
            digest=sha256(out), method=found.calibration.method, studies=found.calibration.studies,
        )  # fmt: skip
    for remark in found.remarks:
        click.echo(remark)
    click.echo(f'{out} is written; it takes effect with [model] calibration = "{out}" when the node is started again')
