"""TLS on the command line: what `serve` refuses to start with, and what `check` says of the files."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cxr_node import cli
from tests.certificates import Authority, Pair
from tests.node import free_port


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("hospital"), "hospital")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, without systemd's credentials."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    return tmp_path


def run(command: str, certificate: Path, key: Path | str, ca: Path, more: str = "") -> Result:
    text = f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\nca = "{ca}"\n{more}'
    text += f'\n[inference]\ndevice = "cpu"\n[receive]\nport = {free_port()}\n'
    Path("node.toml").write_text(text)
    return CliRunner().invoke(cli.main, [*command.split(), "-c", "node.toml"])


def findings(pair: Pair, authority: Authority) -> list[tuple[str, str]]:
    """What `check` says of certificate and key: verdict and the whole line."""
    said = run("check --offline", pair.certificate, pair.key, authority.pem).stdout.splitlines()
    return [(line.split()[0], line) for line in said if line[8:].startswith(("certificate", "private key"))]


def test_a_node_does_not_start_with_a_file_that_cannot_be_used(hospital: Authority, folder: Path) -> None:
    node, other, expired = hospital.issue("node"), hospital.issue("other"), hospital.issue("expired", days=-1)
    mistakes = {
        f"tls.key: {folder}/none.key cannot be read": run("serve", node.certificate, folder / "none.key", hospital.pem),
        f"tls.key: {other.key} does not belong to": run("serve", node.certificate, other.key, hospital.pem),
        f"tls.certificate: {expired.certificate} expired on": run(
            "serve", expired.certificate, expired.key, hospital.pem
        ),
        f"tls.ca: {folder}/none.pem cannot be read": run("serve", node.certificate, node.key, folder / "none.pem"),
        "tls.key: credential:node.key is a credential": run(
            "serve", node.certificate, "credential:node.key", hospital.pem
        ),
        "destination.pacs.tls_ca: none.pem cannot be read: No such file": run(
            "serve", node.certificate, node.key, hospital.pem,
            '[[destination]]\nname = "pacs"\nae_title = "PACS"\nhost = "pacs"\ntls = true\ntls_ca = "none.pem"\n',
        ),
        "subscriber.VIEWER1.tls_ca: none.pem cannot be read: No such file": run(
            "serve", node.certificate, node.key, hospital.pem,
            '[[subscriber]]\nae_title = "VIEWER1"\nhost = "viewer"\ntls = true\ntls_ca = "none.pem"\n',
        ),
        "worklist.ris.tls_ca: none.pem cannot be read: No such file": run(
            "serve", node.certificate, node.key, hospital.pem,
            '[worklist]\nris = { ae_title = "RIS", host = "ris", tls = true, tls_ca = "none.pem" }\n',
        ),
    }  # fmt: skip
    for said, found in mistakes.items():
        assert found.exit_code == 78, said
        assert found.stderr.startswith(f"configuration: {said}"), found.stderr
    assert not (folder / "var").exists()


def test_check_says_until_when_the_certificate_is_valid(hospital: Authority) -> None:
    ((verdict, line),) = findings(hospital.issue("sound"), hospital)
    assert verdict == "ok"
    assert "sound.pem is valid until 20" in line


def test_check_warns_a_month_before_the_certificate_expires(hospital: Authority) -> None:
    ((verdict, line),) = findings(hospital.issue("soon", days=20), hospital)
    assert verdict == "warning"
    assert "days from now: renew it" in line


def test_check_finds_a_certificate_that_expired(hospital: Authority) -> None:
    ((verdict, line),) = findings(hospital.issue("late", days=-1), hospital)
    assert verdict == "failed"
    assert "late.pem expired on 20" in line


def test_check_warns_of_a_key_that_everyone_may_read(hospital: Authority) -> None:
    pair = hospital.issue("open")
    pair.key.chmod(0o644)
    (sound, _), (verdict, line) = findings(pair, hospital)
    assert (sound, verdict) == ("ok", "warning")
    assert "chmod 600" in line


def test_a_command_that_only_reads_does_without_the_files(hospital: Authority) -> None:
    found = run("worklist", Path("none.pem"), "credential:none.key", Path("none.pem"))
    assert found.exit_code == 1
    assert found.stderr.startswith("DATABASE: there is no database")


def test_check_calls_who_is_told_of_workitems_and_who_is_asked(hospital: Authority) -> None:
    """A workstation may be switched off; the RIS may not."""
    node, port = hospital.issue("checking"), free_port()
    more = f'[[subscriber]]\nae_title = "VIEWER1"\nhost = "127.0.0.1"\nport = {port}\ntls = true\n'
    more += f'[worklist]\nris = {{ ae_title = "RIS", host = "127.0.0.1", port = {port}, tls = true }}\n'
    lines = run("check", node.certificate, node.key, hospital.pem, more).stdout.splitlines()
    verdicts = {line[8:].split(": ")[0]: line.split()[0] for line in lines if "VIEWER1" in line or "of the RIS" in line}
    assert verdicts == {"subscriber VIEWER1": "note", "worklist of the RIS": "failed"}
    offline = run("check --offline", node.certificate, node.key, hospital.pem, more).stdout.splitlines()
    assert [line.split()[0] for line in offline if "VIEWER1" in line or "of the RIS" in line] == ["note", "note"]
