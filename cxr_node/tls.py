"""TLS as BCP 195 wants it, made from the files that the configuration names (RFC 8996, RFC 9325; PS3.15 B.12).

TLS 1.2 with the cipher suites that RFC 9325 4.2 recommends, and TLS 1.3; nothing older, no renegotiation. A file that
cannot be used is a mistake of the configuration, told with its key. What is in a private key is never told.
"""

import os
import re
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cxr_node.errors import ConfigError

SUITES = "ECDHE+AESGCM:@SECLEVEL=2"  # ephemeral keys and AEAD; RSA keys of 2048 bits or more. TLS 1.3 has its own
_CREDENTIAL = "credential:"
_SOON = timedelta(days=30)
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class PemFile:
    """A file, and the key of the configuration that names it."""

    key: str
    path: Path

    def __str__(self) -> str:
        return f"{self.key}: {self.path}"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are: a certificate with what leads up to its authority, and the private key."""

    certificate: PemFile
    private_key: PemFile


def located(key: str, text: str, environment: Mapping[str, str] = os.environ) -> PemFile:
    """The file that a key of the configuration names: a path, or "credential:NAME" for one of systemd's.

    Raises ConfigError for a credential where the service manager passed none (systemd.exec(5), LoadCredential=).
    """
    if not text.startswith(_CREDENTIAL):
        return PemFile(key, Path(text))
    folder, name = environment.get("CREDENTIALS_DIRECTORY"), text.removeprefix(_CREDENTIAL)
    if not folder:
        raise ConfigError(f"{key}: {text} is a credential, and $CREDENTIALS_DIRECTORY is not set; see LoadCredential=")
    if not re.fullmatch(r"\w[\w.@-]*", name):
        raise ConfigError(f"{key}: {text} does not name a credential: a name has no folders")
    return PemFile(key, Path(folder, name))


def server(identity: Identity, clients: PemFile | None) -> ssl.SSLContext:
    """For a listener; `clients` are the authorities of callers, who must then show a certificate.

    Raises ConfigError for a file that cannot be used.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # associations are long, and what is sent unasked wakes peers that read only answers
    _identify(context, identity)
    if clients is not None:
        _trust(context, clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client(identity: Identity | None, servers: PemFile | None) -> ssl.SSLContext:
    """For calling; `servers` are the authorities of those called, None for those that the system trusts.

    The certificate must be for the name that is called. `identity` is shown to those who ask.
    Raises ConfigError for a file that cannot be used.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    if servers is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _trust(context, servers)
    if identity is not None:
        _identify(context, identity)
    return context


def require_current(identity: Identity, now: datetime) -> None:
    """Raises ConfigError when the certificate is not valid at `now`."""
    begin, end = validity(identity.certificate)
    if now >= end:
        raise ConfigError(f"{identity.certificate} expired on {end:%Y-%m-%d}: peers will refuse it; renew it")
    if now < begin:
        raise ConfigError(f"{identity.certificate} is not valid before {begin:%Y-%m-%d %H:%M} UTC; is the clock right?")


def expires_soon(identity: Identity, now: datetime) -> datetime | None:
    """When the certificate expires, if that is within 30 days."""
    end = validity(identity.certificate)[1]
    return end if end - now < _SOON else None


def exposed(file: PemFile) -> bool:
    """Whether every user of the machine may read a file."""
    return bool(file.path.stat().st_mode & stat.S_IROTH)


def validity(certificate: PemFile) -> tuple[datetime, datetime]:
    """From when until when the first certificate of a file is valid, UTC (RFC 5280 4.1.2.5). Raises ConfigError."""
    text = _text(certificate)
    first = text[text.find(_BEGIN) : text.find(_END) + len(_END)]
    try:
        return _validity(ssl.PEM_cert_to_DER_cert(first))
    except (ValueError, IndexError) as error:
        raise ConfigError(f"{certificate} holds no certificate in PEM") from error


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SUITES)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    return context


def _identify(context: ssl.SSLContext, identity: Identity) -> None:
    certificate, private_key = identity.certificate, identity.private_key
    for file in (certificate, private_key):
        _text(file)
    try:
        context.load_cert_chain(certificate.path, private_key.path, _no_password)
    except PermissionError as error:
        raise ConfigError(f"{private_key} is encrypted, and nobody is there to type its password") from error
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"{private_key} does not belong to the certificate {certificate.path}") from error
        raise ConfigError(f"{certificate} with {private_key} cannot be used: {error.reason or 'no PEM'}") from error


def _no_password() -> str:
    raise PermissionError


def _trust(context: ssl.SSLContext, authorities: PemFile) -> None:
    _text(authorities)
    try:
        context.load_verify_locations(authorities.path)
    except ssl.SSLError as error:
        raise ConfigError(f"{authorities} holds no certificate in PEM") from error


def _text(file: PemFile) -> str:
    """The file's text, so that whoever cannot read it says which it was."""
    try:
        return file.path.read_text("ascii", "replace")
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error


def _validity(der: bytes) -> tuple[datetime, datetime]:
    """Walk Certificate, TBSCertificate to Validity: the fourth element, after an optional version tagged [0]."""
    body, _ = _element(der, 0)[1:]
    at = _element(der, body)[1]
    if der[at] == 0xA0:
        at = _element(der, at)[2]
    for _ in range(3):  # serial number, signature algorithm, issuer
        at = _element(der, at)[2]
    first = _element(der, at)[1]
    return _time(der, first), _time(der, _element(der, first)[2])


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Of the element at an offset: its tag, where its content begins, and where the next one does (X.690 8.1)."""
    length, content = der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, content = int.from_bytes(der[content : content + count], "big"), content + count
    return der[at], content, content + length


def _time(der: bytes, at: int) -> datetime:
    tag, begin, end = _element(der, at)
    form = "%y%m%d%H%M%SZ" if tag == 0x17 else "%Y%m%d%H%M%SZ"  # UTCTime or GeneralizedTime
    return datetime.strptime(der[begin:end].decode("ascii"), form).replace(tzinfo=UTC)
