"""`cxr-node audit`: the audit trail as evidence."""

import json
import sys
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from cxr_node.commands.options import DAY, as_json, midnight, operator, with_config
from cxr_node.config import Config
from cxr_node.domain.clock import iso

if TYPE_CHECKING:
    from cxr_node.store import trail

_KEY = click.Path(dir_okay=False, path_type=Path)
_PAGE = 500


@click.group()
def audit() -> None:
    """The audit trail: prove it, hand it out, and remove what is old."""


@audit.command(epilog="Example: cxr-node audit verify --key /media/key/audit.key")
@click.option("--key", "key_file", type=_KEY, help="The site's key, to prove what was removed before.")
@as_json
@with_config
def verify(config: Config, key_file: Path | None, as_json: bool) -> None:
    """Look at every event: exit status 0 when the trail is intact, 1 when it is broken."""
    from cxr_node import keys
    from cxr_node.plan import open_store
    from cxr_node.store import trail

    key = keys.site_key(key_file) if key_file else None
    with open_store(config, create=False).reading() as tx:
        found = trail.verify(tx, key)
    click.echo(json.dumps(asdict(found), indent=2) if as_json else _told(found))
    sys.exit(0 if found.broken is None else 1)


@audit.command(epilog="Example: cxr-node audit truncate --before 2025-01-01 --key /media/key/audit.key")
@click.option("--before", required=True, type=DAY, help="Events of this day and later stay.")
@click.option("--key", "key_file", required=True, type=_KEY, help="The site's key, which seals what was removed.")
@with_config
def truncate(config: Config, before: datetime, key_file: Path) -> None:
    """Remove old events, and seal in a new one what they were. Those since the node last started always stay."""
    from cxr_node import auditing, keys
    from cxr_node.errors import Permanent
    from cxr_node.plan import open_store
    from cxr_node.store import trail

    key, store = keys.site_key(key_file), open_store(config, create=False)
    with store.reading() as tx:
        found = trail.verify(tx, key)
    if found.broken is not None:
        raise Permanent("AUDIT_BROKEN", f"the trail is broken, so nothing was removed; {found.meaning}")
    with store.transaction() as tx:
        removal = trail.truncate(
            tx, midnight(config, before), key, by=operator(), now=time.time(), targets=auditing.targets(config)
        )
    if removal is None:
        click.echo("there is no event to remove; those since the node last started stay")
    else:
        click.echo(f"events up to {removal.through} ({iso(removal.last_time)}) are removed, {removal.count} so far")


@audit.command(epilog="Example: cxr-node audit export --since 2026-01-01 audit.xml")
@click.option("--since", type=DAY, help="Events of this day and later; default: all.")
@click.argument("file", type=click.File("w", "utf-8", lazy=True))
@with_config
def export(config: Config, since: datetime | None, file: TextIO) -> None:
    """Write DICOM audit messages (PS3.15 A.5), one a line, to FILE, or to standard output for "-". They hold patient
    data; that they were read is an event too."""
    from cxr_node import auditing
    from cxr_node.audit.messages import messages
    from cxr_node.plan import open_store
    from cxr_node.store import events

    store = open_store(config, create=False)
    with store.transaction() as tx:
        after = events.last_before(tx, midnight(config, since)) if since else 0
        events.append(tx, time.time(), "audit.read", None, by=operator())
    with store.reading() as tx:
        while rows := events.page(tx, after, _PAGE):
            after = rows[-1]["sequence"]
            file.writelines(f"{each.xml}\n" for each in messages(rows, auditing.reporter_of(config)))


def _told(found: "trail.Verification") -> str:
    lines = [f"{'intact' if found.broken is None else 'BROKEN'}: {found.meaning}"]
    lines.append(f"events    {found.events}, numbers {found.first} to {found.last}")
    if found.removed:
        removed = found.removed
        period = f"{iso(removed['first_time'])} to {iso(removed['last_time'])}"
        lines.append(f"removed   {removed['count']} up to number {removed['through']}, {period}")
        lines.append(f"          by {removed['by']} at {iso(removed['at'])}")
        unproved = "; give --key to prove the removal" if found.seal == "unchecked" else ""
        lines.append(f"seal      {found.seal}{unproved}")
    return "\n".join([*lines, f"last hash {found.head}"])
