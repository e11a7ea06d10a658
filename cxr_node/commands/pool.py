"""`cxr-node pool`: networks on the machines of a Ray cluster, for nodes whose `[inference] backend` is `ray`."""

import json
from dataclasses import asdict
from types import ModuleType

import click

from cxr_node.commands.options import as_json, with_config
from cxr_node.config import Config
from cxr_node.errors import ConfigError

_cluster = click.option(
    "--ray",
    "address",
    default="auto",
    show_default=True,
    metavar="HOST:PORT",
    help="The cluster; auto: of this machine.",
)


@click.group()
def pool() -> None:
    """A pool of networks on a Ray cluster; given on a machine of it."""


@pool.command(
    epilog="Examples: cxr-node pool deploy cxr-pneumonia; cxr-node pool deploy cxr-covid --most 8 --gpus 0.25"
)
@click.argument("name")
@_cluster
@click.option("--least", type=click.IntRange(1), default=2, show_default=True, help="Replicas at least.")
@click.option("--most", type=click.IntRange(1), help="Replicas at most, as requests queue.  [--least]")
@click.option(
    "--gpus", type=click.FloatRange(0), default=0.0, show_default=True, help="Cards of each; 0.25: a quarter."
)
@click.option("--cpus", type=click.FloatRange(0), default=1.0, show_default=True, help="Cores of each.")
@click.option("--batch", type=click.IntRange(1, 1024), default=32, show_default=True, help="Films judged together.")
@click.option("--queue", type=click.IntRange(1), default=4, show_default=True, help="Requests at each before one more.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where every machine takes requests.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--wait", type=click.FloatRange(0), default=300.0, show_default=True, help="Seconds until it serves.")
@with_config
def deploy(
    config: Config,
    *,
    name: str,
    address: str,
    least: int,
    most: int | None,
    gpus: float,
    cpus: float,
    batch: int,
    queue: int,
    host: str,
    port: int,
    wait: float,
) -> None:
    """Put NAME, or NAME:VERSION, in the pool, beside what is there; given again, its replicas are renewed by and by.

    Nodes ask for the version that they are configured for: deploy a new one, let them change to it, remove the old."""
    from cxr_node.inference import manifest

    if most is not None and most < least:
        raise click.UsageError(f"--most {most} is below --least {least}")
    cluster = _ray()
    model = manifest.named(config.model.directory, name)
    wishes = cluster.Wishes(least, most or least, gpus, cpus, batch, queue)
    with cluster.joined(address):
        found = cluster.deploy(model, config.model.directory, wishes, host=host, port=port, seconds=wait)
    click.echo(
        f"{found.model} serves with {found.running} replicas at http://{host}:{port}; digest {model.digest[:12]}"
    )
    if model.restriction:
        click.echo(f"RESTRICTED: {model.restriction}", err=True)


@pool.command(epilog="Example: cxr-node pool status --json")
@_cluster
@as_json
@with_config
def status(_: Config, *, address: str, as_json: bool) -> None:
    """The models in the pool, how they are, and how many replicas of each serve."""
    cluster = _ray()
    with cluster.joined(address):
        found = cluster.status()
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
        return
    for each in found:
        said = f"  {each.message}" if each.message else ""
        click.echo(f"{each.model}  {each.state}  {each.running} replicas{said}")
    if not found:
        click.echo("no model")


@pool.command(epilog="Example: cxr-node pool remove cxr-pneumonia:1.0.0")
@click.argument("called", metavar="NAME:VERSION")
@_cluster
@with_config
def remove(_: Config, *, called: str, address: str) -> None:
    """Take NAME:VERSION out of the pool, when the requests in hand are done."""
    cluster = _ray()
    with cluster.joined(address):
        cluster.remove(called)
    click.echo(f"{called} is removed")


def _ray() -> ModuleType:
    """What speaks with Ray. Raises ConfigError where it is not installed."""
    try:
        from cxr_node.pool import cluster
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "ray":
            raise
        raise ConfigError("Ray is not installed: install cxr-node[ray] on every machine of the pool") from error
    return cluster
