"""The role `web`: what [web] means, and the process that serves it from the database."""

import ipaddress
import os
import threading
import time
from collections.abc import Callable
from functools import cache, partial

import structlog

import cxr_node
from cxr_node import keys, lineup, trust, views
from cxr_node.config import Config
from cxr_node.domain.study import Judging
from cxr_node.errors import ConfigError, CxrNodeError
from cxr_node.inference import manifest as models
from cxr_node.link import Link, attend
from cxr_node.observe import log as logging
from cxr_node.plan import Plan, open_store
from cxr_node.port import bound
from cxr_node.roles import configuration_of, plan_of
from cxr_node.stages.receive import Receive
from cxr_node.store import events
from cxr_node.store.db import Store
from cxr_node.web.access import Door
from cxr_node.web.accounts import Accounts, Role
from cxr_node.web.app import build
from cxr_node.web.attempts import Attempts
from cxr_node.web.live import Live
from cxr_node.web.server import Server
from cxr_node.web.sessions import Sessions
from cxr_node.web.site import Facts, Site
from cxr_node.workstations import asking, desk_of

log = structlog.get_logger()

_ROLE = "web"
_FAILURES, _WAIT_SECONDS = 10, 300.0
_GRACE_SECONDS = 10.0


def run(config: Config | None) -> int:
    """The whole life of the web process; its exit status. Without `config` the daemon sends it over the link."""
    link, model = Link.inherited(), None
    if config is None:
        _, model, config = configuration_of(link)
    logging.configure(config.log.level, config.log.format, config.log.file, role=_ROLE)
    bell, serving = _Bell(), _Serving()
    if link:
        attend(link, on_wake=bell.ring, on_go=lambda: None, healthy=lambda: True, on_end=serving.end)
    try:
        plan = plan_of(config, model)
        store = open_store(config, create=False)
        app = build(
            site(plan, store, partial(link.hint, "wake") if link else lambda: None), door(config, store), bell.found
        )
        secure = trust.web(config)
        listening = bound(config.web.host, config.web.port, "WEB_PORT", "the web page cannot be had")
    except CxrNodeError as error:
        log.error("web.unavailable", code=error.code, reason=error.message)
        if link:
            link.fail(error.code, error.message)
        return 1
    server = Server(app, secure)
    serving.begin(server)
    if link:
        link.say("ready", "http")
    log.info("web.ready", host=config.web.host, port=config.web.port, tls=config.web.certificate is not None)
    server.run(sockets=[listening])
    store.close()
    return 0


def site(plan: Plan, store: Store, wake: Callable[[], None]) -> Site:
    """The node as its pages see it; `wake` tells the other processes that there is work."""
    config, judging = plan.config, plan.judging()
    return Site(
        facts=Facts(
            version=cxr_node.__version__,
            mode=config.node.mode,
            language=config.node.language,
            timezone=config.node.timezone,
            model=f"{plan.manifest.name} {plan.manifest.version}",
            max_wait_minutes=config.worklist.max_wait_minutes,
            localises=config.node.mode != "triage",
            calibrated=judging.prevalence is not None,
            viewer_url=config.web.viewer_url,
            institution=config.node.institution,
        ),
        store=store,
        spool=plan.spool(),
        judging=judging,
        reads=cache(partial(reads, plan)),
        places=lambda closed, only: views.places(config, store, time.time(), closed=closed, only=only),
        study=partial(views.study, store),
        status=lambda: views.status(config, store, time.time(), call=False),
        ready=lambda: views.readiness(config, store),
        pseudonym=keys.pseudonyms(config.node.data_dir, create=False).study,
        clock=time.time,
        desk=desk_of(lambda: config, store, lambda: judging, wake, by_web=True),
        intake=_intake(plan, store, wake) if config.web.stow else None,
    )


def reads(plan: Plan, name: str, version: str) -> Judging | None:
    """How this site reads a model; None where it is not installed, or cannot be used."""
    try:
        found = models.find(plan.config.model.directory, name, version)
        return plan.judging_of(lineup.calibrated(plan.config, found))
    except ConfigError:
        return None


def _intake(plan: Plan, store: Store, wake: Callable[[], None]) -> Receive:
    """What takes films that come by HTTP, by the same rules as over DIMSE."""
    config, judging = plan.config, plan.judging()
    return Receive(
        store, plan.spool(), plan.rules(), lambda: judging, plan.waiting(), config.receive.charset_override, time.time,
        wake, keys.pseudonyms(config.node.data_dir, create=False).study, asking(config),
    )  # fmt: skip


def door(config: Config, store: Store) -> Door:
    """Who is let in."""
    web, seconds = config.web, config.web.session_hours * 3600
    with store.reading() as tx:
        ended = {str(one["session"]) for one in events.named_since(tx, "user.signed_out", time.time() - seconds)}
    files = {key: Accounts(file.path) for key, file in trust.accounts_files(config).items()}
    return Door(
        sessions=Sessions(keys.web(config.node.data_dir), time.time, seconds, ended),
        attempts=Attempts(time.time, _FAILURES, _WAIT_SECONDS),
        users=files.get("web.users"),
        tokens=files.get("web.tokens"),
        proxies=[ipaddress.ip_network(network, strict=False) for network in web.trusted_proxies],
        user_header=web.user_header,
        proxy_role=Role(web.proxy_role),
        hosts=frozenset({"localhost", "127.0.0.1", "::1", web.host}) if web.loopback else frozenset(),
    )


class _Bell:
    """Rings for those who watch, once there is a loop that they watch in."""

    def __init__(self) -> None:
        self._live: Live | None = None

    def found(self, live: Live) -> None:
        self._live = live

    def ring(self) -> None:
        if self._live is not None:
            self._live.ring()


class _Serving:
    """Ends the server when the daemon is gone, also when it is not there yet."""

    def __init__(self) -> None:
        self._server: Server | None = None
        self._ended = threading.Event()

    def begin(self, server: Server) -> None:
        self._server = server
        if self._ended.is_set():
            server.stop()

    def end(self) -> None:
        self._ended.set()
        if self._server is not None:
            self._server.stop()
        grace = threading.Timer(_GRACE_SECONDS, partial(os._exit, 0))
        grace.daemon = True
        grace.start()
