"""The shapes of `--json` that scripts rely on: every key of the contract, and its kind of value."""

import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cxr_node import cli
from cxr_node.domain.job import JobState, NewJob
from cxr_node.store import events, jobs, report_classes, results, worklist
from cxr_node.store.results import Written
from tests import films
from tests.bench import JUDGING, MODEL, NOON, Bench, add_result

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
WORKLIST = {
    "position", "study_instance_uid", "accession_number", "patient_id", "issuer_of_patient_id", "site", "state", "tier",
    "priority", "positive", "finding", "probability", "threshold", "reason", "received_at", "asked",
}  # fmt: skip
STUDY = {"study_instance_uid", "revision", "state", "instances", "results", "outputs", "deliveries", "events"}
STATUS = {
    "ready", "model", "device", "queues", "oldest_ready_seconds", "dead_letters", "disk_free_bytes", "destinations",
    "last_studies", "failed", "quarantined", "shadow", "web", "hub", "sites",
}  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A node's folder with one study that was judged, reported and not yet delivered, and one that was refused."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CXR_NODE_CONFIG", "node.toml")
    Path("node.toml").write_text(
        '[node]\ndata_dir = "."\nmode = "full"\n[receive]\nport = 1\n'
        '[[destination]]\nname = "pacs"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = 1\n'
    )
    bench = Bench(tmp_path)
    film = films.chest(AccessionNumber="A1")
    bench.send(film)
    bench.clock.turn(1)
    bench.send(films.leg())
    report(bench, film.StudyInstanceUID)
    return bench


def report(bench: Bench, study: str) -> None:
    """Judge the film that waits; its report could not be delivered yet, and another job has failed."""
    with bench.store.transaction() as tx:
        (job,) = jobs.claim(tx, "analyse", "one", NOON + 1, 300)
        add_result(tx, job.subject, 0.9)
        jobs.finish(tx, job, JobState.DONE, NOON + 1)
        worklist.refresh(tx, study, JUDGING, NOON + 1)
        results.add_document(tx, Written("1.2.9", study, 1, "full", "sr", "1.2", "1.2.8", "outbox/1.2.9.dcm"), NOON)
        results.add_delivery(tx, "1.2.9", "pacs")
        jobs.enqueue(tx, [NewJob("deliver", "1.2.9", "pacs"), NewJob("compare", "x")], NOON)
        (delivery,) = jobs.claim(tx, "deliver", "one", NOON, 300)
        jobs.retry(tx, delivery, NOON + 60, NOON, error_code="UNREACHABLE", error="the PACS is away")
        (failed,) = jobs.claim(tx, "compare", "one", NOON, 300)
        jobs.finish(tx, failed, JobState.FAILED, NOON, error_code="X", error="x")


def run(*arguments: str, status: int = 0) -> Any:
    """What a command prints, as JSON."""
    result = CliRunner().invoke(cli.main, arguments)
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def test_worklist(bench: Bench) -> None:
    judged, refused = run("worklist", "--json")
    assert judged.keys() >= WORKLIST
    assert refused.keys() >= WORKLIST
    assert (judged["position"], judged["state"], judged["tier"], judged["positive"]) == (1, "analysed", "high", True)
    assert (judged["finding"], judged["probability"], judged["threshold"]) == ("pneumonia", 0.9, 0.3)
    assert (judged["accession_number"], judged["priority"], judged["reason"]) == ("A1", None, None)
    assert ISO.fullmatch(judged["received_at"])
    assert (refused["state"], refused["tier"], refused["probability"]) == ("not_analysed", "none", None)
    assert "'LEG'" in refused["reason"]


def test_worklist_of_nothing_is_an_empty_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Bench(tmp_path / "var")
    assert run("worklist", "--json") == []


