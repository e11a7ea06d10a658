"""Who asks, and whether they may.

In this order: a reverse proxy of the site that names the user, a token, a session. Where neither users nor proxies are
configured the node is open, on the loopback interface only, to requests that are addressed to it by that name.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from cxr_node.domain.reading import Actor
from cxr_node.web import accounts
from cxr_node.web.accounts import Accounts, Role
from cxr_node.web.attempts import Attempts
from cxr_node.web.sessions import Session, Sessions

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
SESSION_COOKIE, FORM_COOKIE, LANGUAGE_COOKIE = "cxr_session", "cxr_form", "cxr_language"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, from where, and how they are known."""

    name: str
    role: Role
    how: Literal["open", "proxy", "token", "session"]
    address: str
    session: Session | None = None

    def may(self, role: Role) -> bool:
        return self.role.rank >= role.rank

    @property
    def actor(self) -> Actor:
        return Actor(self.name, overrules=self.role is Role.ADMIN, address=self.address)


@dataclass(frozen=True, slots=True)
class Stranger:
    """Who could not say who they are. `wait`: seconds until they may try again."""

    address: str
    wait: int = 0


@dataclass(frozen=True, slots=True)
class Door:
    """How callers are known. `hosts`: the names by which an open node may be addressed (against DNS rebinding)."""

    sessions: Sessions
    attempts: Attempts
    users: Accounts | None = None
    tokens: Accounts | None = None
    proxies: Sequence[Network] = ()
    user_header: str = "X-Forwarded-User"
    proxy_role: Role = Role.VIEWER
    hosts: frozenset[str] = frozenset()

    @property
    def open(self) -> bool:
        return self.users is None and self.tokens is None and not self.proxies

    def caller(self, connection: HTTPConnection) -> Caller | Stranger:
        """Raises Permanent("ACCOUNTS") when a file of accounts cannot be used."""
        address, by_proxy = self.address(connection), self._is_proxy(_peer(connection))
        headers = connection.headers
        named = [name for value in headers.getlist(self.user_header) if (name := value.strip())]
        if by_proxy and len(named) == 1:  # of two, one may be the caller's own
            return self._proxied(named[0], address)
        if scheme_and_token := headers.get("authorization"):
            return self._with_token(scheme_and_token, address)
        if session := self.sessions.read(connection.cookies.get(SESSION_COOKIE)):
            return self._signed_in(session, address)
        if self.open and _host(headers) in self.hosts:
            return Caller("local", Role.ADMIN, "open", address)
        return Stranger(address)

    def address(self, connection: HTTPConnection) -> str:
        """Where the request comes from: the peer, or who a proxy of the site says it had it from."""
        peer = _peer(connection)
        forwarded = _last(connection.headers, "x-forwarded-for")
        return forwarded if self._is_proxy(peer) and _parsed(forwarded) else peer

    def secure(self, connection: HTTPConnection) -> bool:
        """Whether the browser came over TLS, as far as it can be told: here, or at a proxy of the site."""
        told = _last(connection.headers, "x-forwarded-proto") if self._is_proxy(_peer(connection)) else ""
        return (told or connection.url.scheme) == "https"

    def _is_proxy(self, peer: str) -> bool:
        found = _parsed(peer)
        return found is not None and any(found in network for network in self.proxies)

    def _proxied(self, name: str, address: str) -> Caller:
        account = self.users.by_name().get(name) if self.users else None
        return Caller(name[:64], account.role if account else self.proxy_role, "proxy", address)

    def _with_token(self, header: str, address: str) -> Caller | Stranger:
        kind, _, token = header.partition(" ")
        if wait := self.attempts.wait(address):
            return Stranger(address, wait)
        known = self.tokens.by_name() if self.tokens and kind.lower() == "bearer" else {}
        if account := accounts.of_token(token.strip(), known):
            return Caller(account.name, account.role, "token", address)
        self.attempts.failed(address)
        return Stranger(address)

    def _signed_in(self, session: Session, address: str) -> Caller | Stranger:
        account = self.users.by_name().get(session.user) if self.users else None
        if account is None or account.generation != session.generation:
            return Stranger(address)
        return Caller(account.name, account.role, "session", address, session)


def _peer(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""


def _last(headers: Headers, name: str) -> str:
    """What the proxy nearest to us says in a list: what stands before it, or in a line before, may be the caller's."""
    return ",".join(headers.getlist(name)).rpartition(",")[2].strip()


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _host(headers: Headers) -> str:
    """The name in the Host header, without its port."""
    host = headers.get("host", "")
    return host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
