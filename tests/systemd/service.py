"""The installed service under a real systemd, step by step, as somebody who administers it would go.

tools/systemd.sh boots a Debian and runs this file inside, with that Debian's pytest: each test goes on where the one
before ended. It installs, kills and removes the service of the machine it runs on.
"""

import json
import os
import pwd
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

HOME = Path("/srv")
CONFIG = Path("/etc/cxr-node/cxr-node.toml")
STATE = Path("/var/lib/cxr-node")
DROP_IN = Path("/etc/systemd/system/cxr-node.service.d")
ENVIRONMENT = os.environ | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(HOME / "wheels")}
WITH_TLS = ("--anonymous-tls", "+cf", "/etc/cxr-node/node.pem")


def run(*command: str | Path, status: int = 0, timeout: float = 300, **environment: str) -> str:
    """What a command says; AssertionError with all of it where it ends otherwise."""
    done = subprocess.run(
        [str(word) for word in command], env=ENVIRONMENT | environment, cwd=HOME,
        capture_output=True, text=True, check=False, timeout=timeout,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == status, f"{command} ended with {done.returncode}:\n{said}\n{journal()[-4000:]}"
    return said


def install(release: str, *words: str, status: int = 0) -> str:
    """tools/install.sh of a release, without a package index in reach."""
    (wheel,) = (HOME / release).glob("cxr_node-*.whl")
    return run(HOME / release / "tools/install.sh", *words, status=status, WHEEL=str(wheel))


def show(name: str) -> str:
    """A property of the unit, as systemd has it now."""
    return run("systemctl", "show", "--value", "-p", name, "cxr-node").strip()


def journal() -> str:
    """What the service said since it was first started."""
    told = subprocess.run(
        ["journalctl", "-u", "cxr-node", "-o", "cat", "--no-pager"], capture_output=True, text=True, check=True
    )
    return told.stdout


def logged(event: str) -> list[dict[str, object]]:
    lines = (json.loads(line) for line in journal().splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("event") == event]


def judged() -> list[dict[str, object]]:
    return [line for line in logged("job.done") if line["kind"] == "analyse"]


def wait_for(condition: Callable[[], object], what: str, seconds: float = 180) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"{what}: not within {seconds:g} s\n{journal()[-4000:]}"
        time.sleep(0.5)


def worklist() -> list[dict[str, object]]:
    return list(json.loads(run("cxr-node", "worklist", "--json")))


def ready() -> bool:
    return subprocess.run(["cxr-node", "status"], capture_output=True, check=False).returncode == 0


def send(number: int, *, port: int = 104, options: tuple[str, ...] = ()) -> None:
    """A film, and until it is judged."""
    before = len(judged())
    run("storescu", *options, "-aec", "CXR_NODE", "127.0.0.1", str(port), HOME / f"film{number}.dcm")
    wait_for(lambda: len(judged()) > before, "an analysis")


def changed(text: str, *edits: tuple[str, str]) -> str:
    """A configuration in which the first place of each has become the other."""
    for before, after in edits:
        assert before in text
        text = text.replace(before, after, 1)
    return text


def restarts() -> int:
    return int(show("NRestarts"))


def main_pid() -> int:
    return int(show("MainPID"))


def test_the_release_of_before_is_installed_and_judges_films() -> None:
    said = install("old")
    assert "systemctl enable --now cxr-node" in said
    text = CONFIG.read_text("utf-8")
    edits = {
        'mode = "shadow"': 'mode = "full"',
        "port = 11112": "port = 104",
        "settle_seconds = 120.0": "settle_seconds = 1.0",
    }
    CONFIG.write_text(changed(text, *edits.items()), "utf-8")
    run("systemctl", "enable", "--now", "cxr-node")
    assert (show("ActiveState"), show("SubState")) == ("active", "running")
    wait_for(lambda: logged("infer.ready"), "a loaded model")
    send(1)
    wait_for(lambda: len(list((STATE / "outbox").rglob("*.dcm"))) == 2, "two documents")


def test_an_upgrade_copies_the_database_and_goes_on_with_it() -> None:
    before = main_pid()
    said = install("new")
    assert "stays as it is" in said
    assert "restarting the service" in said
    assert main_pid() != before
    (upgraded,) = logged("database.upgraded")
    (copy,) = (STATE / "backups").glob("before-*.sqlite")
    assert copy.name in json.dumps(upgraded)
    assert [entry["state"] for entry in worklist()] == ["analysed"]
    wait_for(ready, "a node that is ready")
    send(2)
    assert len(worklist()) == 2


def test_the_release_of_before_refuses_the_newer_database_and_says_so() -> None:
    install("new", "rollback", status=1)
    wait_for(lambda: "written by a later release" in journal(), "the sentence")
    wait_for(lambda: show("ActiveState") in ("failed", "activating"), "a service that did not start")
    install("new")
    run("systemctl", "reset-failed", "cxr-node")
    run("systemctl", "restart", "cxr-node")
    wait_for(ready, "a node that is ready")
    assert len(worklist()) == 2


def test_verified_and_closed_as_the_documentation_says() -> None:
    assert run("systemd-analyze", "verify", "cxr-node.service") == ""
    (exposure,) = re.findall(
        r"exposure level for cxr-node.service: ([0-9.]+)", run("systemd-analyze", "security", "cxr-node")
    )
    print(f"exposure {exposure}")
    assert float(exposure) < 2.0


def test_it_runs_as_a_user_of_its_own_who_may_use_port_104_and_little_else() -> None:
    pid, user = main_pid(), pwd.getpwnam("cxr-node")
    facts = dict(re.findall(r"^(\w+):\t(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE))
    assert facts["Uid"].split() == [str(user.pw_uid)] * 4
    assert (int(facts["CapEff"], 16), int(facts["CapBnd"], 16)) == (1 << 10, 1 << 10)  # CAP_NET_BIND_SERVICE
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")
    assert "127.0.0.1:104" in run("ss", "-Hltn")
    assert (STATE.stat().st_uid, STATE.stat().st_mode & 0o777) == (user.pw_uid, 0o700)
    assert not {path for path in STATE.rglob("*") if path.stat().st_uid != user.pw_uid}
    assert not {path for path in STATE.rglob("*") if path.stat().st_mode & 0o077}
    as_service = ("nsenter", "-t", str(pid), "-m", "--", "runuser", "-u", "cxr-node", "--")
    for path in ("/etc/cxr-node/x", "/opt/cxr-node/x", "/usr/x", "/srv/x", "/var/x"):
        assert "x" in run(*as_service, "touch", path, status=1)
    assert {"kvm", "kmsg", "mem", "nvidia0"}.isdisjoint(run(*as_service, "ls", "/dev").split())


def test_systemctl_and_the_journal_say_how_it_is() -> None:
    assert "full mode, listening on port 104" in run("systemctl", "status", "cxr-node")
    said = journal()
    assert judged()
    assert all(word not in said for word in ("Doe1", "P00001", "19600229"))


def test_reload_takes_what_may_change_and_says_what_waits() -> None:
    pid, text = main_pid(), CONFIG.read_text("utf-8")
    CONFIG.write_text(
        changed(text, ("max_wait_minutes = 120", "max_wait_minutes = 90"), ("max_pdu = 131072", "max_pdu = 65536"))
    )
    run("systemctl", "reload", "cxr-node")
    wait_for(lambda: logged("config.reloaded"), "a reload")
    assert logged("config.needs_restart")[-1]["keys"] == ["receive.max_pdu"]
    assert "receive.max_pdu" in show("StatusText")
    CONFIG.write_text("nonsense")
    run("systemctl", "reload", "cxr-node")
    wait_for(lambda: logged("config.not_reloaded"), "a refusal")
    CONFIG.write_text(text, "utf-8")
    run("systemctl", "reload", "cxr-node")
    wait_for(lambda: len(logged("config.reloaded")) == 2, "a reload")
    assert (main_pid(), show("ActiveState")) == (pid, "active")


def test_a_process_that_is_killed_or_hangs_is_started_again() -> None:
    number, pid = restarts(), main_pid()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: restarts() == number + 1 and ready(), "a new start")
    pid = main_pid()
    began = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: restarts() == number + 2, "the watchdog", 200)
    print(f"watchdog: started again after {time.monotonic() - began:.0f} s")
    assert "Watchdog timeout" in run("journalctl", "-u", "cxr-node", "--no-pager")
    wait_for(ready, "a node that is ready")
    assert main_pid() != pid
    send(3)
    assert len(worklist()) == 3


HOLD = """
import time
from pynetdicom import AE
machine = AE()
machine.add_requested_context("1.2.840.10008.1.1")
print(machine.associate("127.0.0.1", 104).is_established, flush=True)
time.sleep(600)
"""


def test_stop_ends_in_order_though_a_machine_holds_an_association() -> None:
    python = Path("/opt/cxr-node/bin/cxr-node").resolve().with_name("python")
    with subprocess.Popen([python, "-c", HOLD], stdout=subprocess.PIPE, text=True) as machine:
        assert machine.stdout is not None
        assert machine.stdout.readline() == "True\n"
        began = time.monotonic()
        run("systemctl", "stop", "cxr-node")
        took = time.monotonic() - began
        machine.kill()
    print(f"stopped after {took:.0f} s")
    assert took < 60
    assert (show("ActiveState"), show("Result"), show("ExecMainStatus")) == ("inactive", "success", "0")
    assert not run("ps", "-u", "cxr-node", "-o", "args=", status=1)


def test_a_mistake_in_the_configuration_is_said_once_and_not_tried_again() -> None:
    text = CONFIG.read_text("utf-8")
    CONFIG.write_text(text.replace("max_pdu =", "max_pdus ="), "utf-8")
    run("systemctl", "start", "cxr-node", status=1)
    assert (show("Result"), show("ExecMainStatus"), show("NRestarts")) == ("exit-code", "78", "0")
    assert "max_pdu" in run("systemctl", "status", "cxr-node", status=3)
    CONFIG.write_text(text, "utf-8")


def test_a_private_key_that_only_root_can_read() -> None:
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=node", "-days", "60",
        "-keyout", "/etc/cxr-node/node.key", "-out", "/etc/cxr-node/node.pem")  # fmt: skip
    Path("/etc/cxr-node/node.key").chmod(0o600)
    DROP_IN.mkdir()
    (DROP_IN / "key.conf").write_text("[Service]\nLoadCredential=node.key:/etc/cxr-node/node.key\n")
    text = CONFIG.read_text("utf-8")
    tls = '[tls]\ncertificate = "/etc/cxr-node/node.pem"\nkey = "credential:node.key"\n'
    edits = {"[tls] ": f"{tls}#", "require_client_certificate = true": "require_client_certificate = false"}
    CONFIG.write_text(changed(text, *edits.items()), "utf-8")
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "cxr-node")
    wait_for(lambda: len(logged("infer.ready")) >= 1 and show("ActiveState") == "active", "a start")
    run("echoscu", "-aec", "CXR_NODE", "127.0.0.1", "104", status=1)
    send(4, options=WITH_TLS)
    assert len(worklist()) == 4


def test_it_goes_away_without_the_data_and_then_with_them() -> None:
    install("new", "uninstall")
    assert not Path("/opt/cxr-node").exists()
    assert CONFIG.exists()
    assert list((STATE / "films").rglob("*"))
    install("new", "uninstall", "--purge")
    assert not STATE.exists()
    assert not CONFIG.exists()
    run("systemctl", "status", "cxr-node", status=4)
