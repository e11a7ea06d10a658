"""`cxr-node user` and `cxr-node token`: who may see the web page, and which programs may ask."""

from pathlib import Path

import click

from cxr_node.commands.options import with_config
from cxr_node.config import Config
from cxr_node.errors import ConfigError, Permanent

_ROLES = click.Choice(["viewer", "reader", "admin"])
_WHAT = "viewer: sees; reader: also claims, reads and prioritises; admin: also freezes the list."


@click.group()
def user() -> None:
    """The people who may sign in to the web page. A change holds at once; a removed user is out at once."""


@click.group()
def token() -> None:
    """The programs that may ask for JSON and metrics (Authorization: Bearer TOKEN)."""


@user.command("add", epilog="Example: cxr-node user add ana --role reader")
@click.argument("name")
@click.option("--role", required=True, type=_ROLES, help=_WHAT)
@click.password_option("--password", help="Asked for where it is not given; better so: others see what is typed here.")
@with_config
def add_user(config: Config, name: str, role: str, password: str) -> None:
    """Let a person in, or give one that is known another role or password."""
    from cxr_node.web import accounts

    path = _file(config, "web.users")
    _put(path, name, role, accounts.hashed(password))
    click.echo(f"{name} may sign in as {role}")


@token.command("add", epilog="Example: cxr-node token add prometheus --role viewer")
@click.argument("name")
@click.option("--role", required=True, type=_ROLES, help=_WHAT)
@with_config
def add_token(config: Config, name: str, role: str) -> None:
    """Make a token and print it, once: the node keeps its hash only."""
    from cxr_node.web import accounts

    path = _file(config, "web.tokens")
    made, secret = accounts.new_token()
    _put(path, name, role, secret)
    click.echo(made)


@user.command("remove", epilog="Example: cxr-node user remove ana")
@click.argument("name")
@with_config
def remove_user(config: Config, name: str) -> None:
    """Let a person in no more."""
    _remove(_file(config, "web.users"), name)


@token.command("remove", epilog="Example: cxr-node token remove prometheus")
@click.argument("name")
@with_config
def remove_token(config: Config, name: str) -> None:
    """Let a program ask no more."""
    _remove(_file(config, "web.tokens"), name)


@user.command("list", epilog="Example: cxr-node user list")
@with_config
def list_users(config: Config) -> None:
    """Names and roles."""
    _list(_file(config, "web.users"))


@token.command("list", epilog="Example: cxr-node token list")
@with_config
def list_tokens(config: Config) -> None:
    """Names and roles."""
    _list(_file(config, "web.tokens"))


def _file(config: Config, key: str) -> Path:
    from cxr_node import trust

    files = trust.accounts_files(config)
    if key not in files:
        raise ConfigError(f"{key} is not set: name there the file in which the accounts are to be kept")
    return files[key].path


def _put(path: Path, name: str, role: str, secret: str) -> None:
    from cxr_node.web import accounts

    accounts.require_name(name)
    known = accounts.load(path) if path.exists() else {}
    known[name] = accounts.Account(name, accounts.Role(role), secret)
    accounts.save(path, known.values())


def _remove(path: Path, name: str) -> None:
    from cxr_node.web import accounts

    known = accounts.load(path)
    if known.pop(name, None) is None:
        raise Permanent("ACCOUNTS", f"there is no account {name} in {path}")
    accounts.save(path, known.values())
    click.echo(f"{name} is out")


def _list(path: Path) -> None:
    from cxr_node.web import accounts

    for account in accounts.load(path).values():
        click.echo(f"{account.name}  {account.role}")
