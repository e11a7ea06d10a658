"""Signed cookies: who is signed in, and the token that every form carries (against forged requests)."""

import hashlib
import hmac
import secrets
import threading
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from cxr_node.domain.clock import Clock
from cxr_node.web.accounts import Account


@dataclass(frozen=True, slots=True)
class Session:
    """What the cookie says: whose it is, under which secret and role, since when, and its own random name."""

    user: str
    generation: str
    since: float
    name: str


class Sessions:
    """Makes and reads the cookies of one node. A session ends with time, by signing out, or with its account's secret.

    `ended`: the names of sessions that were signed out of and have not run out yet.
    """

    def __init__(self, key: bytes, clock: Clock, seconds: float, ended: set[str]) -> None:
        self._key, self._clock, self._seconds = key, clock, seconds
        self._signer = URLSafeSerializer(key, salt="cxr-node session", signer_kwargs={"digest_method": hashlib.sha256})
        self._ended, self._lock = ended, threading.Lock()

    def begin(self, account: Account) -> str:
        return str(self._signer.dumps([account.name, account.generation, self._clock(), secrets.token_urlsafe(12)]))

    def read(self, cookie: str | None) -> Session | None:
        """The session of a cookie; None for one that is not ours, has run out, or was signed out of."""
        if not cookie:
            return None
        try:
            said: Any = self._signer.loads(cookie)
        except BadData:
            return None
        session = Session(str(said[0]), str(said[1]), float(said[2]), str(said[3]))
        with self._lock:
            over = session.name in self._ended
        return None if over or not 0 <= self._clock() - session.since < self._seconds else session

    def end(self, session: Session) -> None:
        with self._lock:
            self._ended.add(session.name)

    def form_token(self, cookie: str, user: str) -> str:
        """What a form of `user` carries in a browser that has this random cookie."""
        return hmac.digest(self._key, f"form:{cookie}:{user}".encode(), "sha256").hex()

    def is_form_token(self, token: str, cookie: str, user: str) -> bool:
        made = self.form_token(cookie, user).encode()
        return bool(cookie) and hmac.compare_digest(made, token.encode("utf-8", "replace"))
