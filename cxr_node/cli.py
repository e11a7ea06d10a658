"""The commands, thin: each reads its arguments, calls one function and prints what it gives."""

import json
import os
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click

import cxr_node
from cxr_node import config as configuration
from cxr_node.commands.accounts import token, user
from cxr_node.commands.audit import audit
from cxr_node.commands.backfill import backfill
from cxr_node.commands.backup import backup, restore
from cxr_node.commands.config import config as config_commands
from cxr_node.commands.drift import drift, label
from cxr_node.commands.export import export
from cxr_node.commands.models import models
from cxr_node.commands.options import DAY, as_json, config_file, midnight, operator, with_config
from cxr_node.commands.pool import pool
from cxr_node.commands.reading import priority, read, release, reopen, retell, withdraw
from cxr_node.commands.simulate import simulate
from cxr_node.config import Config
from cxr_node.errors import ConfigError, CxrNodeError

_CONFIG_STATUS = 78  # EX_CONFIG


class _Commands(click.Group):
    """Failures as every command shows them: one line first, on standard error, and the exit status of the contract."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except ConfigError as error:
            click.echo(f"configuration: {error.message}", err=True)
            sys.exit(_CONFIG_STATUS)
        except CxrNodeError as error:
            click.echo(f"{error.code}: {error.message}", err=True)
            sys.exit(1)


@click.group(cls=_Commands)
@click.version_option(cxr_node.__version__, prog_name="cxr-node")
def main() -> None:
    """A DICOM node that analyses chest films, reports to the PACS and orders the reading worklist."""


main.add_command(audit)
main.add_command(config_commands)
main.add_command(export)
main.add_command(pool)
for command in (backfill, backup, restore, drift, label, models, read, reopen, priority):
    main.add_command(command)
for command in (withdraw, release, retell, user, token, simulate):
    main.add_command(command)


@main.command(epilog="Example: cxr-node serve -c /etc/cxr-node/cxr-node.toml")
@config_file
def serve(config_file: Path | None) -> None:
    """Run the node in the foreground, until SIGTERM or Ctrl-C; SIGHUP has it read its configuration again."""
    from cxr_node import standby
    from cxr_node.daemon import Daemon
    from cxr_node.observe.log import configure

    config = configuration.load(config_file)
    configure(config.log.level, config.log.format, config.log.file, role="node")
    Daemon(config, lambda: configuration.load(config_file), standby.turn(config, os.getpid())).run()


@main.command(epilog="Example: cxr-node infer -c config/cxr-node.toml")
@click.option("-c", "--config", "file", type=click.Path(path_type=Path))
def infer(file: Path | None) -> None:
    """Run the inference child alone, for debugging: it takes films that wait from the node's job table."""
    _child("infer", file)


@main.command(hidden=True)
@click.option("-c", "--config", "file", type=click.Path(path_type=Path))
def work(file: Path | None) -> None:
    """Run the documents' worker alone, for debugging."""
    _child("work", file)


@main.command(hidden=True)
@click.option("-c", "--config", "file", type=click.Path(path_type=Path))
def further(file: Path | None) -> None:
    """Run the process of the models that the report has beside the one in service alone, for debugging."""
    _child("further", file)


@main.command(hidden=True)
@click.option("-c", "--config", "file", type=click.Path(path_type=Path))
def shadow(file: Path | None) -> None:
    """Run the process of the models beside the one in service alone, for debugging."""
    _child("shadow", file)


@main.command(epilog="Example: cxr-node web -c config/cxr-node.toml")
@click.option("-c", "--config", "file", type=click.Path(path_type=Path))
def web(file: Path | None) -> None:
    """Serve the web page alone, for debugging: it shows what is in the node's database."""
    from cxr_node import link, serving

    sys.exit(serving.run(None if link.VARIABLE in os.environ else configuration.load(file)))


@main.command(hidden=True)
@click.option("-c", "--config", "file", type=click.Path(path_type=Path))
def hl7(file: Path | None) -> None:
    """Take the messages of the RIS alone, for debugging."""
    from cxr_node import hearing, link

    sys.exit(hearing.run(None if link.VARIABLE in os.environ else configuration.load(file)))


def _child(role: Any, file: Path | None) -> None:
    from cxr_node import link, roles

    started_by_daemon = link.VARIABLE in os.environ
    sys.exit(roles.run(role, None if started_by_daemon else configuration.load(file)))


@main.command(epilog="Example: cxr-node check --offline")
@click.option("--offline", is_flag=True, help="Do not call the peers.")
@with_config
def check(config: Config, offline: bool) -> None:
    """Look over configuration, folders, disk, database, model, device and peers; change nothing."""
    from cxr_node.checks import examine

    findings = list(examine(config, offline=offline))
    for finding in findings:
        click.echo(f"{finding.verdict:<7} {finding.subject}: {finding.text}")
    if any(finding.verdict == "failed" for finding in findings):
        sys.exit(1)


