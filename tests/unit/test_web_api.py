"""What programs get: the same JSON as at the command line, health, metrics, and events as they happen."""

import asyncio
import json
import re
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from cxr_node import cli
from cxr_node.domain.job import NewJob
from cxr_node.domain.priority import Policy
from cxr_node.domain.reading import Actor
from cxr_node.inference.manifest import find
from cxr_node.store import events, jobs, reading, results, worklist
from cxr_node.store.worklist import Placed
from cxr_node.web.board import Board
from cxr_node.web.live import Live
from tests.bench import MODEL, Bench, analysis, header, study_uid
from tests.web import PSEUDONYMS, Web, post

POLICY = Policy(max_wait_seconds=60)
DOCUMENTED = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return Web(tmp_path)


def at_the_command_line(web: Web, *arguments: str) -> Any:
    file = web.root / "node.toml"
    file.write_text(f'[node]\ndata_dir = "{web.root}"\nmode = "full"\n[receive]\nport = 1\n')
    return json.loads(CliRunner().invoke(cli.main, [*arguments, "--json", "-c", str(file)]).stdout)


def test_the_worklist_is_the_one_of_the_command_line(web: Web) -> None:
    web.film(0.1, PatientID="Zoë")
    web.film(0.9)
    found = web.client().get("/api/worklist")
    assert found.headers["content-type"] == "application/json"
    assert found.json() == at_the_command_line(web, "worklist")
    assert [entry["tier"] for entry in found.json()] == ["high", "none"]


def test_a_study_is_the_one_of_the_command_line_by_either_name(web: Web) -> None:
    uid = web.film(0.9)
    expected = at_the_command_line(web, "study", uid)
    assert web.client().get(f"/api/studies/{uid}").json() == expected
    by_pseudonym = web.client().get(f"/api/studies/{PSEUDONYMS.study(uid)}").json()
    assert by_pseudonym["study_instance_uid"] == uid


def test_all_shows_what_has_left_the_list(web: Web) -> None:
    uid, client = web.film(0.9), web.client()
    with web.bench.store.transaction() as tx:
        tx.execute("UPDATE worklist_entry SET state = 'read'")
        events.append(tx, 0, "worklist.moved", uid)
    assert client.get("/api/worklist").json() == []
    assert [entry["state"] for entry in client.get("/api/worklist?all=1").json()] == ["read"]
    assert client.get("/api/worklist?all=yes").json()["error"] == "FORM_INVALID"


def test_a_study_is_taken_back_and_stands_again(web: Web) -> None:
    study = web.film(0.9)
    client = web.client()
    assert post(client, f"/api/studies/{study}/withdraw", reason=" ").json()["error"] == "REASON_MISSING"
    assert post(client, f"/api/studies/{study}/withdraw", reason="x" * 501).status_code == 400
    assert post(client, f"/api/studies/{study}/withdraw", reason="wrong patient").json() == {"done": True}
    assert client.get("/api/worklist").json() == []
    (entry,) = client.get("/api/worklist?all=1").json()
    assert (entry["state"], entry["reason"].endswith(": wrong patient")) == ("withdrawn", True)
    page = client.get(f"/studies/{PSEUDONYMS.study(study)}").text
    assert "Release: the study stands" in page
    assert post(client, f"/api/studies/{study}/reinstate").json() == {"done": True}
    assert [entry["state"] for entry in client.get("/api/worklist").json()] == ["analysed"]
    again = post(client, f"/api/studies/{study}/reinstate")
    assert (again.status_code, again.json()["error"]) == (409, "STUDY_NOT_HELD")


def test_readiness_is_503_while_films_are_not_analysed(web: Web) -> None:
    assert web.client().get("/readyz").status_code == 200
    web.ready.update(ready=False, analysing=False)
    answer = web.client().get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "listening": True, "analysing": False})


def test_metrics_say_what_the_database_knows(web: Web) -> None:
    web.film(0.9)
    web.film()
    text = web.client().get("/metrics").text
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["cxr_node_info", "1.2.3", f"cxr-pneumonia {find(None, 'cxr-pneumonia').version}", "full"] == 1
    assert found["cxr_node_ready",] == 0, "nothing listens at the port of this bench"
    assert found["cxr_node_studies", "analysed"] == 1
    assert found["cxr_node_studies", "waiting"] == 1
    assert found["cxr_node_jobs", "analyse", "ready"] == 1
    assert found["cxr_node_events_total", "instance.stored"] == 2
    assert found["cxr_node_analysis_seconds", "0.5"] is not None


def test_how_long_a_film_takes_says_nothing_of_models_beside_the_one_in_service(web: Web) -> None:
    web.film(0.9)
    text = web.client().get("/metrics").text
    with web.bench.store.transaction() as tx:
        (row,) = tx.rows("SELECT digest, received_at FROM instance")
        jobs.enqueue(tx, [NewJob("shadow", row["digest"], "b" * 64)], row["received_at"])
        beside = replace(analysis(0.1), model=replace(MODEL, digest="b" * 64))
        results.save(tx, row["digest"], beside, row["received_at"] + 3600)
    of_service = re.findall(r"cxr_node_analysis_seconds.*", text)
    assert of_service
    assert re.findall(r"cxr_node_analysis_seconds.*", web.client().get("/metrics").text) == of_service


