"""The commands as people and scripts meet them: help, exit statuses, and what goes to which stream."""

import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from cxr_node import cli, device_checks, keys
from cxr_node.domain.job import JobState, NewJob
from cxr_node.inference import agreement, build, golden, manifest
from cxr_node.store import jobs
from tests import films
from tests.bench import NOON, Bench
from tests.node import wait_for

CONTRACT = {
    "serve",
    "demo",
    "check",
    "status",
    "worklist",
    "study",
    "requeue",
    "analyze",
    "models",
    "infer",
    "audit",
    "export",
    "simulate",
    "backup",
    "restore",
    "backfill",
    "pool",
}
"""The commands of the contract that this release has."""


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield (*path, name)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


COMMANDS = sorted(commands(cli.main))
VISIBLE = [path for path in COMMANDS if path not in (("work",), ("further",), ("shadow",), ("hl7",))]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; the node's data would be in `var`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CXR_NODE_CONFIG", raising=False)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments)


def test_every_command_of_the_contract_is_there() -> None:
    assert set(cli.main.commands) >= CONTRACT
    assert {path[1] for path in COMMANDS if path[0] == "models"} >= {
        "list",
        "show",
        "verify",
        "activate",
        "rollback",
        "compare",
        "calibrate",
    }


@pytest.mark.parametrize("path", VISIBLE, ids=" ".join)
def test_help_shows_an_example(path: tuple[str, ...]) -> None:
    found = run(*path, "--help")
    assert found.exit_code == 0
    assert re.search(rf"Examples?: cxr-node {' '.join(path)}\b", found.stdout)


@pytest.mark.parametrize("path", [path for path in VISIBLE if path != ("demo",)], ids=" ".join)
def test_every_command_takes_a_configuration(path: tuple[str, ...]) -> None:
    assert "-c, --config" in run(*path, "--help").stdout


@pytest.mark.parametrize(
    "path",
    [("worklist",), ("status",), ("study",), ("models", "compare"), ("simulate",), ("pool", "status")],
    ids=" ".join,
)
def test_what_scripts_read_has_json(path: tuple[str, ...]) -> None:
    assert "--json" in run(*path, "--help").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["worklist", "--nonsense"],
        ["study"],
        ["requeue"],
        ["requeue", "1.2", "--failed"],
        ["analyze"],
        ["pool", "deploy", "cxr-pneumonia", "--least", "3", "--most", "2"],
        ["backfill", "films", "--ray"],
        ["backfill", "films", "--ray", "--output", "results", "--report"],
        ["backfill", "films", "--ray", "--output", "results", "--positive-in", "results"],
        ["backfill", "films", "--ray", "--output", "results", "--per-minute", "10"],
        ["backfill", "films", "--output", "results"],
        ["backfill", "films", "--gpus", "1"],
    ],
)
def test_wrong_use_is_exit_status_2(arguments: list[str]) -> None:
    found = run(*arguments)
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr.startswith("Usage: ")


@pytest.mark.parametrize("command", [["serve"], ["check"], ["status"], ["worklist"], ["study", "1"], ["infer"]])
def test_a_bad_configuration_is_exit_status_78_and_every_mistake(command: list[str], folder: Path) -> None:
    (folder / "bad.toml").write_text('[node]\nmode = "fast"\n[receive]\nport = 0\n[log]\nlevl = "info"\n')
    found = run(*command, "-c", "bad.toml")
    assert (found.exit_code, found.stdout) == (78, "")
    first, *rest = found.stderr.splitlines()
    assert first == "configuration: bad.toml: 3 mistakes"
    assert [line.split(":")[0].strip() for line in rest] == ["node.mode", "receive.port", "log.levl"]


def test_a_configuration_that_is_not_there_is_exit_status_78() -> None:
    found = run("worklist", "-c", "missing.toml")
    assert (found.exit_code, found.stderr) == (
        78, "configuration: cannot read missing.toml: No such file or directory\n"
    )  # fmt: skip


def test_a_study_that_is_not_known_is_exit_status_1(folder: Path) -> None:
    Bench(folder / "var")
    found = run("study", "1.2.3")
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr == "STUDY_UNKNOWN: no film of study 1.2.3 has been received\n"


def test_a_database_that_cannot_be_read_is_one_line(folder: Path) -> None:
    (folder / "var").mkdir()
    (folder / "var" / "cxr-node.sqlite").write_bytes(b"no database" * 1000)
    found = run("worklist")
    assert found.exit_code == 1
    assert found.stderr.startswith("DATABASE: cannot open the database var/cxr-node.sqlite")
    assert len(found.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "command", [["worklist"], ["worklist", "--freeze"], ["status"], ["study", "1.2"], ["requeue", "--failed"]]
)
def test_a_command_beside_the_node_makes_no_database(folder: Path, command: list[str]) -> None:
    found = run(*command)
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr.startswith("DATABASE: there is no database var/cxr-node.sqlite")
    assert f"node.data_dir is {folder / 'var'}" in found.stderr
    assert not (folder / "var").exists()