def test_worklist_shows_closed_entries_on_request(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        tx.execute("UPDATE worklist_entry SET state = 'read' WHERE tier = 'high'")
    assert [entry["state"] for entry in run("worklist", "--json")] == ["not_analysed"]
    assert {entry["state"] for entry in run("worklist", "--json", "--all")} == {"read", "not_analysed"}


def test_study(bench: Bench) -> None:
    uid = run("worklist", "--json")[0]["study_instance_uid"]
    found = run("study", uid, "--json")
    assert found.keys() >= STUDY
    assert (found["study_instance_uid"], found["revision"], found["state"]) == (uid, 0, "analysed")
    (instance,) = found["instances"]
    assert (instance["state"], instance["refusal"]) == ("current", None)
    (result,) = found["results"]
    assert (result["model"], result["version"]) == (MODEL.name, MODEL.version)
    assert (result["finding"], result["probability"]) == ("pneumonia", 0.9)
    assert sum(result["probabilities"].values()) == pytest.approx(1)
    (output,) = found["outputs"]
    assert (output["kind"], output["sop_instance_uid"], output["path"]) == ("sr", "1.2.9", "outbox/1.2.9.dcm")
    (delivery,) = found["deliveries"]
    assert (delivery["destination"], delivery["state"], delivery["attempts"]) == ("pacs", "pending", 1)
    assert delivery["error"] == "the PACS is away"
    assert [event["event"] for event in found["events"]] == ["instance.stored", "worklist.moved"]
    assert all(ISO.fullmatch(event["time"]) for event in found["events"])


def test_status(bench: Bench) -> None:
    found = run("status", "--json", status=1)
    assert found.keys() >= STATUS
    assert found["ready"] is False
    assert found["queues"]["deliver"] == {"ready": 1, "running": 0, "failed": 0}
    assert found["dead_letters"] == 1
    (pacs,) = found["destinations"]
    assert pacs.pop("lag_seconds") > 0
    assert pacs == {
        "name": "pacs", "reachable": False, "pending": 1, "uncommitted": 0, "overdue": 0,
        "sr_class": "comprehensive_3d", "sr_class_wanted": "comprehensive_3d",
    }  # fmt: skip
    assert found["oldest_ready_seconds"] > 0
    assert found["disk_free_bytes"] > 0
    (failed,) = found["failed"]
    assert (failed["kind"], failed["subject"], failed["code"], failed["error"]) == ("compare", "x", "X", "x")
    assert ISO.fullmatch(failed["failed_at"])


def test_status_says_where_the_pages_are_or_why_not(bench: Bench) -> None:
    assert run("status", "--json", status=1)["web"]["state"] == "loading"
    with bench.store.transaction() as tx:
        events.append(tx, NOON, "node.started")
        events.append(tx, NOON, "web.unavailable", code="WEB_PORT", reason="the port is taken")
    known = {"state": "unavailable", "reason": "the port is taken", "address": "http://127.0.0.1:8080/"}
    assert run("status", "--json", status=1)["web"] == known
    assert "web page      unavailable (the port is taken)" in CliRunner().invoke(cli.main, ["status"]).stdout
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = Path("node.toml").read_text().replace("port = 1\n", f"port = {listener.getsockname()[1]}\n", 1)
        Path("node.toml").write_text(config)
        with bench.store.transaction() as tx:
            events.append(tx, NOON + 1, "web.ready", device="http")
        assert "web page      ready at http://127.0.0.1:8080/" in CliRunner().invoke(cli.main, ["status"]).stdout
        Path("node.toml").write_text(f"{config}[web]\nenabled = false\n")
        assert run("status", "--json", status=1)["web"] == {"state": "off", "reason": None, "address": None}


def test_status_says_in_which_class_a_destination_takes_reports(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        report_classes.record(tx, "pacs", "comprehensive_3d", "enhanced", time.time())
    (pacs,) = run("status", "--json", status=1)["destinations"]
    assert (pacs["sr_class"], pacs["sr_class_wanted"]) == ("enhanced", "comprehensive_3d")
    shown = CliRunner().invoke(cli.main, ["status"]).stdout
    assert re.search(r"^pacs +no .* enhanced \(comprehensive_3d refused\)$", shown, re.MULTILINE)


def test_status_has_the_newest_studies_and_what_was_kept_aside(bench: Bench) -> None:
    for number in range(1010, 1015):
        bench.clock.turn(1)
        bench.send(films.leg(number))
    bench.send(b"no film")
    found = run("status", "--json", status=1)
    newest = found["last_studies"]
    assert len(newest) == 5
    assert [study["received_at"] for study in newest] == sorted((s["received_at"] for s in newest), reverse=True)
    assert newest[0] == {
        "study_instance_uid": str(films.leg(1014).StudyInstanceUID),
        "state": "not_analysed",
        "tier": "none",
        "received_at": "2026-01-01T12:00:06.000Z",
    }
    assert found["quarantined"] == {"objects": 1, "films": 0}


@pytest.mark.parametrize("command", [["worklist"], ["status"], ["study", "1.2.3"]])
def test_a_command_that_fails_leaves_standard_output_to_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("node.toml").write_text("[node]\nmode = 'fast'")
    result = CliRunner().invoke(cli.main, [*command, "--json", "-c", "node.toml"])
    assert (result.exit_code, result.stdout) == (78, "")
    assert result.stderr.startswith("configuration: node.toml: 1 mistake")
