"""Syslog over TLS with a real receiver: what was taken is known, and what is not sure is said to be so."""

import re
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from cxr_node.audit.messages import Message
from cxr_node.audit.syslog import Receiver as Target
from cxr_node.audit.syslog import record, send
from cxr_node.errors import Transient
from tests.bench import NOON
from tests.certificates import Authority
from tests.node import free_port
from tests.receiver import Receiver, tls_server

MESSAGES = [Message(NOON + n, f"<AuditMessage n='{n}'>Ñandú</AuditMessage>", warning=n == 1) for n in range(3)]
RECORDS = [record(message, "node.example.org", "42") for message in MESSAGES]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"), "hospital")


def trusting(authority: Authority) -> Callable[[], ssl.SSLContext]:
    return lambda: ssl.create_default_context(cafile=authority.pem)


def target(receiver: Receiver, secure: Callable[[], ssl.SSLContext] | None, timeout: float = 20.0) -> Target:
    return Target("localhost", receiver.port, secure, timeout)


def test_a_record_is_one_of_rfc_5424() -> None:
    text = RECORDS[0].decode()
    header = r"<85>1 2026-01-01T12:00:00\.000Z node\.example\.org cxr-node 42 DICOM\+RFC3881 - \ufeff<AuditMessage"
    assert re.match(header, text)
    assert RECORDS[1].startswith(b"<84>1 ")  # a warning


@pytest.mark.parametrize(("host", "shown"), [("", "-"), ("a b\n", "a-b-"), ("x" * 300, "x" * 255)])
def test_a_host_name_is_always_printable(host: str, shown: str) -> None:
    assert record(MESSAGES[0], host, "1").split()[2].decode() == shown


@pytest.mark.parametrize("polite", [True, False])
def test_everything_arrives_in_order(authority: Authority, polite: bool) -> None:
    with Receiver(tls_server(authority), polite=polite) as receiver:
        send(target(receiver, trusting(authority)), RECORDS)
        assert receiver.messages == [each.decode() for each in RECORDS]


def test_large_messages_arrive_whole(authority: Authority) -> None:
    large = [record(Message(NOON, "<a>" + "x" * 200_000 + "</a>", warning=False), "h", "1")] * 20
    with Receiver(tls_server(authority)) as receiver:
        send(target(receiver, trusting(authority)), large)
        assert [len(each) for each in receiver.messages] == [len(large[0].decode())] * 20


def test_without_tls_on_this_machine() -> None:
    with Receiver() as receiver:
        send(target(receiver, None), RECORDS)
        assert len(receiver.messages) == len(RECORDS)


def test_a_receiver_of_another_authority_gets_nothing(authority: Authority, tmp_path: Path) -> None:
    with Receiver(tls_server(Authority(tmp_path, "stranger"))) as receiver:
        with pytest.raises(Transient, match="is not trusted") as refused:
            send(target(receiver, trusting(authority)), RECORDS)
        assert refused.value.code == "AUDIT_UNREACHABLE"
        assert receiver.messages == []


def test_a_receiver_with_a_certificate_for_another_name_gets_nothing(authority: Authority) -> None:
    pair = authority.issue("other", names="DNS:other.example.org")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with Receiver(context) as receiver:
        with pytest.raises(Transient, match="is not trusted"):
            send(target(receiver, trusting(authority)), RECORDS)
        assert receiver.messages == []


def test_a_receiver_that_does_not_speak_tls_gets_nothing(authority: Authority) -> None:
    with Receiver() as receiver:
        with pytest.raises(Transient):
            send(target(receiver, trusting(authority), timeout=2), RECORDS)
        assert "AuditMessage" not in "".join(receiver.messages)


@pytest.mark.parametrize("records", [RECORDS, []], ids=["records", "a handshake alone"])
def test_a_receiver_that_wants_a_certificate_that_we_have_not(authority: Authority, records: list[bytes]) -> None:
    """In TLS 1.3 its refusal comes after our handshake is over, sooner or later: it must never pass for success."""
    context = tls_server(authority)
    context.load_verify_locations(authority.pem)
    context.verify_mode = ssl.CERT_REQUIRED
    with Receiver(context) as receiver:
        for _ in range(30):
            with pytest.raises(Transient):
                send(target(receiver, trusting(authority)), records)
        assert receiver.messages == []


@pytest.mark.parametrize("secure", [True, False])
def test_a_receiver_that_dies_in_the_middle_has_not_taken_everything(authority: Authority, secure: bool) -> None:
    with Receiver(tls_server(authority) if secure else None, dies_after=1) as receiver:
        with pytest.raises(Transient) as refused:
            send(target(receiver, trusting(authority) if secure else None), RECORDS * 50)
        assert refused.value.code == "AUDIT_UNREACHABLE"


@pytest.mark.parametrize("secure", [True, False])
def test_a_receiver_that_stays_silent_has_not_taken_everything(authority: Authority, secure: bool) -> None:
    with Receiver(tls_server(authority) if secure else None, silent=True) as receiver, pytest.raises(Transient):
        send(target(receiver, trusting(authority) if secure else None, timeout=0.5), RECORDS)


def test_a_receiver_that_is_away(authority: Authority) -> None:
    with pytest.raises(Transient, match="refused"):
        send(Target("127.0.0.1", free_port(), trusting(authority)), RECORDS)
