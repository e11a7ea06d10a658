"""What [tls] and the keys beside it mean: who the node is to its peers, and whom it trusts."""

import ssl
from datetime import datetime

from cxr_node import tls
from cxr_node.config import Config, Destination


def identity(config: Config) -> tls.Identity | None:
    """The node's certificate and key. Raises ConfigError for a credential that is not there."""
    certificate, key = config.tls.certificate, config.tls.key
    if certificate is None or key is None:
        return None
    return tls.Identity(tls.located("tls.certificate", certificate), tls.located("tls.key", key))


def listener(config: Config) -> ssl.SSLContext | None:
    """What the listener takes connections with; None: without TLS. Raises ConfigError for files that cannot be used."""
    own = identity(config)
    if own is None or not config.tls.listener:
        return None
    return tls.server(own, _authorities(config) if config.tls.require_client_certificate else None)


def destination(config: Config, peer: Destination) -> ssl.SSLContext:
    """What a destination is called with. Raises ConfigError for files that cannot be used."""
    own = tls.located(f"destination.{peer.name}.tls_ca", peer.tls_ca) if peer.tls_ca else None
    return tls.client(identity(config), own or _authorities(config))


def audit(config: Config) -> ssl.SSLContext:
    """What the syslog receiver is called with. Raises ConfigError for files that cannot be used."""
    own = tls.located("audit.ca", config.audit.ca) if config.audit.ca else None
    return tls.client(identity(config), own or _authorities(config))


def require(config: Config, now: datetime) -> None:
    """Raises ConfigError where a file that the node needs for a peer cannot be used at `now`."""
    if own := identity(config):
        tls.require_current(own, now)
    listener(config)
    for peer in config.destination:
        if peer.tls:
            destination(config, peer)
    if config.audit.over_tls:
        audit(config)


def _authorities(config: Config) -> tls.PemFile | None:
    return tls.located("tls.ca", config.tls.ca) if config.tls.ca else None
