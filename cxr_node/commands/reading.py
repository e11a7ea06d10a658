"""`cxr-node read`, `reopen` and `priority`: what a person says of one study in the worklist."""

import time

import click

from cxr_node.commands.options import actor, with_config
from cxr_node.config import Config
from cxr_node.domain.priority import Priority

_NONE = "none"


@click.command(epilog="Example: cxr-node read 1.2.826.0.1")
@click.argument("uid")
@with_config
def read(config: Config, uid: str) -> None:
    """Mark a study as read: it leaves the worklist, whoever has claimed it."""
    from cxr_node import views
    from cxr_node.plan import open_store
    from cxr_node.store import reading

    store = open_store(config, create=False)
    meant = views.study_meant(config, store, uid)
    with store.transaction() as tx:
        reading.mark_read(tx, meant, actor(), time.time())
    click.echo(f"study {uid} is marked as read")


@click.command(epilog="Example: cxr-node reopen 1.2.826.0.1")
@click.argument("uid")
@with_config
def reopen(config: Config, uid: str) -> None:
    """Bring a study that was marked as read back into the worklist."""
    from cxr_node import views
    from cxr_node.plan import Plan, open_store
    from cxr_node.store import reading

    store, judging = open_store(config, create=False), Plan.in_service(config).judging()
    meant = views.study_meant(config, store, uid)
    with store.transaction() as tx:
        reading.reopen(tx, meant, actor(), judging, time.time())
    click.echo(f"study {uid} is in the worklist again")


@click.command(epilog="Example: cxr-node priority 1.2.826.0.1 stat")
@click.argument("uid")
@click.argument("level", type=click.Choice([*(level.value for level in Priority), _NONE]))
@with_config
def priority(config: Config, uid: str, level: str) -> None:
    """Say how urgent a study is; `none` takes back what was said. The model never lowers it."""
    from cxr_node import views
    from cxr_node.plan import open_store
    from cxr_node.store import reading

    store = open_store(config, create=False)
    meant = views.study_meant(config, store, uid)
    with store.transaction() as tx:
        reading.prioritise(tx, meant, None if level == _NONE else Priority(level), actor(), time.time())
    click.echo(f"study {uid} has {'no priority of a person' if level == _NONE else f'priority {level}'}")
