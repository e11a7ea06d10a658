"""`cxr-node backfill`: a source as a person names it, and the node's own way in for what it has."""

import base64
import time
from datetime import date
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from cxr_node import keys, trust, views
from cxr_node.backfill.run import Source
from cxr_node.backfill.sources import Archive, Days, Door, Folder, Web
from cxr_node.config import Called, Config
from cxr_node.dicomweb.client import Server
from cxr_node.dimse.inquiry import STUDY_ROOT_FIND
from cxr_node.dimse.sender import Peer
from cxr_node.errors import CxrNodeError
from cxr_node.plan import Plan, peers_of
from cxr_node.reaching import server_of
from cxr_node.stages.receive import Receive
from cxr_node.store import events
from cxr_node.store.db import Store


def source_of(config: Config, store: Store, named: str, days: Days) -> Source:
    """A folder, `https://...` (DICOMweb), `dicom://AE@HOST:PORT`, or the name of a [[destination]].

    Raises CxrNodeError("SOURCE").
    """
    peers, url = peers_of(config), urlsplit(named)
    if named in peers:
        server = server_of(peers[named])
        return Web(server, days, door(config, store)) if server else _archive(config, store, peers[named], days)
    if url.scheme in ("http", "https"):
        tls = trust.called(config, "source", Called(tls=True)) if url.scheme == "https" else None
        return Web(Server("the source", named, tls=tls), days, door(config, store))
    if url.scheme == "dicom":
        if not url.username or not url.hostname or not url.port:
            raise CxrNodeError("SOURCE", f"{named}: write it as dicom://AE_TITLE@HOST:PORT")
        return _archive(config, store, Peer("the source", url.username, url.hostname, url.port), days)
    if not Path(named).is_dir():
        raise CxrNodeError(
            "SOURCE",
            f"{named} is no folder, no https://... or dicom://AE_TITLE@HOST:PORT, and no [[destination]]",
        )
    return Folder(Path(named), door(config, store))


def _archive(config: Config, store: Store, peer: Peer, days: Days) -> Archive:
    if not views.answers(config):
        raise CxrNodeError("SOURCE", "an archive sends to the node's listener, and no node is running here: start it")
    modalities = sorted(config.eligibility.modalities)
    return Archive(peer, config.node.ae_title, days, modalities, partial(_queried, store, peer))


def _queried(store: Store, peer: Peer, query: bytes, syntax: str) -> None:
    with store.transaction() as tx:
        events.append(
            tx, time.time(), "peer.queried", None,
            destination=peer.name, ae_title=peer.ae_title, host=peer.host, transfer_syntax_uid=syntax,
            information_model_uid=STUDY_ROOT_FIND, identifier=base64.b64encode(query).decode(),
        )  # fmt: skip


def door(config: Config, store: Store) -> Door:
    """The way in, by the rules of the node; other processes find what came within a second."""
    plan = Plan.in_service(config)
    spool, judging = plan.spool(), plan.judging()
    intake = Receive(
        store, spool, plan.rules(), lambda: judging, plan.waiting(), {}, time.time, lambda: None,
        keys.pseudonyms(config.node.data_dir, create=False).study,
    )  # fmt: skip
    return Door(spool.incoming, intake, frozenset(config.eligibility.modalities))


def days_of(since: date | None, until: date | None, today: date) -> Days:
    """A year back, unless it is said; today's studies come by themselves. Raises CxrNodeError("SOURCE")."""
    last = until or date.fromordinal(today.toordinal() - 1)
    first = since or date.fromordinal(last.toordinal() - 365)
    if first > last:
        raise CxrNodeError("SOURCE", f"--since {first} lies after --until {last}")
    return Days(first, last)