def test_a_node_that_does_not_run_is_not_ready(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Bench(folder / "var")
    monkeypatch.setenv("CXR_NODE__RECEIVE__PORT", str(free_port()))
    found = run("status")
    assert found.exit_code == 1
    assert "no node is running here" in found.stdout


def test_the_worklist_is_a_table_with_reasons(folder: Path) -> None:
    bench = Bench(folder / "var")
    assert run("worklist").stdout == "No study is waiting.\n"
    bench.send(films.leg(AccessionNumber="A7"))
    heading, row = run("worklist").stdout.splitlines()
    assert heading.split()[:4] == ["#", "tier", "priority", "finding"]
    assert row[heading.index("place") :].startswith("arrival")
    assert "A7" in row
    assert "Body Part Examined (0018,0015) is 'LEG'" in row


def test_a_study_is_shown_with_its_state_and_events(folder: Path) -> None:
    film = films.chest()
    Bench(folder / "var").send(film)
    found = run("study", film.StudyInstanceUID)
    assert found.stdout.startswith(f"study {film.StudyInstanceUID}, revision 0, waiting\n")
    assert "instance.stored" in found.stdout
    assert "Jane" not in found.stdout


def test_a_refusal_in_the_story_of_a_study_has_its_code_and_reason(folder: Path) -> None:
    film = films.leg()
    Bench(folder / "var").send(film)
    assert re.search(
        r"instance\.refused  BODY_PART  Body Part Examined .* is 'LEG'", run("study", film.StudyInstanceUID).stdout
    )


def test_the_kill_switch_from_the_command_line(folder: Path) -> None:
    bench = Bench(folder / "var")
    run("worklist", "--freeze")
    run("worklist", "--unfreeze")
    assert bench.events() == ["worklist.frozen", "worklist.unfrozen"]


def test_requeue_says_how_many(folder: Path) -> None:
    bench = Bench(folder / "var")
    with bench.store.transaction() as tx:
        jobs.enqueue(tx, [NewJob("analyse", "x")], NOON)
        (job,) = jobs.claim(tx, "analyse", "one", NOON, 300)
        jobs.finish(tx, job, JobState.FAILED, NOON, error_code="X", error="x")
    assert run("requeue", "--failed").stdout == "1 jobs will be tried again\n"
    assert run("requeue", "1.2.3").exit_code == 1
    assert run("requeue", "1.2.3").stderr.startswith("STUDY_UNKNOWN: ")


def test_models_are_listed_and_shown() -> None:
    listed = run("models", "list").stdout
    assert [line.split()[:2] for line in listed.splitlines()] == [
        ["cxr-covid", "1.0.0"], ["cxr-pneumonia", "2.0.0"], ["cxr-pneumonia", "1.0.0"], ["cxr-gate", "1.0.0"],
    ]  # fmt: skip
    assert run("models", "show", "cxr-pneumonia").exit_code == 0
    assert run("models", "show", "nothing").exit_code == 78


def test_the_version() -> None:
    assert re.fullmatch(r"cxr-node, version \d+\.\d+\.\d+\S*\n", run("--version").stdout)


def test_check_offline_on_an_empty_folder_finds_nothing_wrong(folder: Path) -> None:
    (folder / "node.toml").write_text(f"[receive]\nport = {free_port()}\n")
    found = run("check", "--offline", "-c", "node.toml")
    assert found.exit_code == 0, found.stdout
    said = dict(line.split(": ", 1) for line in found.stdout.splitlines())
    assert said.keys() >= {"ok      configuration", "note    database", "ok      model", "ok      device"}
    assert said["note    database"] == "is not there yet; it will be made at the first start"
    assert said["note    mode"].endswith("no study is moved, and nothing is sent")
    assert not (folder / "var").exists()


@pytest.mark.parametrize(
    ("wanted", "answer", "status", "said"),
    [
        ("cpu", None, 0, "ok      device: cpu, as configured"),
        ("auto", "print('')", 0, "ok      device: cpu; torch finds no GPU"),
        ("auto", "print('NVIDIA H200')", 0, "ok      device: NVIDIA H200"),
        ("cuda", "print('')", 1, "failed  device: inference.device is cuda, and torch finds no GPU"),
        ("auto", "raise ImportError", 1, "failed  device: torch cannot be asked"),
    ],
)
def test_check_says_what_films_are_judged_on(
    monkeypatch: pytest.MonkeyPatch, wanted: str, answer: str | None, status: int, said: str
) -> None:
    monkeypatch.setattr(device_checks, "_ASK_TORCH", answer)
    Path("node.toml").write_text(f'[receive]\nport = {free_port()}\n[inference]\ndevice = "{wanted}"\n')
    found = run("check", "--offline", "-c", "node.toml")
    assert found.exit_code == status
    assert said in found.stdout


@pytest.mark.parametrize("arguments", [("deploy", "cxr-pneumonia"), ("status",), ("remove", "cxr-pneumonia:2.0.0")])
def test_a_pool_wants_ray_and_says_so(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    found = run("pool", *arguments)
    assert (found.exit_code, found.stdout) == (78, "")
    assert "install cxr-node[ray] on every machine of the pool" in found.stderr


@pytest.mark.parametrize("library", ["ray", "pyarrow", "pandas"])
def test_a_table_wants_ray_and_says_so(monkeypatch: pytest.MonkeyPatch, folder: Path, library: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "ray" or name == "cxr_node.pool.films"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    found = run("backfill", str(folder), "--ray", "--output", "results")
    assert (found.exit_code, found.stdout) == (78, "")
    assert "install cxr-node[ray] here, and on every machine that is to judge films" in found.stderr
    assert not (folder / "results").exists()


@pytest.mark.parametrize(
    ("known", "status", "said"),
    [(True, 0, "ok      device: cpu, by OpenVINO; logits agree with torch's to"), (False, 1, "It is not on record")],
)
def test_check_says_whether_a_model_is_computed_by_openvino(folder: Path, known: bool, status: int, said: str) -> None:
    models = folder / "models"
    shutil.copytree(build.builtin_directory(), models)
    if not known:
        (models / "cxr-pneumonia" / "2.0.0" / agreement.RECORD).unlink()
    (folder / "node.toml").write_text(
        f'[receive]\nport = {free_port()}\n[model]\ndirectory = "{models}"\n[inference]\nbackend = "openvino"\n'
    )
    found = run("check", "--offline", "-c", "node.toml")
    assert found.exit_code == status, found.stdout
    assert said in found.stdout


@pytest.mark.usefixtures("cpu")
def test_check_says_which_destinations_get_documents_from_a_shadow_node(folder: Path) -> None:
    peers = [("pacs", ""), ("research", 'mode = "full"')]
    tables = [f'[[destination]]\nname = "{name}"\nae_title = "A"\nhost = "h"\n{mode}\n' for name, mode in peers]
    (folder / "node.toml").write_text("".join(tables))
    said = run("check", "--offline", "-c", "node.toml").stdout
    assert "no study is moved, and documents are sent to research (full)\n" in said


def test_a_threshold_of_what_the_model_does_not_find_is_exit_status_78(folder: Path) -> None:
    (folder / "node.toml").write_text("[model]\nthresholds = { pneumonai = 0.9 }")
    found = run("serve", "-c", "node.toml")
    assert found.exit_code == 78
    assert "finds 'pneumonia', not 'pneumonai'" in found.stderr


def test_models_verify_tells_a_release_from_another_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = manifest.find(None, "cxr-pneumonia")
    monkeypatch.setattr(golden, "check", lambda _: None)
    assert f"is as released; digest {released.digest}" in run("models", "verify").stdout
    own = folder / "models" / "cxr-own" / "1.0.0"
    shutil.copytree(released.directory, own)
    metadata = own / build.METADATA
    metadata.write_text(metadata.read_text("utf-8").replace('"cxr-pneumonia"', '"cxr-own"'), "utf-8")
    (folder / "node.toml").write_text('[model]\ndirectory = "models"')
    assert "not a released model; digest" in run("models", "verify", "-c", "node.toml").stdout
    metadata.write_text(metadata.read_text("utf-8").replace('"cxr-own"', '"cxr-pneumonia"'), "utf-8")
    assert run("models", "verify", "-c", "node.toml").exit_code == 0
    metadata.write_text(metadata.read_text("utf-8") + " ", "utf-8")
    found = run("models", "verify", "-c", "node.toml")
    assert (found.exit_code, found.stdout) == (1, "")
    assert f"configs/metadata.json of the model cxr-pneumonia {released.version} is not as released" in found.stderr


@pytest.mark.usefixtures("cpu")
def test_check_names_what_failed(folder: Path) -> None:
    (folder / "node.toml").write_text(
        '[retention]\nwatermark_gigabytes = 1e9\n[[destination]]\nname = "pacs"\nae_title = "P"\nhost = "127.0.0.1"\n'
        "port = 1\n"
    )
    found = run("check", "-c", "node.toml")
    assert found.exit_code == 1
    failed = [line for line in found.stdout.splitlines() if line.startswith("failed")]
    assert len(failed) == 2
    assert "below the watermark of 1e+09 GB: films are refused" in failed[0]
    assert failed[1].startswith("failed  destination pacs: no association with pacs (P at 127.0.0.1:1)")


def test_status_is_shown_again_and_again_until_somebody_ends_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "var")
    keys.pseudonyms(bench.root, create=True)
    shown = tmp_path / "shown"
    with shown.open("wb") as stream:
        heeding = ["env", "--default-signal=INT"]  # who runs the tests in the background may have it ignored
        command = [*heeding, sys.executable, "-m", "cxr_node", "status", "--watch", "--every", "0.5"]
        watching = subprocess.Popen(command, cwd=tmp_path, stdout=stream)
        wait_for(lambda: shown.read_text().count("every 0.5 s; Ctrl-C ends it") >= 2, what="a second look")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 0
    assert shown.read_text().count("dead letters  0") >= 2


def test_what_is_watched_is_for_people(tmp_path: Path) -> None:
    Bench(tmp_path / "var")
    done = CliRunner().invoke(cli.main, ["status", "--watch", "--json"])
    assert (done.exit_code, "for people" in done.output) == (2, True)