@main.command(epilog="Examples: cxr-node status --json; cxr-node status --watch")
@as_json
@click.option("--watch", is_flag=True, help="Show it anew again and again, until Ctrl-C.")
@click.option(
    "--every", type=click.FloatRange(0.5, 3600), default=5.0, show_default=True, help="With --watch: seconds."
)
@with_config
def status(config: Config, as_json: bool, watch: bool, every: float) -> None:
    """Health, queues, destinations, machines, the newest studies and dead letters."""
    from cxr_node import tables, views
    from cxr_node.plan import open_store

    store = open_store(config, create=False)
    if watch and as_json:
        raise click.UsageError("--watch is for people, --json for programs")
    while True:
        found = views.status(config, store, time.time())
        if watch:
            click.clear()
            click.echo(f"{time.strftime('%H:%M:%S')}, every {every:g} s; Ctrl-C ends it\n")
        click.echo(json.dumps(found, indent=2) if as_json else tables.status(found))
        if not watch:
            sys.exit(0 if found["ready"] else 1)
        try:
            time.sleep(every)
        except KeyboardInterrupt:
            sys.exit(0)


@main.command(epilog="Example: cxr-node worklist --json --all")
@as_json
@click.option("--all", "closed", is_flag=True, help="Also studies that are read or withdrawn.")
@click.option(
    "--freeze/--unfreeze", "freeze", default=None, help="Kill switch: arrival order, the model moves nothing."
)
@with_config
def worklist(config: Config, as_json: bool, closed: bool, freeze: bool | None) -> None:
    """The studies in the order in which they should be read now."""
    from cxr_node import tables, views
    from cxr_node.plan import open_store
    from cxr_node.store import worklist as entries

    store = open_store(config, create=False)
    if freeze is not None:
        with store.transaction() as tx:
            entries.freeze(tx, freeze, time.time(), operator())
    found = views.reading_order(config, store, time.time(), closed=closed)
    click.echo(json.dumps(found, indent=2) if as_json else tables.worklist(found))


@main.command(epilog="Examples: cxr-node study 1.2.826.0.1 --json; cxr-node study s-k3vd7mq2xa5f")
@click.argument("uid")
@as_json
@with_config
def study(config: Config, uid: str, as_json: bool) -> None:
    """Everything the node knows of one study, by its UID or by what the log calls it."""
    from cxr_node import tables, views
    from cxr_node.plan import open_store

    store = open_store(config, create=False)
    found = views.study(store, views.study_meant(config, store, uid))
    if found is None:
        raise CxrNodeError("STUDY_UNKNOWN", f"no film of study {uid} has been received")
    click.echo(json.dumps(found, indent=2) if as_json else tables.study(found))


@main.command(epilog="Examples: cxr-node requeue --failed; cxr-node requeue 1.2.826.0.1; cxr-node requeue --with-model")
@click.argument("uid", required=False)
@click.option("--failed", is_flag=True, help="Every job that failed.")
@click.option("--with-model", is_flag=True, help="Every film that the model in service has not judged.")
@click.option("--since", type=DAY, help="With --with-model: only studies with films received on this day and later.")
@with_config
def requeue(config: Config, uid: str | None, failed: bool, with_model: bool, since: datetime | None) -> None:
    """Try again: all that failed, one study from its films on, or every film with the model in service now."""
    from cxr_node.plan import Plan, open_store
    from cxr_node.store.requeue import requeue_failed, requeue_study, requeue_unjudged

    if [uid is not None, failed, with_model].count(True) != 1:
        raise click.UsageError("give a study UID, or --failed, or --with-model")
    if since is not None and not with_model:
        raise click.UsageError("--since goes with --with-model")
    store = open_store(config, create=False)
    judging = None if failed else Plan.in_service(config).judging()
    with store.transaction() as tx:
        if judging is None:
            count = requeue_failed(tx, time.time())
        elif uid is not None:
            count = requeue_study(tx, uid, judging, time.time())
        else:
            day = midnight(config, since) if since else 0.0
            count = requeue_unjudged(tx, judging.model_digest, day, time.time())
    click.echo(f"{count} jobs will be tried again")


@main.command(epilog="Example: cxr-node analyze films/ --out results/")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the results.")
@click.option("--model", "name", help="Another model than the configured one.")
@click.option("--explain", type=click.Choice(["cam", "gradcam", "occlusion"]), help="How heat maps are made.")
@with_config
def analyze(config: Config, paths: tuple[Path, ...], out: Path, name: str | None, explain: str | None) -> None:
    """Analyse films without a node: DICOM, PNG, JPEG, or folders of them."""
    from cxr_node.observe.log import configure
    from cxr_node.offline import analyze as run

    configure(config.log.level, config.log.format)
    sys.exit(run(config, paths, out, name, explain))


@main.command(epilog="Example: cxr-node conformance > conformance.md")
@with_config
def conformance(config: Config) -> None:
    """The DICOM conformance statement of this node, from the tables that it works by, as Markdown."""
    from cxr_node.conformance.statement import statement
    from cxr_node.plan import Plan

    click.echo(statement(Plan.of(config)), nl=False)


@main.command(epilog="Example: cxr-node demo --films my-films/ --open")
@click.option("--films", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Play your own films.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("demo-out"), show_default=True)
@click.option("--open", "show", is_flag=True, help="Open the contact sheet at the end.")
def demo(films: Path | None, out: Path, show: bool) -> None:
    """A node, a throw-away archive and a modality that sends films; ends by itself."""
    from cxr_node.demo.play import play
    from cxr_node.observe.log import configure

    configure("info", "auto")
    sys.exit(play(films, out, show=show))
