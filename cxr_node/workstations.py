"""What [ups], [hub], [[subscriber]], [worklist] ris, [corrections] pacs mean: who answers, is told, called, asked."""

import time
from collections.abc import Callable, Mapping, Sequence

from cxr_node import tls, trust
from cxr_node.config import Config
from cxr_node.dicomweb.client import Server
from cxr_node.dicomweb.workitems import Workitems
from cxr_node.dimse.sender import Peer
from cxr_node.domain.priority import Policy
from cxr_node.domain.study import Judging
from cxr_node.plan import policy_of
from cxr_node.store import worklist
from cxr_node.store.db import Store, Tx
from cxr_node.ups.desk import Desk
from cxr_node.ups.looks import Looks

_PACS_SECONDS = 10.0  # documents wait for its answer
_SECONDS = 5.0  # a subscriber that does not answer holds up few others


def desk_of(
    current: Callable[[], Config],
    store: Store,
    judging: Callable[[], Judging],
    wake: Callable[[], None],
    *,
    by_web: bool,
) -> Desk | None:
    """Who answers for workitems, None where UPS is off. `by_web`: there subscribers come for their reports.

    `current` gives the configuration of now, of which destinations and the maximum wait may change.
    """
    config = current()
    if not config.ups.enabled and not (config.ups.modality_worklist and not by_web):
        return None

    def policy(tx: Tx) -> Policy:
        return policy_of(current(), frozen=worklist.is_frozen(tx))

    def archive() -> str:
        destinations = current().destination
        return next((one.ae_title for one in destinations if one.ae_title), "")

    called = frozenset(subscribers_of(config))
    title, sites = config.node.ae_title, config.hub.sites
    return Desk(store, policy, judging, called, by_web, archive, title, time.time, wake, Looks(), sites=sites)


def hub_of(config: Config, guard: Callable[[], None] = lambda: None) -> Workitems | None:
    """Where this node tells its worklist to; in shadow nowhere. `guard` as of `Workitems`.

    Raises ConfigError for a credential that is not there.
    """
    hub = config.hub
    if hub.url is None or config.node.mode == "shadow":
        return None
    login = tls.located("hub.authorization", hub.authorization).path if hub.authorization else None
    return Workitems(Server("the hub", hub.url, authorization=login, tls=trust.called(config, "hub", hub)), guard)


def ris_of(config: Config) -> Peer | None:
    """Who is asked for the priority of studies."""
    ris = config.worklist.ris
    if ris is None:
        return None
    return Peer(
        "the RIS", ris.ae_title, ris.host, ris.port,
        tls=trust.called(config, "worklist.ris", ris), tls_name=ris.tls_name,
    )  # fmt: skip


def pacs_of(config: Config) -> Peer | None:
    """Who is asked whose studies are."""
    pacs = config.corrections.pacs
    if pacs is None:
        return None
    return Peer(
        "the PACS", pacs.ae_title, pacs.host, pacs.port, timeout=_PACS_SECONDS,
        tls=trust.called(config, "corrections.pacs", pacs), tls_name=pacs.tls_name,
    )  # fmt: skip


def asking(config: Config) -> Sequence[str]:
    """The kinds of the jobs that ask others about a study that comes."""
    asked = {"lookup": config.worklist.ris, "crosscheck": config.corrections.pacs}
    return [kind for kind, peer in asked.items() if peer is not None]


def subscribers_of(config: Config) -> Mapping[str, Peer]:
    """By AE title: who is called with event reports."""
    return {
        one.ae_title: Peer(
            one.ae_title, one.ae_title, one.host, one.port, timeout=_SECONDS,
            tls=trust.called(config, f"subscriber.{one.ae_title}", one), tls_name=one.tls_name,
        )
        for one in config.subscriber
    }  # fmt: skip
