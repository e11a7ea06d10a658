"""What [tls] and the keys beside it mean: who the node is to its peers and to browsers, and whom it trusts."""

import ssl
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

from cxr_node import tls
from cxr_node.config import Called, Config, Destination, Hub
from cxr_node.errors import ConfigError, Permanent
from cxr_node.web import accounts


def identity(config: Config) -> tls.Identity | None:
    """The node's certificate and key. Raises ConfigError for a credential that is not there."""
    certificate, key = config.tls.certificate, config.tls.key
    if certificate is None or key is None:
        return None
    return tls.Identity(tls.located("tls.certificate", certificate), tls.located("tls.key", key))


def identities(config: Config) -> list[tls.Identity]:
    """All that the node shows: to its peers, and to browsers where the web page is served."""
    return [own for own in (identity(config), web_identity(config) if config.web.enabled else None) if own]


def listener(config: Config) -> ssl.SSLContext | None:
    """What the listener takes connections with; None: without TLS. Raises ConfigError for files that cannot be used."""
    own = identity(config)
    if own is None or not config.tls.listener:
        return None
    return tls.server(own, _authorities(config) if config.tls.require_client_certificate else None)


def called(config: Config, where: str, peer: Called) -> Callable[[], ssl.SSLContext] | None:
    """What makes that a peer is called with, whatever it is called for; None: without TLS.

    `where` it stands in the configuration. What is given raises ConfigError for files that cannot be used.
    """
    url = peer.dicomweb if isinstance(peer, Destination) else peer.url if isinstance(peer, Hub) else None
    secure = peer.tls or (url or "").startswith("https:")
    return partial(_client, config, where, peer) if secure else None


def authorization(one: Destination) -> Path | None:
    """The file with the login at a DICOMweb server. Raises ConfigError for a credential that is not there."""
    if one.dicomweb_authorization is None:
        return None
    return tls.located(f"destination.{one.name}.dicomweb_authorization", one.dicomweb_authorization).path


def _client(config: Config, where: str, peer: Called) -> ssl.SSLContext:
    own = tls.located(f"{where}.tls_ca", peer.tls_ca) if peer.tls_ca else None
    return tls.client(identity(config), own or _authorities(config))


def _all_called(config: Config) -> Iterator[tuple[str, Called]]:
    """Each peer that may be called over TLS, and where it stands in the configuration."""
    for destination in config.destination:
        yield f"destination.{destination.name}", destination
    for subscriber in config.subscriber:
        yield f"subscriber.{subscriber.ae_title}", subscriber
    for ris in config.worklist.hl7:
        yield f"worklist.hl7.{ris.name}", ris
    if config.hub.url:
        yield "hub", config.hub
    if config.worklist.ris:
        yield "worklist.ris", config.worklist.ris
    if config.corrections.pacs:
        yield "corrections.pacs", config.corrections.pacs


def messages(config: Config) -> ssl.SSLContext | None:
    """What the port for the RIS takes connections with; None: without TLS. Raises ConfigError as `listener`."""
    own = identity(config)
    if own is None or not config.hl7.tls:
        return None
    return tls.server(own, _authorities(config) if config.tls.require_client_certificate else None)


def audit(config: Config) -> ssl.SSLContext:
    """What the syslog receiver is called with. Raises ConfigError for files that cannot be used."""
    own = tls.located("audit.ca", config.audit.ca) if config.audit.ca else None
    return tls.client(identity(config), own or _authorities(config))


def web(config: Config) -> ssl.SSLContext | None:
    """What the web page is served with; None: without TLS. Raises ConfigError for files that cannot be used."""
    own = web_identity(config)
    return tls.server(own, None) if own else None


def web_identity(config: Config) -> tls.Identity | None:
    """The certificate and key of the web page. Raises ConfigError for a credential that is not there."""
    certificate, key = config.web.certificate, config.web.key
    if certificate is None or key is None:
        return None
    return tls.Identity(tls.located("web.certificate", certificate), tls.located("web.key", key))


def accounts_files(config: Config) -> dict[str, tls.PemFile]:
    """By key: the files of users and tokens that are configured. Raises ConfigError for a missing credential."""
    named = {"web.users": config.web.users, "web.tokens": config.web.tokens}
    return {key: tls.located(key, text) for key, text in named.items() if text is not None}


def require(config: Config, now: datetime) -> None:
    """Raises ConfigError where a file that the node needs for a peer or a user cannot be used at `now`."""
    for own in identities(config):
        tls.require_current(own, now)
    listener(config)
    for where, peer in _all_called(config):
        if make := called(config, where, peer):
            make()
    if config.hl7.port is not None:
        messages(config)
    if config.audit.over_tls:
        audit(config)
    if config.web.enabled:
        web(config)
        for key, file in accounts_files(config).items():
            try:
                accounts.load(file.path)
            except Permanent as error:
                raise ConfigError(f"{key}: {error.message}") from error


def _authorities(config: Config) -> tls.PemFile | None:
    return tls.located("tls.ca", config.tls.ca) if config.tls.ca else None
