"""Messages to and from a RIS while node, RIS and network fail: none lost, none twice in effect, no patient told."""

import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.films import chest
from tests.node import Node, free_port, listens, wait_for
from tests.ris import FS, VT, Ris, message, order, report, say

pytestmark = pytest.mark.fault

WORDS = ("zyxwvut", "quorra", "7qxj9")
SECRETS = {"PatientName": "Zyxwvut^Quorra", "PatientID": "PID7QXJ9"}


def pair(folder: Path, ris: Ris) -> Node:
    return Node(folder, told=[ris.table(timeout_seconds=5.0)], hl7__port=free_port(), report__heatmap=False)


def listening(node: Node) -> int:
    port = node.config.hl7.port
    assert port is not None
    wait_for(lambda: listens(port), what="a port for messages")
    return port


def states(node: Node) -> list[str]:
    return [row["state"] for row in node.rows("SELECT state FROM job WHERE kind = 'transmit' ORDER BY id")]


def test_the_node_dies_between_a_message_and_its_answer(tmp_path: Path) -> None:
    """The RIS has taken the message and answers; nobody is there to hear it."""
    with Ris() as ris, pair(tmp_path, ris) as node:

        def struck(_: str) -> str:
            node.kill()
            node.kill("work")
            ris.behave = "AA"
            return "AA"

        ris.behave = struck
        node.send(chest(AccessionNumber="ACC1"))
        wait_for(lambda: ris.heard and not node.running, what="a node that has died")
        node.start()

        node.wait_idle()

        assert len(ris.heard) == 2
        assert ris.heard[0] == ris.heard[1]
        assert states(node) == ["done"]
        assert len(node.events("message.sent")) == 1
        assert ris.ids[0] == node.events("message.sent")[0]["control_id"]


def test_a_ris_that_is_away_gets_all_messages_in_order_and_once(tmp_path: Path) -> None:
    ris = Ris()
    with pair(tmp_path, ris) as node:
        node.analysing()
        for number in range(5):
            node.send(chest(AccessionNumber=f"ACC{number}"))
            wait_for(lambda: len(node.events("message.written")) == number + 1)  # noqa: B023 - called in this round
        wait_for(lambda: "UNREACHABLE" in {line["code"] for line in node.logged("job.retry")})
        wait_for(lambda: states(node) == ["ready"], what="the end of a try")
        assert node.status()["messages"] == [{"name": "ris", "reachable": False, "message": "ORU^R01", "pending": 5}]
        node.terminate()
        node.start()
        with ris:
            node.wait_idle()
            assert [str(one.segment("OBR")[18]) for one in ris.messages] == [f"ACC{number}" for number in range(5)]
        assert states(node) == ["done"] * 5


@pytest.fixture(scope="module")
def _hearing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    ris = Ris()
    with ris, pair(tmp_path_factory.mktemp("hearing"), ris) as node:
        yield node.analysing()


def test_what_the_ris_says_is_kept_whatever_dies(_hearing: Node) -> None:
    node = _hearing
    port, film = listening(node), chest(AccessionNumber="LATER")
    assert [str(answer.segment("MSA")[1]) for answer in say(port, order("k1", "LATER", "S"))] == ["AA"]
    node.kill("hl7")
    wait_for(lambda: node.logged("child.died"), what="a process that has died")
    answers = wait_for(lambda: _said(port, order("k1", "LATER", "S"), report("k2", "NONE")), what="answers")
    assert answers == ["AA", "AA"]
    node.send(film)
    (entry,) = (one for one in node.worklist() if one["accession_number"] == "LATER")
    assert entry["priority"] == "stat"
    assert len([one for one in node.events("order.received") if one["accession_number"] == "LATER"]) == 1


def _said(port: int, *texts: str) -> list[str]:
    try:
        return [str(answer.segment("MSA")[1]) for answer in say(port, *texts)]
    except (OSError, AssertionError):
        return []


def test_no_bytes_bring_the_port_down_or_take_its_places(_hearing: Node) -> None:
    port, chance = listening(_hearing), random.Random(7)
    pieces = [VT, FS, b"\r", b"MSH|^~\\&|", order("f", "A").encode(), b"\xff\xfe", b"|" * 3000]
    held = []
    for _ in range(200):
        connection = socket.create_connection(("127.0.0.1", port), 20)
        connection.settimeout(5)
        for _ in range(chance.randrange(6)):
            piece = chance.choice([*pieces, chance.randbytes(chance.randrange(400))])
            try:
                connection.sendall(piece)
            except OSError:
                break
        if chance.random() < 0.3:
            held.append(connection)  # says nothing more, and stays
        else:
            connection.close()
    answers = wait_for(lambda: _said(port, order("after", "NONE", "S")), what="an answer after all that")
    assert answers == ["AA"]
    for connection in held:
        connection.close()
    assert len(_hearing.logged("hl7.ready")) - len(_hearing.logged("child.died")) == 1


def test_a_patient_in_messages_is_told_of_nowhere_else(tmp_path: Path) -> None:
    with Ris("AE") as ris, pair(tmp_path, ris) as node:
        ris.error = "Patient Zyxwvut Quorra PID7QXJ9 is unknown"
        port = listening(node)
        node.send(chest(AccessionNumber="ACC7QXJ9", **SECRETS))
        node.wait_idle()
        broken = message("ORM^O01", "b", "PID|||PID7QXJ9||Zyxwvut^Quorra", "ORC|NW", "TQ1|1||||||||Q", "OBR|1|ACC7QXJ9")
        pid = "PID|||PID7QXJ9||Zyxwvut^Quorra"
        texts = [
            order("1", "ACC7QXJ9", "S", patient="PID7QXJ9", name="Zyxwvut^Quorra"), broken,
            message("ADT^A08", "2", pid), message("ADT^A01", "3", pid), message("MDM^T02", "4", pid),
            report("5", "ACC7QXJ9", patient="PID7QXJ9"),
        ]  # fmt: skip
        assert _said(port, *texts) == ["AA", "AE", "AA", "AR", "AR", "AA"]
        assert states(node) == ["failed"]
        said = " ".join([node.log(), node.command("check").stdout, node.command("status").stdout]).lower()
        assert "message_faulty" in said
        assert "message.refused" in said
        assert [word for word in WORDS if word in said] == []
        (told,) = node.study(_study(node))["messages"]
        assert (told["state"], told["said"]) == ("failed", ris.error)
        assert "Zyxwvut" in node.command("study", _study(node)).stdout


def _study(node: Node) -> str:
    return str(node.rows("SELECT study_instance_uid FROM worklist_entry")[0]["study_instance_uid"])
