"""The role `hl7`: the process that takes the messages of the RIS, and answers each when it is committed."""

import contextlib
import os
import threading
import time

import structlog

from cxr_node import keys, messaging
from cxr_node.config import Config
from cxr_node.domain.callers import Refusals
from cxr_node.errors import CxrNodeError, Transient
from cxr_node.hl7.server import Server
from cxr_node.link import Link, attend
from cxr_node.observe import log as logging
from cxr_node.plan import Plan, open_store
from cxr_node.roles import configuration_of, plan_of
from cxr_node.stages.orders import Orders
from cxr_node.stages.turned_away import TurnedAway
from cxr_node.store.db import Store

log = structlog.get_logger()

_ROLE = "hl7"
_POLL_SECONDS = 1.0
_GRACE_SECONDS = 5.0


def run(config: Config | None) -> int:
    """The whole life of the process; its exit status. Without `config` the daemon sends it over the link."""
    link, model = Link.inherited(), None
    if config is None:
        _, model, config = configuration_of(link)
    logging.configure(config.log.level, config.log.format, config.log.file, role=_ROLE)
    ending = threading.Event()
    if link:
        attend(link, on_wake=lambda: None, on_go=lambda: None, healthy=lambda: True, on_end=ending.set)
    try:
        if config.hl7.port is None:
            raise Transient("HL7_PORT", "no messages are taken: hl7.port is not set")
        store = open_store(config, create=False)
        turned_away = TurnedAway(store, time.time)
        refusals = Refusals(turned_away.note)
        desk = orders(plan_of(config, model), store, refusals, link)
        server = Server((config.hl7.host, config.hl7.port), messaging.gate(config), desk.answer, refusals)
    except CxrNodeError as error:
        log.error("hl7.unavailable", code=error.code, reason=error.message)
        if link:
            link.fail(error.code, error.message)
        return 1
    server.start()
    if link:
        link.say("ready", "mllp")
    log.info("hl7.ready", host=config.hl7.host, port=server.port, tls=config.hl7.tls)
    with contextlib.suppress(KeyboardInterrupt):
        while not ending.wait(_POLL_SECONDS) and server.alive():
            turned_away.record()
    server.stop()
    _let_finish(server)
    os._exit(0 if ending.is_set() else 1)  # a caller that says nothing does not keep the process


def orders(plan: Plan, store: Store, refusals: Refusals, link: Link | None) -> Orders:
    """The desk that messages come to."""
    config = plan.config
    return Orders(
        store=store,
        terms=messaging.terms(config),
        charset=config.hl7.charset,
        judging=plan.judging(),
        refusals=refusals,
        clock=time.time,
        wake=lambda: link.hint("wake") if link else None,
        pseudonym=keys.pseudonyms(config.node.data_dir, create=False).study,
    )


def _let_finish(server: Server) -> None:
    """Messages in hand are answered."""
    until = time.monotonic() + _GRACE_SECONDS
    while server.connections() and time.monotonic() < until:
        time.sleep(0.05)
