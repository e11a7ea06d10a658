"""`cxr-node drift` and `label`: whether a model still says what it did, and what final reports say."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxr_node.commands.options import as_json, operator, with_config
from cxr_node.config import Config
from cxr_node.errors import CxrNodeError

if TYPE_CHECKING:
    from cxr_node.store.db import Store


@click.command(epilog="Example: cxr-node drift --html report.html")
@as_json
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write the report to this file, too.")
@click.option("--accept", metavar="REASON", help="What is so from now on is right: compare with it, and say why.")
@with_config
def drift(config: Config, as_json: bool, html: Path | None, accept: str | None) -> None:
    """Whether what models see and say has moved, by X-ray machine and by week."""
    from cxr_node import tables, watching
    from cxr_node.plan import Plan, open_store
    from cxr_node.store import watching as seen
    from cxr_node.watch.page import page

    store, plan, now = open_store(config, create=False), Plan.in_service(config), time.time()
    if accept is not None:
        with store.transaction() as tx:
            for model in watching.models_of(plan):
                seen.begin_anew(tx, model.digest, now, by=operator(), reason=accept, now=now)
        click.echo("models are compared with what comes from now on; that takes 28 days")
        return
    found = watching.look(plan, store, now)
    if html:
        html.write_text(page(found, config.node.language), "utf-8")
    click.echo(json.dumps(found, indent=2) if as_json else tables.drift(found))


@click.command(epilog="Examples: cxr-node label 1.2.826.0.1 positive; cxr-node label --csv reports.csv")
@click.argument("uid", required=False)
@click.argument("truth", required=False, type=click.Choice(["positive", "negative"]))
@click.option(
    "--csv", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Many at once; columns: study (UID) or accession, and label.",
)  # fmt: skip
@with_config
def label(config: Config, uid: str | None, truth: str | None, file: Path | None) -> None:
    """Say what the final report of a study says of what the model finds; `drift` then knows how often it agrees."""
    from cxr_node import views
    from cxr_node.calibrating import read_labels
    from cxr_node.plan import open_store

    if (file is None) != (uid is not None and truth is not None) or (file is not None and uid is not None):
        raise click.UsageError("give a study and positive or negative, or --csv FILE")
    store = open_store(config, create=False)
    said = (
        [*read_labels(file).items()] if file else [(views.study_meant(config, store, uid or ""), truth == "positive")]
    )
    labelled = _label(store, said)
    click.echo(f"{labelled} studies are labelled; {len(said) - labelled} are not known here")
    if not labelled:
        raise CxrNodeError("STUDY_UNKNOWN", "no study of these has been received")


def _label(store: "Store", said: list[tuple[str, bool]]) -> int:
    from cxr_node.store import watching, worklist

    count = 0
    with store.transaction() as tx:
        for name, positive in said:
            for study in worklist.named(tx, name):
                watching.label(tx, study, positive, operator(), time.time())
                count += 1
    return count
