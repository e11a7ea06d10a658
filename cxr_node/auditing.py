"""What [audit] means: the targets that the audit trail is carried to."""

import os
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import urlsplit

from cxr_node import trust
from cxr_node.audit import file, syslog
from cxr_node.audit.elements import Reporter
from cxr_node.audit.exporter import Exporter
from cxr_node.audit.messages import Message
from cxr_node.config import Config
from cxr_node.plan import open_store

Write = Callable[[Sequence[Message]], None]


def exporters(config: Config, guard: Callable[[], None]) -> list[Exporter]:
    """One for each target. Each has its own way to the database, so that none waits for another or for the node.

    `guard` is called in the moment before messages leave.
    """
    reporter = reporter_of(config)

    def guarded(write: Write, told: Sequence[Message]) -> None:
        guard()
        write(told)

    return [
        Exporter(open_store(config), name, partial(guarded, write), reporter, time.time)
        for name, write in _targets(config).items()
    ]


def targets(config: Config) -> list[str]:
    """The names under which the database keeps how far each target has come."""
    return list(_targets(config))


def reporter_of(config: Config) -> Reporter:
    node = config.node
    return Reporter(node.ae_title, socket.gethostname(), node.institution, node.station)


def receiver_of(config: Config) -> syslog.Receiver | None:
    """The syslog receiver, if there is one."""
    if config.audit.syslog is None:
        return None
    url = urlsplit(config.audit.syslog)
    secure = partial(trust.audit, config) if config.audit.over_tls else None  # anew each time: files are renewed
    return syslog.Receiver(str(url.hostname), int(url.port or 0), secure)


def _targets(config: Config) -> dict[str, Write]:
    found: dict[str, Write] = {}
    if receiver := receiver_of(config):
        found["syslog"] = partial(_send, receiver)
    if config.audit.file is not None:
        found["file"] = partial(file.append, config.audit.file)
    return found


def _send(receiver: syslog.Receiver, told: Sequence[Message]) -> None:
    host, process = socket.gethostname(), str(os.getpid())
    syslog.send(receiver, [syslog.record(each, host, process) for each in told])
