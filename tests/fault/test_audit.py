"""The audit trail leaves the node whole, whatever becomes of the node and of those that it is told to."""

from pathlib import Path

import pytest
from lxml import etree

from tests.certificates import Authority
from tests.films import chest
from tests.node import Node, free_port, wait_for
from tests.receiver import Receiver, tls_server, written, xml_of

pytestmark = pytest.mark.fault

SCHEMA = etree.RelaxNG(etree.parse(Path(__file__).parents[1] / "audit_message.rng"))


def kinds(messages: list[str]) -> list[str]:
    """What each message tells of, by the code of its type or else of its event; AssertionError for an invalid one."""
    found = []
    for message in messages:
        root = etree.fromstring(message.encode())
        assert SCHEMA.validate(root), SCHEMA.error_log
        codes = [each.get("csd-code") for each in root[0] if each.tag in ("EventID", "EventTypeCode")]
        found.append(codes[-1])
    return found


def studies(messages: list[str]) -> list[str]:
    """The studies that instances were transferred of, in the order of the messages."""
    roots = [etree.fromstring(message.encode()) for message in messages]
    return [
        root.find("ParticipantObjectIdentification").get("ParticipantObjectID")
        for root in roots
        if root[0][0].get("csd-code") == "110104"
    ]


def test_a_receiver_that_comes_late_dies_and_comes_back_misses_nothing(tmp_path: Path) -> None:
    authority, port, films = Authority(tmp_path, "hospital"), free_port(), [chest() for _ in range(4)]
    context, file = tls_server(authority), tmp_path / "audit.xml"
    told: list[str] = []
    with Node(tmp_path, audit__syslog=f"tls://localhost:{port}", audit__ca=authority.pem, audit__file=file) as node:
        broken = node.written(films[3])
        broken.write_bytes(broken.read_bytes()[:-5000])
        node.send(films[0])
        node.send(broken, expect=0xC000)
        wait_for(lambda: node.logged("audit.waiting"), what="a receiver that is away")
        assert {one["target"]: one["unsent"] > 0 for one in node.status()["audit"]}["syslog"]

        with Receiver(context, port=port, dies_after=2) as dying:
            wait_for(lambda: len(dying.messages) >= 2, what="the first messages")
        told += dying.messages
        node.send(films[1])
        node.kill()
        node.start()
        node.send(films[2])

        with Receiver(context, port=port) as receiver:
            wanted = {film.StudyInstanceUID for film in films[:3]}
            wait_for(lambda: wanted <= set(studies([xml_of(each) for each in receiver.messages])), what="all the rest")
            told += receiver.messages
        wait_for(lambda: wanted <= set(studies(written(file))), what="the same in the file")
        alone = node.command("audit", "export", "-").stdout.splitlines()
        assert node.command("audit", "verify").returncode == 0

    for messages in (alone, written(file), [xml_of(each) for each in told]):
        assert {"110120", "110104", "object-quarantined"} <= set(kinds(messages))
    assert list(dict.fromkeys(studies(written(file)))) == [film.StudyInstanceUID for film in films[:3]]
    assert kinds(alone)[-1] == "110101"  # that the trail was read is told too
    assert "Doe" not in node.log()


def test_a_receiver_that_is_not_trusted_is_told_nothing_and_named_by_check(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path, "hospital"), Authority(tmp_path, "stranger")
    with Receiver(tls_server(stranger)) as receiver:
        url = f"tls://localhost:{receiver.port}"
        with Node(tmp_path, audit__syslog=url, audit__ca=authority.pem) as node:
            (waiting,) = wait_for(lambda: node.logged("audit.waiting"), what="a refusal")
            found = node.command("check")
        assert waiting["code"] == "AUDIT_UNREACHABLE"
        assert receiver.messages == []
        assert "failed  audit messages" in found.stdout
        assert "is not trusted" in found.stdout
