"""Commands about the web page and what is read: accounts, tokens, reading, and what `check` says of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cxr_node import cli
from cxr_node.domain.job import JobState
from cxr_node.store import jobs, worklist
from cxr_node.web import accounts
from cxr_node.web.accounts import Role
from tests import films
from tests.bench import JUDGING, Bench, add_result
from tests.certificates import Authority
from tests.web import PASSWORD

pytestmark = pytest.mark.usefixtures("cpu")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CXR_NODE_CONFIG", "node.toml")
    configure()
    return Bench(tmp_path)


def configure(**web: Any) -> None:
    lines = [f"{key} = {json.dumps(value)}" for key, value in web.items()]
    Path("node.toml").write_text(
        "\n".join(['[node]\ndata_dir = "."\nmode = "full"\n[receive]\nport = 1\n[web]\nport = 1', *lines])
    )


def run(*arguments: str, status: int = 0, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(cli.main, arguments, input=stdin)
    assert result.exit_code == status, result.output
    return result


def study(bench: Bench, probability: float = 0.9) -> str:
    film = films.chest()
    bench.send(film)
    with bench.store.transaction() as tx:
        (job,) = jobs.claim(tx, "analyse", "one", bench.clock(), 300)
        add_result(tx, job.subject, probability)
        jobs.finish(tx, job, JobState.DONE, bench.clock())
        worklist.refresh(tx, str(film.StudyInstanceUID), JUDGING, bench.clock())
    return str(film.StudyInstanceUID)


def shown() -> list[dict[str, Any]]:
    return list(json.loads(run("worklist", "--json", "--all").stdout))


# -- what is read


def test_read_reopen_and_priority(bench: Bench) -> None:
    uid = study(bench)
    run("priority", uid, "stat")
    assert [(one["priority"], one["group"]) for one in shown()] == [("stat", "stat")]
    run("read", uid)
    assert [one["state"] for one in shown()] == ["read"]
    assert json.loads(run("worklist", "--json").stdout) == []
    run("reopen", uid)
    run("priority", uid, "none")
    assert [(one["state"], one["priority"]) for one in shown()] == [("not_analysed", None)] or shown()[0][
        "priority"
    ] is None
    events = json.loads(run("study", uid, "--json").stdout)["events"]
    causes = [(one["cause"], "by" in one) for one in events if one["event"] == "worklist.moved" and "by" in one]
    assert causes == [("priority", True), ("read", True), ("reopened", True), ("priority", True)]


def test_of_a_study_of_a_site_a_priority_is_asked_for(bench: Bench) -> None:
    uid = study(bench)
    with bench.store.transaction() as tx:
        tx.execute("UPDATE worklist_entry SET site = 'north'")
    assert run("priority", uid, "stat").stdout == f"study {uid}: north is asked for priority stat\n"
    (entry,) = shown()
    assert (entry["priority"], entry["asked"]["priority"], entry["asked"]["refused"]) == (None, "stat", None)
    assert "stat asked for" in run("worklist").stdout
    assert "north is asked for no priority" in run("priority", uid, "none").stdout
    with bench.store.transaction() as tx:
        tx.execute("UPDATE asked SET outcome = 'decided'")
    assert "(none not given)" in run("worklist").stdout
    assert run("read", uid, status=1).stderr.startswith("AT_SITE: ")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("read", "1.2.3"), "STUDY_UNKNOWN"), (("reopen", "1.2.3"), "STUDY_UNKNOWN"),
     (("priority", "1.2.3", "stat"), "STUDY_UNKNOWN")],
)  # fmt: skip
def test_a_study_that_nobody_sent(bench: Bench, arguments: tuple[str, ...], code: str) -> None:
    assert run(*arguments, status=1).stderr.startswith(f"{code}: ")


def test_what_is_read_cannot_be_read_again(bench: Bench) -> None:
    uid = study(bench)
    run("read", uid)
    assert run("read", uid, status=1).stderr.startswith("STUDY_CLOSED: ")
    assert run("priority", uid, "urgent", status=2).stderr


def test_freezing_says_who(bench: Bench) -> None:
    run("worklist", "--freeze")
    (row,) = bench.rows("SELECT detail FROM event WHERE event = 'worklist.frozen'")
    assert json.loads(row["detail"])["by"]


# -- accounts


def test_a_user_is_added_changed_listed_and_removed(bench: Bench) -> None:
    configure(users="users")
    run("user", "add", "ana", "--role", "reader", stdin=f"{PASSWORD}\n{PASSWORD}\n")
    run("user", "add", "root", "--role", "admin", "--password", PASSWORD)
    assert run("user", "list").stdout == "ana  reader\nroot  admin\n"
    file = Path("users")
    assert file.stat().st_mode & 0o777 == 0o640
    assert PASSWORD not in file.read_text()
    assert accounts.is_password(PASSWORD, accounts.load(file)["ana"])
    run("user", "add", "ana", "--role", "viewer", "--password", "another password")
    assert accounts.load(file)["ana"].role is Role.VIEWER
    run("user", "remove", "root")
    assert list(accounts.load(file)) == ["ana"]
    assert run("user", "remove", "root", status=1).stderr.startswith("ACCOUNTS: there is no account root")


@pytest.mark.parametrize(
    ("name", "password", "code"),
    [("ana", "short", "PASSWORD"), ("a:b", PASSWORD, "ACCOUNTS"), ("", PASSWORD, "ACCOUNTS")],
)
def test_a_user_that_cannot_be(bench: Bench, name: str, password: str, code: str) -> None:
    configure(users="users")
    refused = run("user", "add", name, "--role", "viewer", "--password", password, status=1)
    assert refused.stderr.startswith(f"{code}: ")
    assert password not in refused.stderr
    assert not Path("users").exists()


def test_a_token_is_shown_once_and_kept_as_its_hash(bench: Bench) -> None:
    configure(tokens="tokens")
    token = run("token", "add", "prometheus", "--role", "viewer").stdout.strip()
    kept = Path("tokens").read_text()
    assert len(token) > 40
    assert token not in kept
    found = accounts.of_token(token, accounts.load(Path("tokens")))
    assert found is not None
    assert found.name == "prometheus"
    run("token", "remove", "prometheus")
    assert run("token", "list").stdout == ""


@pytest.mark.parametrize("command", ["user", "token"])
def test_accounts_need_a_file_that_is_named(bench: Bench, command: str) -> None:
    refused = run(command, "list", status=78)
    assert refused.stderr.startswith(f"configuration: web.{command}s is not set")


def test_a_node_without_a_hub_has_nobody_to_tell_anew(bench: Bench) -> None:
    refused = run("retell", status=78)
    assert "this node tells no hub" in refused.stderr


# -- the configuration


@pytest.mark.parametrize(
    ("web", "said"),
    [
        ({"host": "0.0.0.0"}, "host 0.0.0.0 can be reached from other machines"),
        ({"host": "node.example.org", "tokens": "tokens"}, "can be reached from other machines"),
        ({"certificate": "web.pem"}, "certificate and key belong together"),
        ({"viewer_url": "javascript:alert(1)"}, "write it as https://"),
        ({"viewer_url": "https://pacs/{patient}"}, "only {study_uid} and {accession_number}"),
        ({"trusted_proxies": ["portal"]}, "web.trusted_proxies"),
        ({"user_header": "X User"}, "web.user_header"),
    ],
)  # fmt: skip
def test_a_web_page_that_others_reach_wants_to_know_who_comes(bench: Bench, web: dict[str, Any], said: str) -> None:
    configure(**web)
    assert said in run("check", "--offline", status=78).stderr


def test_a_node_does_not_start_without_the_accounts_it_names(bench: Bench) -> None:
    configure(users="users")
    assert "web.users: the accounts in users cannot be read" in run("serve", status=78).stderr
    Path("users").write_text("secretword")
    Path("users").chmod(0o600)
    refused = run("serve", status=78).stderr
    assert "users, line 1" in refused
    assert "secretword" not in refused


def test_check_says_how_the_web_page_is_reached(bench: Bench, tmp_path: Path) -> None:
    own = Authority(tmp_path, "hospital").issue("web")
    accounts.save(Path("users"), [])
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "note    web page: http://127.0.0.1:1, open to everybody on this machine"),
        ({"enabled": False}, "note    web page: switched off"),
        ({"users": "users"}, "ok      web page: http://127.0.0.1:1, for those who sign in"),
        ({"users": "users", "host": "0.0.0.0"}, "warning web page: http://0.0.0.0:1: passwords cross the network"),
        ({"trusted_proxies": ["10.0.0.0/8"], "host": "0.0.0.0"}, "ok      web page: http://0.0.0.0:1"),
        ({"users": "users", "host": "0.0.0.0", "certificate": str(own.certificate), "key": str(own.key)},
         "ok      web page: https://0.0.0.0:1, for those who sign in"),
    ]  # fmt: skip
    for web, said in cases:
        configure(**web)
        found = CliRunner().invoke(cli.main, ["check", "--offline"]).stdout
        assert said in found
