"""TLS from the files of the configuration: what is negotiated, and how a file that cannot be used is told."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cxr_node import tls
from cxr_node.errors import ConfigError
from cxr_node.tls import Identity, PemFile
from tests.certificates import Authority, Pair, encrypted


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "hospital")


@pytest.fixture(scope="module")
def node(authority: Authority) -> Pair:
    return authority.issue("node")


def identity(pair: Pair) -> Identity:
    return Identity(PemFile("tls.certificate", pair.certificate), PemFile("tls.key", pair.key))


def now() -> datetime:
    return datetime.now(UTC)


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost") -> ssl.SSLObject:
    """Both ends without a network; the client's. Raises what either end raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ends[0]


def test_the_newest_that_both_speak(authority: Authority, node: Pair) -> None:
    trusted = PemFile("tls.ca", authority.pem)
    agreed = handshake(tls.server(identity(node), trusted), tls.client(identity(node), trusted))
    assert agreed.version() == "TLSv1.3"


@pytest.mark.parametrize("key", ["ec", "rsa"])
def test_tls_1_2_with_a_suite_that_is_recommended(authority: Authority, key: str) -> None:
    trusted, pair = PemFile("tls.ca", authority.pem), authority.issue(f"node-{key}", key=key)
    client = tls.client(None, trusted)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    agreed = handshake(tls.server(identity(pair), None), client)
    cipher = agreed.cipher()
    assert agreed.version() == "TLSv1.2"
    assert cipher is not None
    assert cipher[0].startswith(("ECDHE-ECDSA-AES", "ECDHE-RSA-AES"))
    assert "GCM" in cipher[0]


@pytest.mark.parametrize("side", ["server", "client"])
def test_only_what_rfc_9325_recommends_is_offered(authority: Authority, node: Pair, side: str) -> None:
    trusted = PemFile("tls.ca", authority.pem)
    context = tls.server(identity(node), trusted) if side == "server" else tls.client(None, trusted)
    names = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.2"}
    suites = {f"ECDHE-{who}-AES{bits}" for who in ("ECDSA", "RSA") for bits in ("128-GCM-SHA256", "256-GCM-SHA384")}
    assert names == suites
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_an_old_protocol_is_refused(authority: Authority, node: Pair, version: ssl.TLSVersion) -> None:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(authority.pem)
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = client.maximum_version = version
    with pytest.raises(ssl.SSLError, match=r"(?i)unsupported protocol|protocol version"):
        handshake(tls.server(identity(node), None), client)


def test_a_caller_without_a_certificate_is_refused(authority: Authority, node: Pair) -> None:
    trusted = PemFile("tls.ca", authority.pem)
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        handshake(tls.server(identity(node), trusted), tls.client(None, trusted))


def test_a_certificate_for_another_name_is_refused(authority: Authority, node: Pair) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(tls.server(identity(node), None), tls.client(None, PemFile("tls.ca", authority.pem)), "other.example")


def test_the_system_s_authorities_do_not_know_a_hospital_s(node: Pair) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        handshake(tls.server(identity(node), None), tls.client(None, None))


def test_until_when_a_certificate_is_valid(authority: Authority, node: Pair) -> None:
    begin, end = tls.validity(identity(node).certificate)
    assert end - begin == timedelta(days=365)
    assert abs(begin - now()) < timedelta(hours=1)
    assert tls.validity(PemFile("tls.ca", authority.pem))[1] < end
    begin, end = tls.validity(identity(authority.issue("distant", days=15000)).certificate)
    assert end - begin == timedelta(days=15000), "after 2049 dates have four digits of the year"


def test_a_certificate_that_expires_within_a_month(authority: Authority, node: Pair) -> None:
    soon = identity(authority.issue("soon", days=29))
    assert tls.expires_soon(identity(node), now()) is None
    assert tls.expires_soon(soon, now()) == tls.validity(soon.certificate)[1]
    tls.require_current(soon, now())


def test_a_certificate_out_of_its_time_is_a_mistake(authority: Authority, node: Pair) -> None:
    expired = identity(authority.issue("expired", days=-1))
    with pytest.raises(ConfigError, match=rf"^tls\.certificate: {expired.certificate.path} expired on 20"):
        tls.require_current(expired, now())
    with pytest.raises(ConfigError, match=r"is not valid before 20.*; is the clock right"):
        tls.require_current(identity(node), now() - timedelta(days=1))


