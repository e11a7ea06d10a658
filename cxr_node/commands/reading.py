"""`cxr-node read`, `reopen`, `priority`, `withdraw`, `release`: what a person says of one study in the worklist.

And `retell`: to a hub, all of them.
"""

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
        site = reading.prioritise(tx, meant, None if level == _NONE else Priority(level), actor(), time.time())
    wanted = "no priority of a person" if level == _NONE else f"priority {level}"
    click.echo(f"study {uid} has {wanted}" if site is None else f"study {uid}: {site} is asked for {wanted}")


@click.command(epilog='Example: cxr-node withdraw 1.2.826.0.1 --reason "wrong patient"')
@click.argument("uid")
@click.option("--reason", required=True, help="Why, in your own words; the worklist and the trail show it.")
@with_config
def withdraw(config: Config, uid: str, reason: str) -> None:
    """Take a study back: it leaves the worklist, and nothing more of it is written or sent."""
    from cxr_node import views
    from cxr_node.plan import Plan, open_store
    from cxr_node.store import withdrawal

    if not reason.strip():
        raise click.UsageError("--reason is empty: say why, so that others understand it")
    store, judging = open_store(config, create=False), Plan.in_service(config).judging()
    meant = views.study_meant(config, store, uid)
    with store.transaction() as tx:
        done = withdrawal.withdraw(tx, meant, reason.strip(), actor(), judging=judging, now=time.time())
    if done is None:
        click.echo(f"study {uid} had been withdrawn before")
        return
    click.echo(f"study {uid} is withdrawn: {done.called_off} jobs called off, {done.delivered} deliveries had left")


@click.command(epilog="Example: cxr-node release 1.2.826.0.1")
@click.argument("uid")
@with_config
def release(config: Config, uid: str) -> None:
    """Say that a study stands that is held or withdrawn: it is read in its place, and its documents are sent."""
    from cxr_node import views
    from cxr_node.plan import Plan, open_store
    from cxr_node.store import withdrawal

    store, judging = open_store(config, create=False), Plan.in_service(config).judging()
    meant = views.study_meant(config, store, uid)
    with store.transaction() as tx:
        withdrawal.release(tx, meant, actor(), judging, time.time())
    click.echo(f"study {uid} stands again")


@click.command(epilog="Example: cxr-node retell")
@with_config
def retell(config: Config) -> None:
    """Tell the hub everything that is open anew, since it has lost its list; what it still has stays as it is."""
    from cxr_node.errors import ConfigError
    from cxr_node.plan import open_store
    from cxr_node.store import hub
    from cxr_node.workstations import hub_of

    if hub_of(config) is None:
        raise ConfigError("this node tells no hub: [hub] url is not set, or the mode is shadow")
    with open_store(config, create=False).transaction() as tx:
        count = hub.begin_again(tx)
    click.echo(f"the hub is told of {count} studies again, in the order of their arrival")
