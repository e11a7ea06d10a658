"""`cxr-node check`: the first-run doctor. It says what it finds and changes nothing that it need not."""

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cxr_node import views
from cxr_node.config import Config
from cxr_node.errors import CxrNodeError
from cxr_node.inference.manifest import verify
from cxr_node.plan import Plan, open_store, peers_of, spool_of

Verdict = Literal["ok", "note", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look gave."""

    verdict: Verdict
    subject: str
    text: str


def examine(config: Config, *, offline: bool) -> Iterator[Finding]:
    """Every check, in the order in which a node would fail. `offline` leaves the peers alone."""
    yield Finding("ok", "configuration", f"valid; mode {config.node.mode}, AE title {config.node.ae_title}")
    if config.node.mode == "shadow":
        yield Finding("note", "mode", "shadow: films are analysed and recorded, nothing is sent and no study is moved")
    yield from _guarded("data folder", lambda: _data_folder(config.node.data_dir))
    yield from _guarded("disk", lambda: _disk(config))
    yield from _guarded("database", lambda: _database(config))
    yield from _guarded("model", lambda: _model(config))
    yield from _guarded("listener", lambda: _listener(config))
    if not config.destination:
        yield Finding("note", "destinations", f"none; outputs stay in {config.node.data_dir / 'outbox'}")
    for name, peer in peers_of(config).items():
        if offline:
            yield Finding("note", f"destination {name}", "not called (--offline)")
        else:
            reason = views.reaches(peer, config.node.ae_title)
            yield Finding("failed" if reason else "ok", f"destination {name}", reason or "answers C-ECHO")


def _guarded(subject: str, look: Callable[[], Finding]) -> Iterator[Finding]:
    try:
        yield look()
    except CxrNodeError as error:
        yield Finding("failed", subject, error.message)
    except OSError as error:
        yield Finding("failed", subject, f"{error.strerror}: {error.filename}" if error.filename else str(error))


def _data_folder(folder: Path) -> Finding:
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding("failed", "data folder", f"{folder.resolve()} is not writable for this user")
    return Finding("ok", "data folder", str(folder.resolve()))


def _disk(config: Config) -> Finding:
    spool = spool_of(config)
    free = spool.free_bytes() / 1e9
    watermark = config.retention.watermark_gigabytes
    if spool.below_watermark():
        return Finding(
            "failed", "disk", f"{free:.1f} GB free, below the watermark of {watermark:g} GB: films are refused"
        )
    return Finding("ok", "disk", f"{free:.1f} GB free; films are refused below {watermark:g} GB")


def _database(config: Config) -> Finding:
    open_store(config).close()
    return Finding("ok", "database", "opens, and its schema is current")


def _model(config: Config) -> Finding:
    plan = Plan.of(config)
    verify(plan.manifest)
    cutoffs = plan.judging().cutoffs
    said = f"{plan.manifest.name} {plan.manifest.version}, digest {plan.manifest.digest[:12]}, every file as released; "
    return Finding("ok", "model", said + f"positive from {cutoffs.threshold:.3f}, tier high from {cutoffs.high:.3f}")


def _listener(config: Config) -> Finding:
    host, port = config.receive.host, config.receive.port
    if views.answers(config):
        return Finding("note", "listener", f"port {port} already answers: a node is running here")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
    return Finding("ok", "listener", f"{host} port {port} can be had")
