"""`cxr-node audit` and `study PSEUDONYM`, as people and scripts meet them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cxr_node import cli, keys
from cxr_node.store import events
from cxr_node.store.db import Store
from tests.bench import NOON, add_film, opened, study_uid

pytestmark = pytest.mark.usefixtures("cpu")

DAY = 86400.0


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The database of a node that started on the first and on the third day."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CXR_NODE_CONFIG", raising=False)
    store = opened(tmp_path / "var" / "cxr-node.sqlite")
    with store.transaction() as tx:
        add_film(tx, 1)
        for day, name in enumerate(("node.started", "study.settled", "node.started")):
            events.append(tx, NOON + day * DAY, name, None)
    return store


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "audit.key"
    path.write_text("k" * 64)
    path.chmod(0o600)
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments)


def test_verify_tells_what_it_saw(store: Store) -> None:
    found = run("audit", "verify", "--json")
    assert found.exit_code == 0
    told = json.loads(found.stdout)
    assert (told["events"], told["first"], told["last"], told["broken"]) == (3, 1, 3, None)
    assert run("audit", "verify").stdout.startswith("intact: ")


def test_verify_and_check_tell_where_it_is_broken(store: Store) -> None:
    with store.transaction() as tx:
        tx.execute("UPDATE event SET time = 0 WHERE sequence = 2")
    found = run("audit", "verify")
    assert found.exit_code == 1
    assert found.stdout.startswith("BROKEN: event 2: it was changed")
    assert json.loads(run("audit", "verify", "--json").stdout)["broken"] == 2
    assert "failed  audit trail: broken at event 2" in run("check", "--offline").stdout


def test_check_looks_at_the_newest_events(store: Store) -> None:
    assert "ok      audit trail: the newest" in run("check", "--offline").stdout


def test_truncate_removes_and_seals(store: Store, key: str) -> None:
    assert "events up to 2" in run("audit", "truncate", "--before", "2026-01-03", "--key", key).stdout
    told = json.loads(run("audit", "verify", "--key", key, "--json").stdout)
    assert (told["first"], told["last"], told["seal"], told["removed"]["count"]) == (3, 4, "valid", 2)
    assert "give --key" in run("audit", "verify").stdout
    assert "no event to remove" in run("audit", "truncate", "--before", "2026-01-03", "--key", key).stdout


def test_a_broken_trail_is_not_truncated(store: Store, key: str) -> None:
    with store.transaction() as tx:
        tx.execute("UPDATE event SET time = 0 WHERE sequence = 1")
    found = run("audit", "truncate", "--before", "2026-01-03", "--key", key)
    assert (found.exit_code, found.stderr.split(":")[0]) == (1, "AUDIT_BROKEN")
    with store.reading() as tx:
        assert len(events.page(tx, 0, 10)) == 3


@pytest.mark.parametrize("arguments", [["--before", "2026-01-03"], ["--before", "soon", "--key", "k"]])
def test_truncate_without_key_or_day_is_wrong_use(store: Store, arguments: list[str]) -> None:
    assert run("audit", "truncate", *arguments).exit_code == 2


def test_a_study_is_found_by_its_name_in_the_log(store: Store, tmp_path: Path) -> None:
    name = keys.pseudonyms(tmp_path / "var", create=True).study(study_uid(1))
    assert json.loads(run("study", name, "--json").stdout)["study_instance_uid"] == study_uid(1)
    unknown = run("study", "s-aaaaaaaaaaaa")
    assert (unknown.exit_code, unknown.stdout) == (1, "")


def test_export_writes_messages_and_records_that_it_did(store: Store, tmp_path: Path) -> None:
    found = run("audit", "export", "-")
    assert found.exit_code == 0
    assert [line.count("<AuditMessage>") for line in found.stdout.splitlines()] == [1, 1, 1]  # two starts, and itself
    run("audit", "export", "--since", "2026-01-03", "audit.xml")
    assert len((tmp_path / "audit.xml").read_text().splitlines()) == 3  # a start, and what read the trail
    with store.reading() as tx:
        assert [row["event"] for row in events.page(tx, 3, 10)] == ["audit.read", "audit.read"]
