"""Keys in files: the node's own, made once, and those that the site holds."""

import os
import secrets
from pathlib import Path

from cxr_node.domain.pseudonym import Pseudonyms
from cxr_node.errors import Permanent

_BYTES = 32
_SHORTEST = 32


def pseudonyms(data_dir: Path, *, create: bool) -> Pseudonyms:
    """The node's pseudonyms; their key is made in `data_dir` where it is not there yet and `create` is set.

    Raises Permanent("KEY_FILE") when the key is missing, damaged, or open to others.
    """
    path = data_dir / "pseudonym.key"
    if create and not path.exists():
        _make(path)
    try:
        return Pseudonyms(bytes.fromhex(_read(path).decode()))
    except ValueError as error:
        raise Permanent("KEY_FILE", f"the key {path} is damaged; restore it, or names in the log change") from error


def web(data_dir: Path) -> bytes:
    """What sessions of the web page are signed with; made where it is not there yet. Raises Permanent("KEY_FILE")."""
    path = data_dir / "web.key"
    if not path.exists():
        _make(path)
    return _read(path)


def site_key(path: Path) -> bytes:
    """A key that the site holds. Raises Permanent("KEY_FILE") when it cannot be read, is short, or open to others."""
    key = _read(path).strip()
    if len(key) < _SHORTEST:
        raise Permanent("KEY_FILE", f"the key {path} is shorter than {_SHORTEST} bytes; make one: openssl rand -hex 32")
    return key


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_mode & 0o077:
            raise Permanent("KEY_FILE", f"others than its owner may use the key {path}; chmod 600 it")
        return path.read_bytes()
    except OSError as error:
        raise Permanent("KEY_FILE", f"the key {path} cannot be read: {error.strerror}") from error


def _make(path: Path) -> None:
    """Write a new key durably; whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(secrets.token_hex(_BYTES))
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
