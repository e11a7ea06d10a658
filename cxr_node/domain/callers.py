"""Who calls the node: whether from where it is allowed, and the account of those that were turned away."""

import ipaddress
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from cxr_node.domain.clock import Clock
from cxr_node.domain.intake import Refusal

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_QUIET_SECONDS = 60.0
_MOST_KNOWN = 1000  # addresses and reasons that are remembered


def within(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address is in one of these networks.

    An IPv4 one is looked for as that also where the listener stands on IPv6 (RFC 4291 2.5.5.2).
    """
    found = ipaddress.ip_address(address)
    plain = found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found
    return any(plain in network for network in networks)


class Counts:
    """How often each thing happened since it was last asked; for threads that must not wait for a database."""

    def __init__(self) -> None:
        self._counted = Counter[tuple[str, str]]()
        self._lock = threading.Lock()

    def count(self, what: str, label: str) -> None:
        with self._lock:
            self._counted[what, label] += 1

    def take(self) -> Counter[tuple[str, str]]:
        """What was counted since the last time."""
        with self._lock:
            taken, self._counted = self._counted, Counter()
        return taken

    def give_back(self, counted: Counter[tuple[str, str]]) -> None:
        """What could not be written down now."""
        with self._lock:
            self._counted.update(counted)


class Refusals:
    """Tells of each address and reason at once, then at most once a minute, with how many there were meanwhile.

    So a machine that knocks a thousand times a second, each time under another name, fills neither the log nor the
    trail of events.
    """

    def __init__(
        self, tell: Callable[[Refusal], None], clock: Clock = time.monotonic, counts: Counts | None = None
    ) -> None:
        self._tell, self._clock, self._counts = tell, clock, counts
        self._known: dict[tuple[str, str], tuple[float, int]] = {}
        self._lock = threading.Lock()

    def refused(self, address: str, reason: str) -> None:
        """A connection was closed before it became an association."""
        self._note("connection.refused", address, "", reason)

    def rejected(self, address: str, calling: str, reason: str) -> None:
        """An association was rejected."""
        self._note("association.rejected", address, calling, reason)

    def unserved(self, address: str, calling: str, reason: str) -> None:
        """A message was refused."""
        self._note("message.refused", address, calling, reason)

    def _note(self, event: str, address: str, calling: str, reason: str) -> None:
        if self._counts is not None:
            self._counts.count(event, reason)
        key, now = (address, reason), self._clock()
        with self._lock:
            told, untold = self._known.get(key, (-_QUIET_SECONDS, 0))
            if now - told < _QUIET_SECONDS:
                self._known[key] = told, untold + 1
                return
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[key] = now, 0
        self._tell(Refusal(event, address, calling, reason, untold + 1))
