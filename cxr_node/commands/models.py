"""`cxr-node models`: which models there are, what they are good for, and whether they are whole."""

import click

from cxr_node.commands.options import with_config
from cxr_node.config import Config
from cxr_node.errors import ConfigError


@click.group()
def models() -> None:
    """The models that are installed."""


@models.command("list", epilog="Example: cxr-node models list")
@with_config
def list_(config: Config) -> None:
    """Name, version, digest and intended use of every model, and what its training films do not allow."""
    from cxr_node.inference import manifest

    for model in manifest.list_models(config.model.directory):
        restricted = f"  RESTRICTED: {model.restriction}" if model.restriction else ""
        click.echo(f"{model.name} {model.version}  {model.digest[:12]}  {model.intended_use}{restricted}")


@models.command(epilog="Example: cxr-node models show cxr-pneumonia")
@click.argument("name")
@with_config
def show(config: Config, name: str) -> None:
    """The model card of NAME, or of NAME:VERSION."""
    from cxr_node.inference import manifest

    model = manifest.named(config.model.directory, name)
    if model.restriction:
        click.echo(f"RESTRICTED: {model.restriction}\n")
    click.echo(model.card.read_text("utf-8"))


@models.command(epilog="Example: cxr-node models verify")
@click.argument("name", required=False)
@with_config
def verify(config: Config, name: str | None) -> None:
    """Recompute the digests and the golden outputs of one model, or of all, and say which are releases."""
    from cxr_node.inference import golden, manifest
    from cxr_node.inference.predictor import Predictor

    known = manifest.list_models(config.model.directory)
    chosen = [model for model in known if name in (None, model.name)]
    if not chosen:
        raise ConfigError(f"no model is named {name!r}; there are {', '.join(sorted({m.name for m in known}))}")
    for model in chosen:
        released = manifest.is_release(model)
        golden.check(Predictor(model, config.inference.device))
        whose = "as released" if released else "as its own metadata say; not a released model"
        click.echo(
            f"{model.name} {model.version}: every file and every golden output is {whose}; digest {model.digest}"
        )
