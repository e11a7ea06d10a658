"""Users and tokens: a file each, a line an account, `name:role:secret`. Secrets stand there as hashes only.

Passwords are hashed with scrypt (RFC 7914; N = 2**15, r = 8, p = 1: 32 MiB and about a tenth of a second); tokens are
random, so that SHA-256 is enough for them. What stands in a file is never told, only in which line a mistake is.
"""

import base64
import hashlib
import hmac
import os
import re
import secrets
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from cxr_node.errors import Permanent

SHORTEST_PASSWORD = 10
_LONGEST_PASSWORD = 1024
_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_SCRYPT, _TOKEN = "scrypt", "sha256"
_COST, _BLOCK, _LANES, _MEMORY = 2**15, 8, 1, 64 * 1024 * 1024
_OTHERS = 0o007


class Role(StrEnum):
    """What somebody may do: see; also claim, read and prioritise; also freeze the list and overrule readers."""

    VIEWER = "viewer"
    READER = "reader"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return (Role.VIEWER, Role.READER, Role.ADMIN).index(self)


@dataclass(frozen=True, slots=True)
class Account:
    """One line. `secret`: the hash of a password or token."""

    name: str
    role: Role
    secret: str = field(repr=False)

    @property
    def generation(self) -> str:
        """Changes with the secret and the role: a session of an older one has ended."""
        return hashlib.sha256(f"{self.role}:{self.secret}".encode()).hexdigest()[:16]


class Accounts:
    """The accounts of a file, read again when it changes. Safe for threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._known: Mapping[str, Account] = {}

    def by_name(self) -> Mapping[str, Account]:
        """Raises Permanent("ACCOUNTS") when the file is missing, damaged, or open to others."""
        with self._lock:
            seen = _identity(self._path)
            if seen != self._seen:
                self._known, self._seen = load(self._path), seen
            return self._known


def load(path: Path) -> dict[str, Account]:
    """The accounts of a file. Raises Permanent("ACCOUNTS")."""
    _identity(path)
    found: dict[str, Account] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            account = _account(line.strip(), path, number)
            if account.name in found:
                raise Permanent("ACCOUNTS", f"{path}, line {number}: a second account of the same name")
            found[account.name] = account
    return found


def save(path: Path, accounts: Iterable[Account]) -> None:
    """Write the file anew, readable by its owner and group alone; whole or not at all."""
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o640), "w") as stream:
        stream.writelines(f"{one.name}:{one.role}:{one.secret}\n" for one in accounts)
        stream.flush()
        os.fsync(stream.fileno())
    if path.exists():
        os.chown(part, path.stat().st_uid, path.stat().st_gid)  # root writes it, and the service goes on reading it
    part.replace(path)


def require_name(name: str) -> None:
    """Raises Permanent("ACCOUNTS") for what cannot be the name of an account."""
    if not _NAME.fullmatch(name):
        raise Permanent("ACCOUNTS", "a name has up to 64 letters, digits or any of . _ @ -")


def hashed(password: str) -> str:
    """A password as it stands in the file. Raises Permanent("PASSWORD") for one that is too short or too long."""
    if not SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        raise Permanent("PASSWORD", f"a password has at least {SHORTEST_PASSWORD} characters")
    salt = secrets.token_bytes(16)
    return f"{_SCRYPT}${_encoded(salt)}${_encoded(_scrypt(password, salt))}"


def is_password(password: str, account: Account | None) -> bool:
    """Whether the password is the account's; takes as long where there is no account."""
    kind, _, rest = (account.secret if account else f"{_SCRYPT}${_encoded(bytes(16))}$").partition("$")
    salt, _, digest = rest.partition("$")
    if kind != _SCRYPT or len(password) > _LONGEST_PASSWORD:
        return False
    made = _encoded(_scrypt(password, base64.b64decode(salt)))
    return hmac.compare_digest(made.encode(), digest.encode()) and account is not None


def new_token() -> tuple[str, str]:
    """A new token, and how it stands in the file."""
    token = f"cxr_{secrets.token_urlsafe(32)}"
    return token, _token_hash(token)


def of_token(token: str, accounts: Mapping[str, Account]) -> Account | None:
    """Whose token it is."""
    made = _token_hash(token).encode()
    return next((one for one in accounts.values() if hmac.compare_digest(one.secret.encode(), made)), None)


def _account(line: str, path: Path, number: int) -> Account:
    name, _, rest = line.partition(":")
    role, _, secret = rest.partition(":")
    kind = secret.partition("$")[0]
    if not _NAME.fullmatch(name) or role not in list(Role) or kind not in (_SCRYPT, _TOKEN):
        raise Permanent("ACCOUNTS", f"{path}, line {number}: not name:role:hash; `cxr-node user add` writes it")
    return Account(name, Role(role), secret)


def _identity(path: Path) -> tuple[int, int, int]:
    """What tells that a file is still the one that was read."""
    try:
        found = path.stat()
        with path.open("rb"):
            pass
    except OSError as error:
        raise Permanent("ACCOUNTS", f"the accounts in {path} cannot be read: {error.strerror}") from error
    if found.st_mode & _OTHERS:
        raise Permanent("ACCOUNTS", f"every user of this machine may use the accounts in {path}; chmod 640 it")
    return found.st_ino, found.st_mtime_ns, found.st_size


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "replace"), salt=salt, n=_COST, r=_BLOCK, p=_LANES, maxmem=_MEMORY, dklen=32
    )


def _token_hash(token: str) -> str:
    return f"{_TOKEN}${hashlib.sha256(token.encode('utf-8', 'replace')).hexdigest()}"


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