def test_events_are_counted_on_and_not_anew(web: Web) -> None:
    client = web.client()
    for number in (1, 2, 3):
        web.film()
        text = client.get("/metrics").text
        assert f'cxr_node_events_total{{event="instance.stored"}} {number}.0' in text
    with web.bench.store.transaction() as tx:
        tx.execute("DELETE FROM event WHERE sequence < 4")
    assert 'event="instance.stored"} 3.0' in client.get("/metrics").text, "a counter never falls"


def test_no_metric_names_a_study_or_a_patient(web: Web) -> None:
    uid = web.film(0.9, PatientID="PID7QX")
    text = web.client().get("/metrics").text
    assert uid not in text
    assert PSEUDONYMS.study(uid) not in text
    assert "7QX" not in text


def test_every_metric_is_documented(web: Web) -> None:
    documented = DOCUMENTED.read_text("utf-8")
    names = [line.split()[2] for line in web.client().get("/metrics").text.splitlines() if line.startswith("# TYPE")]
    assert len(names) > 12
    assert [name for name in names if f"`{name}" not in documented] == []


def test_what_is_read_again_is_what_something_happened_to(tmp_path: Path) -> None:
    bench, asked = Bench(tmp_path), list[Any]()

    def places(closed: bool, only: Collection[str] | None) -> list[Placed]:
        asked.append(None if only is None else set(only))
        with bench.store.reading() as tx:
            return worklist.placed(tx, POLICY, bench.clock(), closed=closed, only=only)

    def arrive(number: int) -> None:
        with bench.store.transaction() as tx:
            worklist.arrive(tx, header(number), bench.clock())
            events.append(tx, 0, "instance.stored", study_uid(number))

    def happened(*names: str) -> None:
        with bench.store.transaction() as tx:
            for name in names:
                events.append(tx, 0, name)

    board = Board(bench.store, places, 60, bench.clock)
    arrive(1)
    for _ in range(3):
        assert [one["group"] for one in board.entries()] == ["arrival"]
    assert asked == [None]
    happened("worklist.viewed")
    board.entries()
    assert asked == [None], "that somebody looked changes nothing"
    bench.clock.turn(1)
    arrive(2)
    assert [one["position"] for one in board.entries()] == [1, 2]
    assert asked == [None, {study_uid(2)}]
    bench.clock.turn(59.5)
    assert [one["group"] for one in board.entries()] == ["overdue", "arrival"]
    with bench.store.transaction() as tx:
        worklist.freeze(tx, True, 0, "ana")
    board.entries()
    board.entries()
    assert asked == [None, {study_uid(2)}, None, None]
    with bench.store.transaction() as tx:
        reading.mark_read(tx, study_uid(1), Actor("ana"), 0)
    assert [one["study_instance_uid"] for one in board.entries()] == [study_uid(2)]
    assert board.text() == json.dumps(board.entries()).encode()
    assert [(entry or {}).get("state") for entry in map(board.entry, (study_uid(1), study_uid(2), "1"))] == [
        "read", "waiting", None,
    ]  # fmt: skip


# -- events


def happened(bench: Bench, *names: str, study: str | None = "1.2.3") -> None:
    with bench.store.transaction() as tx:
        for name in names:
            events.append(tx, bench.clock(), name, study, patient_id="P1")


async def reads(live: Live, last: int) -> None:
    """Until it knows the trail up to its last event."""
    while f"id: {last}\n" not in await anext(live.stream(None)):
        await asyncio.sleep(0.01)


async def told(
    live: Live, count: int, after: int | None, begun: Callable[[], object] = lambda: None
) -> list[dict[str, Any]]:
    """The next messages of a stream that are no comments."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        async for text in live.stream(after):
            begun()
            lines = dict(line.split(": ", 1) for line in text.strip().splitlines() if not line.startswith(":"))
            if "data" in lines:
                found.append(json.loads(lines["data"]) | {"id": lines["id"]})
            if len(found) == count:
                break
    return found


def test_events_are_told_as_they_happen_and_from_where_a_watcher_was(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def watch() -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
        live = Live(bench.store, PSEUDONYMS.study, look_seconds=0.01)
        running = asyncio.create_task(live.run())
        await reads(live, 1)
        begun = [asyncio.Event() for _ in range(2)]
        watching = [asyncio.create_task(told(live, 2, None, one.set)) for one in begun]
        await asyncio.gather(*(one.wait() for one in begun))
        happened(bench, "user.signed_in", "worklist.moved", "study.viewed", "document.sent")
        live.ring()
        both = [await one for one in watching]
        again = await told(live, 1, int(both[0][0]["id"]))
        running.cancel()
        return both[0], both[1], again

    happened(bench, "instance.stored")
    first, second, again = asyncio.run(watch())
    assert [one["event"] for one in first] == ["worklist.moved", "document.sent"], "not who looked or signed in"
    assert first == second
    assert again == first[1:]
    assert first[0]["study"] == PSEUDONYMS.study("1.2.3")
    assert "P1" not in json.dumps(first), "no details: whoever wants them asks"


@pytest.mark.parametrize("last", [1, 99], ids=["before", "of a database that is gone"])
def test_who_was_away_for_too_long_is_told_that_they_missed_something(tmp_path: Path, last: int) -> None:
    bench = Bench(tmp_path)
    happened(bench, "instance.stored", "instance.stored")

    async def watch() -> list[dict[str, Any]]:
        live = Live(bench.store, PSEUDONYMS.study, look_seconds=0.01)
        running = asyncio.create_task(live.run())
        await reads(live, 2)
        found = await told(live, 1, last)
        running.cancel()
        return found

    assert [one["event"] for one in asyncio.run(watch())] == ["missed"]
