"""HL7 at the command line: mistakes of its configuration, what `check` and `status` say of it; and shadow."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cxr_node import cli, messaging
from cxr_node.config import Config, load
from cxr_node.domain.finding import Tier
from cxr_node.errors import ConfigError
from cxr_node.store import messages
from cxr_node.store.messages import Outgoing
from tests.bench import NOON, Bench
from tests.node import free_port
from tests.ris import Ris
from tests.toml import toml

PEER = {"name": "ris", "host": "ris.example.org"}


def written(folder: Path, told: list[dict[str, Any]] | None = None, mode: str = "full", **hl7: Any) -> Path:
    file = folder / "node.toml"
    node, receive = {"data_dir": str(folder / "var"), "mode": mode}, {"port": free_port()}
    tables = {"node": node, "receive": receive, "web": {"enabled": False}, "inference": {"device": "cpu"}, "hl7": hl7}
    file.write_text(toml(tables, {"worklist.hl7": told or []}), "utf-8")
    return file


def config(folder: Path, told: list[dict[str, Any]] | None = None, mode: str = "full", **hl7: Any) -> Config:
    return load(written(folder, told, mode, **hl7), {})


def run(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli.main, [*arguments, "-c", str(file)])


def test_a_message_port_that_others_reach_wants_networks_or_tls(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"hl7: host 0\.0\.0\.0 can be reached from other machines"):
        config(tmp_path, port=2575, host="0.0.0.0")
    assert config(tmp_path, port=2575, host="0.0.0.0", allowed_networks=["10.1.2.3/32"]).hl7.port == 2575
    assert config(tmp_path, host="0.0.0.0").hl7.port is None


@pytest.mark.parametrize(
    ("told", "hl7", "said"),
    [
        ([PEER, PEER], {}, "worklist.hl7: names must differ; repeated: ris"),
        ([PEER | {"accession": "IPC-1"}], {}, "ORU^R01 has no place IPC-1"),
        ([PEER | {"accession": "OBR-3"}], {}, "ORU^R01 has no place OBR-3"),
        ([PEER | {"message": "ORM", "accession": "IPC-1"}], {}, "ORM^O01 has no IPC"),
        ([PEER | {"priorities": {}}], {}, "name at least one tier"),
        ([PEER | {"charset": "UTF8"}], {}, "not a character set of HL7 table 0211"),
        ([PEER | {"hots": "x"}], {}, "worklist.hl7.0.hots: unknown key; did you mean 'host'?"),
        ([], {"final": ["F"], "reopen": ["F"]}, "F cannot both close a study (final) and open it again (reopen)"),
        ([], {"port": 2575, "tls": True}, "hl7.tls: the port shows the certificate of [tls], and there is none"),
        ([], {"priorities": {"S": "urgent"}}, "hl7.priorities.S"),
        ([], {"accession": []}, "hl7.accession"),
        ([], {"allowed_networks": ["10.1.2.3/8"]}, "hl7.allowed_networks.0"),
    ],
)
def test_mistakes_are_said_with_their_key(
    tmp_path: Path, told: list[dict[str, Any]], hl7: dict[str, Any], said: str
) -> None:
    result = run(written(tmp_path, told, **hl7), "check", "--offline")
    assert result.exit_code == 78
    assert said in result.stderr


def test_in_shadow_nobody_is_told_or_asked_anything(tmp_path: Path) -> None:
    told = [PEER, PEER | {"name": "orders", "message": "OMI", "priorities": {"high": "S"}}]
    shadow = config(tmp_path, told, mode="shadow")
    assert not messaging.peers(shadow)
    assert not messaging.recipients(shadow)
    assert not messaging.informed(shadow)
    assert messaging.asked(shadow) == {Tier.HIGH: [], Tier.MEDIUM: []}
    triage = config(tmp_path, told, mode="triage")
    assert messaging.informed(triage) == ["ris"]
    assert messaging.asked(triage) == {Tier.HIGH: ["orders"], Tier.MEDIUM: []}


@pytest.fixture
def ris() -> Iterator[Ris]:
    with Ris() as found:
        yield found


def test_check_connects_with_the_ris_and_says_nothing_to_it(tmp_path: Path, ris: Ris) -> None:
    away = ris.table(name="away", port=free_port())
    lines = run(written(tmp_path, [ris.table(), away], port=free_port()), "check").stdout.splitlines()
    assert "ok      RIS ris: takes a connection" in lines
    (failed,) = (line for line in lines if "RIS away" in line)
    assert failed.startswith("failed  RIS away: no connection with away (127.0.0.1:")
    assert ris.heard == []
    assert any("told by HL7: ris (ORU), away (ORU)" in line for line in lines)
    assert any(line.startswith("ok      messages: 127.0.0.1 port ") for line in lines)


def test_check_offline_calls_nobody_and_warns_of_patients_in_the_open(tmp_path: Path) -> None:
    file = written(tmp_path, [PEER], port=free_port(), host="0.0.0.0", allowed_networks=["10.0.0.0/8"])
    lines = run(file, "check", "--offline").stdout.splitlines()
    assert "note    RIS ris: not called (--offline)" in lines
    (warned,) = (line for line in lines if " messages: 0.0.0.0" in line)
    assert warned.startswith("warning")


def test_check_says_that_the_port_for_messages_is_taken(tmp_path: Path, ris: Ris) -> None:
    result = run(written(tmp_path, port=ris.port), "check", "--offline")
    assert (
        f"failed  messages: hl7.host 127.0.0.1, port {ris.port} cannot be had: Address already in use" in result.stdout
    )


def test_status_says_what_waits_for_the_ris(tmp_path: Path, ris: Ris) -> None:
    bench = Bench(tmp_path / "var")
    with bench.store.transaction() as tx:
        messages.add(tx, Outgoing("c1", "ris", "1.2.4.1", "ORU^R01", "1", b"x"), NOON)
    file = written(tmp_path, [ris.table()], port=2575)
    found = json.loads(run(file, "status", "--json").stdout)
    assert found["messages"] == [{"name": "ris", "reachable": True, "message": "ORU^R01", "pending": 1}]
    assert found["hl7"] == {"state": "loading", "reason": None, "address": "127.0.0.1 port 2575"}
    shown = run(file, "status").stdout
    assert "messages      loading" in shown
    assert "ris          yes        1        ORU^R01" in shown
    assert json.loads(run(written(tmp_path), "status", "--json").stdout)["hl7"]["state"] == "off"
