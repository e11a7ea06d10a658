"""`cxr-node check`: the first-run doctor. It says what it finds and changes nothing."""

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

from cxr_node import (
    auditing,
    device_checks,
    hub_checks,
    messaging,
    pair_checks,
    reaching,
    tls,
    trust,
    upkeep_checks,
    views,
)
from cxr_node.audit import syslog
from cxr_node.config import Config
from cxr_node.dimse.sender import Peer
from cxr_node.domain.clock import iso
from cxr_node.errors import CxrNodeError
from cxr_node.inference.build import is_release, verify
from cxr_node.inference.manifest import Manifest
from cxr_node.plan import Plan, announcement, has_database, modalities_of, open_store, peers_of
from cxr_node.store import trail
from cxr_node.store.activations import Activation
from cxr_node.workstations import pacs_of, ris_of, subscribers_of

_TAIL = 1000

Verdict = Literal["ok", "note", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look gave."""

    verdict: Verdict
    subject: str
    text: str


def examine(config: Config, *, offline: bool) -> Iterator[Finding]:
    """Every check, in the order in which a node would fail. `offline` leaves the peers alone."""
    yield Finding("ok", "configuration", f"valid; mode {config.node.mode}, AE title {config.node.ae_title}")
    yield Finding("note" if config.node.mode == "shadow" else "ok", "mode", announcement(config))
    yield from _guarded("data folder", lambda: _data_folder(config.node.data_dir))
    yield from _guarded("disk", lambda: _disk(config))
    yield from _each("pair", lambda: (Finding(*found) for found in pair_checks.look(config)))
    yield from _guarded("database", lambda: _database(config))
    yield from _guarded("audit trail", lambda: _trail(config))
    yield from (Finding(*found) for found in upkeep_checks.look(config))
    yield from _guarded("model", lambda: _model(config))
    yield from _beside(config)
    yield from _guarded("gate", lambda: _gate(config))
    yield from _each("device", lambda: (Finding(*found) for found in device_checks.look(config, offline=offline)))
    yield from _each("certificate", lambda: _certificates(config, datetime.now(UTC)))
    yield from _guarded("web page", lambda: _web(config))
    yield from _guarded("listener", lambda: _listener(config))
    yield from _guarded("messages", lambda: _messages(config))
    yield from _guarded("audit messages", lambda: _audit(config, offline=offline))
    yield from _peers(config, offline=offline)


def _peers(config: Config, *, offline: bool) -> Iterator[Finding]:
    """Whether each peer answers. What people switch off at night may be away."""

    def looked(subject: str, look: Callable[[], str | None], well: str, away: Verdict) -> Finding:
        reason = None if offline else look()
        text = "not called (--offline)" if offline else reason or well
        return Finding("note" if offline else away if reason else "ok", subject, text)

    def echoed(subject: str, peer: Peer, away: Verdict = "failed") -> Finding:
        return looked(subject, lambda: reaching.reaches(peer, config.node.ae_title), _well(peer), away)

    if not config.destination:
        yield Finding("note", "destinations", f"none; outputs stay in {config.node.data_dir / 'outbox'}")
    yield from _each("destinations", lambda: (echoed(f"destination {n}", p) for n, p in peers_of(config).items()))
    for name, ris in messaging.peers(config).items():
        yield looked(f"RIS {name}", partial(views.connects, ris), "takes a connection", "failed")
    if asked := ris_of(config):
        yield echoed("worklist of the RIS", asked)
    if pacs := pacs_of(config):
        yield echoed("PACS", pacs)
    for name, machine in modalities_of(config).items():
        yield echoed(f"modality {name}", machine, "note")
    now = time.time()
    yield from _each("hub", lambda: (Finding(*found) for found in hub_checks.look(config, now, offline=offline)))
    for name, station in subscribers_of(config).items():
        yield echoed(f"subscriber {name}", station, "note")


def _well(peer: Peer) -> str:
    return "answers C-ECHO" if peer.url is None else f"answers at {peer.url}"


def _guarded(subject: str, look: Callable[[], Finding]) -> Iterator[Finding]:
    """What a look gives; what it raises is a finding too."""
    return _each(subject, lambda: iter([look()]))


def _each(subject: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The same for a look that gives any number of findings."""
    try:
        yield from look()
    except CxrNodeError as error:
        yield Finding("note" if error.code == "STANDS_BY" else "failed", subject, error.message)
    except OSError as error:
        yield Finding("failed", subject, f"{error.strerror}: {error.filename}" if error.filename else str(error))


def _data_folder(folder: Path) -> Finding:
    place = _there(folder)
    if not os.access(place, os.W_OK | os.X_OK):
        return Finding("failed", "data folder", f"{place} is not writable for this user")
    missing = "" if place == folder.resolve() else "; it will be made at the first start"
    return Finding("ok", "data folder", f"{folder.resolve()}{missing}")


def _there(folder: Path) -> Path:
    """The folder, or what is there of the way to it."""
    place = folder.resolve()
    return next(each for each in (place, *place.parents) if each.is_dir())


def _disk(config: Config) -> Finding:
    free = shutil.disk_usage(_there(config.node.data_dir)).free / 1e9
    watermark = config.retention.watermark_gigabytes
    if free < watermark:
        said = f"{free:.1f} GB free, below the watermark of {watermark:g} GB: films are refused"
        return Finding("failed", "disk", said)
    return Finding("ok", "disk", f"{free:.1f} GB free; films are refused below {watermark:g} GB")


def _database(config: Config) -> Finding:
    if not has_database(config):
        return Finding("note", "database", "is not there yet; it will be made at the first start")
    open_store(config, create=False).close()
    return Finding("ok", "database", "opens, and its schema is current")


def _trail(config: Config) -> Finding:
    if not has_database(config):
        return Finding("note", "audit trail", "begins at the first start")
    with closing(open_store(config, create=False)) as store, store.reading() as tx:
        broken = trail.broken_in_tail(tx, _TAIL)
    if broken is not None:
        return Finding("failed", "audit trail", f"broken at event {broken}; `cxr-node audit verify` tells more")
    return Finding("ok", "audit trail", f"the newest {_TAIL} events are intact; `cxr-node audit verify` looks at all")


def _audit(config: Config, *, offline: bool) -> Finding:
    receiver, named = auditing.receiver_of(config), " and ".join(auditing.targets(config))
    if not named:
        return Finding("ok", "audit messages", "none; the audit trail stays in the database")
    if receiver is not None and not offline:
        syslog.send(receiver, ())
        return Finding("ok", "audit messages", f"to {named}; {receiver} answers")
    return Finding("ok", "audit messages", f"to {named}{', not called (--offline)' if receiver else ''}")


def _model(config: Config) -> Finding:
    plan = Plan.in_service(config)
    verify(plan.manifest)
    cutoffs = plan.judging().cutoffs
    whose = "every file as released" if is_release(plan.manifest) else "whole, and not a released model"
    said = f"{plan.manifest.name} {plan.manifest.version}, digest {plan.manifest.digest[:12]}, {whose}; "
    said += f"positive from {cutoffs.threshold:.3f}, tier high from {cutoffs.high:.3f}"
    if plan.manifest.outputs.site_calibration:
        said += f"; calibrated at this site, {plan.manifest.outputs.site_calibration[:12]}"
    if plan.activation:
        said += f"; {by_activation(plan.activation)}, not as model.name says"
    if plan.manifest.restriction:
        return Finding("warning", "model", f"{said}. RESTRICTED: {plan.manifest.restriction}")
    return Finding("ok", "model", said)


def by_activation(activation: Activation) -> str:
    """Who put it in service, and when."""
    return f"activated by {activation.by} at {iso(activation.at)}"


def _beside(config: Config) -> Iterator[Finding]:
    """The models beside the one in service; one that is missing holds nobody up."""
    try:
        plan = Plan.in_service(config)
    except CxrNodeError:
        return  # told of the model in service
    for build in plan.lineup.idle:
        yield Finding("warning", "calibration", f"model.calibration has a file for {build}, which does not serve")
    for name, reason in plan.lineup.missing.items():
        yield Finding("failed", f"further {name}", f"{reason} Reports say that it is lacking.")
    for model in plan.further:
        yield from _guarded(f"further {model.called}", partial(_further, plan, model))
    for name, reason in plan.lineup.absent.items():
        yield Finding("warning", f"shadow {name}", reason)
    for model in plan.shadows:
        yield from _guarded(f"shadow {model.called}", partial(_shadow, model))


def _further(plan: Plan, model: Manifest) -> Finding:
    verify(model)
    whose = "every file as released" if is_release(model) else "whole, and not a released model"
    threshold = plan.judging_of(model).cutoffs.threshold
    said = f"digest {model.digest[:12]}, {whose}; for the report, positive from {threshold:.3f}"
    if model.restriction:
        return Finding("warning", f"further {model.called}", f"{said}. RESTRICTED: {model.restriction}")
    return Finding("ok", f"further {model.called}", said)


def _shadow(model: Manifest) -> Finding:
    verify(model)
    restricted = f". RESTRICTED: {model.restriction}" if model.restriction else ""
    return Finding("ok", f"shadow {model.called}", f"digest {model.digest[:12]}{restricted}")


def _gate(config: Config) -> Finding:
    gate = Plan.of(config).gate()
    if gate is None:
        return Finding("note", "gate", "off; films are analysed whatever their pixels show")
    verify(gate)
    whose = "every file as released" if is_release(gate) else "whole, and not a released model"
    said = f"{gate.name} {gate.version}, digest {gate.digest[:12]}, {whose}"
    if gate.restriction:
        return Finding("warning", "gate", f"{said}. RESTRICTED: {gate.restriction}")
    return Finding("ok", "gate", said)


def _certificates(config: Config, now: datetime) -> Iterator[Finding]:
    trust.require(config, now)
    for own in trust.identities(config):
        end = tls.validity(own.certificate)[1]
        said = f"{own.certificate} is valid until {end:%Y-%m-%d}"
        if tls.expires_soon(own, now):
            yield Finding("warning", "certificate", f"{said}, {(end - now).days} days from now: renew it")
        else:
            yield Finding("ok", "certificate", said)
        if tls.exposed(own.private_key):
            said = f"{own.private_key} can be read by every user of this machine: chmod 600"
            yield Finding("warning", "private key", said)


def _web(config: Config) -> Finding:
    web = config.web
    if not web.enabled:
        return Finding("note", "web page", "switched off")
    address = f"http{'s' if web.certificate else ''}://{web.host}:{web.port}"
    if web.open:
        said = f"{address}, open to everybody on this machine: set web.users to change that"
        return Finding("note", "web page", said)
    if not web.loopback and web.certificate is None and not web.trusted_proxies:
        said = f"{address}: passwords cross the network in the open; set web.certificate and web.key"
        return Finding("warning", "web page", said)
    return Finding("ok", "web page", f"{address}, for those who sign in")


def _listener(config: Config) -> Finding:
    host, port = config.receive.host, config.receive.port
    if views.answers(config):
        return Finding("note", "listener", f"port {port} already answers: a node is running here")
    if why := _taken("receive", host, port):
        return Finding("failed", "listener", why)
    spoken = "TLS only" if config.tls.listens else "without TLS"
    return Finding("ok", "listener", f"{host} port {port} can be had, {spoken}")


def _messages(config: Config) -> Finding:
    hl7 = config.hl7
    if hl7.port is None:
        return Finding("ok", "messages", "none of a RIS are taken (hl7.port is not set)")
    if not views.answers(config) and (why := _taken("hl7", hl7.host, hl7.port)):  # else a node has the port itself
        return Finding("failed", "messages", why)
    spoken = f"{hl7.host} port {hl7.port}, {'TLS only' if hl7.tls else 'without TLS'}"
    if not hl7.loopback and not hl7.tls:
        return Finding("warning", "messages", f"{spoken}: patients cross the network in the open; set hl7.tls")
    return Finding("ok", "messages", spoken)


def _taken(table: str, host: str, port: int) -> str | None:
    """Why an address cannot be had; None where it can."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return f"{table}.host {host}, port {port} cannot be had: {error.strerror}"
    return None