Spoil = Callable[[Authority, Pair, Path], Identity]


def spoiled(certificate: Path, key: Path) -> Identity:
    return Identity(PemFile("tls.certificate", certificate), PemFile("tls.key", key))


def garbage(folder: Path) -> Path:
    path = folder / "garbage.pem"
    path.write_bytes(bytes(range(256)))
    return path


SPOILED: dict[str, tuple[Spoil, str]] = {
    "no certificate": (
        lambda _, pair, at: spoiled(at / "none.pem", pair.key),
        r"tls\.certificate: .*none\.pem cannot be read: No such",
    ),
    "no key": (lambda _, pair, at: spoiled(pair.certificate, at / "none.key"), r"tls\.key: .*none\.key cannot be read"),
    "a folder": (lambda _, pair, at: spoiled(pair.certificate, at), r"tls\.key: .*: Is a directory"),
    "another's key": (
        lambda authority, pair, _: spoiled(pair.certificate, authority.issue("other").key),
        r"tls\.key: .*other\.key does not belong to the certificate .*node\.pem",
    ),
    "a key under a password": (
        lambda _, pair, __: spoiled(pair.certificate, encrypted(pair)),
        r"tls\.key: .*node\.encrypted is encrypted",
    ),
    "a certificate of noise": (lambda _, pair, at: spoiled(garbage(at), pair.key), r"tls\.certificate: .*garbage\.pem"),
    "a key of noise": (lambda _, pair, at: spoiled(pair.certificate, garbage(at)), r"tls\.key: .*garbage\.pem"),
    "a weak key": (
        lambda authority, *_: identity(authority.issue("weak", key="weak")),
        r"tls\.certificate: .*weak\.pem .* cannot be used: EE_KEY_TOO_SMALL",
    ),
}


@pytest.mark.parametrize(("spoil", "said"), SPOILED.values(), ids=SPOILED.keys())
def test_a_file_that_cannot_be_used_is_named(
    authority: Authority, node: Pair, tmp_path: Path, spoil: Spoil, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        tls.server(spoil(authority, node, tmp_path), None)
    assert "PRIVATE KEY" not in refused.value.message


@pytest.mark.parametrize("content", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_authorities_that_are_none_are_named(node: Pair, tmp_path: Path, content: str) -> None:
    path = tmp_path / "ca.pem"
    path.write_text(content)
    for make in (lambda file: tls.server(identity(node), file), lambda file: tls.client(None, file), tls.validity):
        with pytest.raises(ConfigError, match=r"tls\.ca: .*ca\.pem holds no certificate in PEM"):
            make(PemFile("tls.ca", path))


def test_a_key_that_everyone_may_read_is_exposed(authority: Authority) -> None:
    file = PemFile("tls.key", authority.issue("open").key)
    assert not tls.exposed(file)
    file.path.chmod(0o640)
    assert not tls.exposed(file)
    file.path.chmod(0o644)
    assert tls.exposed(file)


def test_a_path_is_a_path_and_a_credential_comes_from_the_service_manager(tmp_path: Path) -> None:
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert tls.located("tls.key", "/etc/node.key", {}).path == Path("/etc/node.key")
    assert tls.located("tls.key", "credential:node.key", environment).path == tmp_path / "node.key"


@pytest.mark.parametrize(
    ("text", "environment", "said"),
    [
        ("credential:node.key", {}, r"tls\.key: .*CREDENTIALS_DIRECTORY is not set"),
        ("credential:../node.key", {"CREDENTIALS_DIRECTORY": "/run"}, r"tls\.key: .*does not name a credential"),
        ("credential:..", {"CREDENTIALS_DIRECTORY": "/run"}, r"tls\.key: .*does not name a credential"),
        ("credential:", {"CREDENTIALS_DIRECTORY": "/run"}, r"tls\.key: .*does not name a credential"),
    ],
)
def test_a_credential_that_is_not_there_is_a_mistake(text: str, environment: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        tls.located("tls.key", text, environment)
