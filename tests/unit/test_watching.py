"""What is seen of a model over the weeks: told when it moves, written down each week, begun anew at a person's word."""

import json
import random
import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from cxr_node import cli, keys, watching
from cxr_node.config import Config
from cxr_node.domain.finding import Analysis
from cxr_node.inference import manifest
from cxr_node.locale import LANGUAGES
from cxr_node.plan import Plan
from cxr_node.store import measures, results, settings
from cxr_node.store import watching as seen
from cxr_node.watch.page import page
from cxr_node.watch.survey import week_of
from tests.bench import NOON, Bench, add_film, digest, study_uid

DAY = 86400.0
MODEL = manifest.find(None, "cxr-pneumonia")
ROOM = "ROOM1"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path / "node")
    keys.pseudonyms(made.root, create=True)
    return made


@pytest.fixture
def plan(bench: Bench) -> Plan:
    return Plan.of(config(bench))


def config(bench: Bench) -> Config:
    return Config.model_validate({"node": {"data_dir": bench.root, "institution": "Example"}})


def judge(
    bench: Bench, first: int, count: int, day: float, *, middle: float = 0.3, mean: float = 0.5, room: str = ROOM
) -> None:
    """So many films on a day after noon of the first, judged around `middle`, of a brightness around `mean`."""
    generator = random.Random(first)
    with bench.store.transaction() as tx:
        for number in range(first, first + count):
            at = NOON + day * DAY + (number - first) * 60
            add_film(tx, number, at=at, station_name=room)
            probability = min(0.99, max(0.01, generator.gauss(middle, 0.1)))
            said = Analysis(
                MODEL.identity, "pneumonia", probability, {"none": 1 - probability, "pneumonia": probability}, ((0.0,),)
            )
            results.save(tx, digest(number), said, at + 2.0)
            measures.save(tx, digest(number), generator.gauss(mean, 0.05), 0.2)


def a_month(bench: Bench, room: str = ROOM, first: int = 0) -> None:
    for day in range(28):
        judge(bench, first + day * 20, 20, day, room=room)


def test_nothing_judged_is_nothing_to_say(bench: Bench, plan: Plan) -> None:
    (model,) = watching.look(plan, bench.store, NOON)["models"]
    assert (model["reference"], model["machines"], model["agreement"]) == (None, [], [])


def test_the_first_month_is_what_later_weeks_are_compared_with(bench: Bench, plan: Plan) -> None:
    a_month(bench)
    judge(bench, 1000, 100, 29)
    found = watching.look(plan, bench.store, NOON + 30 * DAY)
    (model,) = found["models"]
    assert (model["reference"]["films"], model["reference"]["whole"]) == (560, True)
    every, room = model["machines"]
    assert (every["machine"], room["machine"]) == ("all", ROOM)
    assert room["past_7_days"]["films"] == 100
    assert room["past_7_days"]["seconds"]["median"] == pytest.approx(2.0)
    assert {shift["verdict"] for shift in room["past_7_days"]["shifts"].values()} == {"steady"}
    assert sum(room["classes"]["reference"]) == 560
    assert found["moved"] == []


def test_a_machine_that_draws_darker_films_is_found_and_the_other_is_not_blamed(bench: Bench, plan: Plan) -> None:
    a_month(bench)
    a_month(bench, "ROOM2", 100_000)
    judge(bench, 1000, 100, 29, mean=0.4, middle=0.45)
    judge(bench, 200_000, 100, 29, room="ROOM2")
    with capture_logs() as logs:
        found = watching.watch(plan, bench.store, NOON + 30 * DAY)
    moved = {(one["machine"], one["measure"]) for one in found["moved"]}
    assert {(ROOM, "mean"), (ROOM, "probability")} <= moved
    assert not {one for one in moved if one[0] == "ROOM2"}
    told = [entry for entry in logs if entry["event"] == "model.drifted"]
    assert {(entry["machine"], entry["measure"]) for entry in told} == moved
    with bench.store.reading() as tx:
        kept = settings.get(tx, watching.DRIFT, [])
    assert {(one["machine"], one["measure"]) for one in kept if one["verdict"].startswith("moved")} == moved


def test_the_same_is_told_once_a_week(bench: Bench, plan: Plan) -> None:
    a_month(bench)
    judge(bench, 1000, 100, 29, mean=0.4)
    for day in (30, 31, 32):
        watching.watch(plan, bench.store, NOON + day * DAY)
    assert bench.events().count("model.drifted") == 2, "all machines and this one"
    judge(bench, 2000, 100, 37, mean=0.4)
    watching.watch(plan, bench.store, NOON + 38 * DAY)
    assert bench.events().count("model.drifted") == 4


def test_each_week_has_its_report(bench: Bench, plan: Plan) -> None:
    a_month(bench)
    for day in range(29, 45):
        watching.watch(plan, bench.store, NOON + day * DAY)
    names = sorted(path.name for path in watching.reports_of(bench.root).iterdir())
    weeks = {week_of(NOON + (day - 7) * DAY, ZoneInfo("UTC")) for day in range(29, 45)}
    assert names == sorted(f"model-watch-{week}.html" for week in weeks)
    assert bench.events().count("drift.reported") == len(weeks)


def test_a_new_reference_is_a_persons_word(bench: Bench, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    a_month(bench)
    judge(bench, 1000, 100, 29, mean=0.4)
    with bench.store.transaction() as tx:
        seen.begin_anew(tx, MODEL.digest, NOON + 29 * DAY, by="jane", reason="new detector", now=NOON + 30 * DAY)
    found = watching.look(plan, bench.store, NOON + 30 * DAY)
    assert found["moved"] == []
    assert (found["models"][0]["reference"]["films"], found["models"][0]["reference"]["whole"]) == (100, False)
    assert "drift.accepted" in bench.events()


def test_refused_and_unusual_shares(bench: Bench, plan: Plan) -> None:
    a_month(bench)
    judge(bench, 1000, 100, 29)
    with bench.store.transaction() as tx:
        tx.execute("UPDATE instance SET refusal_code = 'VIEW' WHERE received_at > ?", (NOON + 29 * DAY + 3000,))
    week = watching.look(plan, bench.store, NOON + 30 * DAY)["models"][0]["machines"][1]["past_7_days"]
    assert week["refused"]["count"] == 49
    assert week["shifts"]["refused"]["verdict"] == "moved_much"


def test_final_reports_give_sensitivity_and_specificity(bench: Bench, plan: Plan) -> None:
    judge(bench, 0, 40, 0, middle=0.7)
    judge(bench, 100, 60, 8, middle=0.1)
    with bench.store.transaction() as tx:
        for number in range(40):
            seen.label(tx, study_uid(number), True, "jane", NOON)
        for number in range(100, 160):
            seen.label(tx, study_uid(number), number < 105, "jane", NOON)
    every, *weeks = watching.look(plan, bench.store, NOON + 20 * DAY)["models"][0]["agreement"]
    assert (every["week"], every["studies"]) == ("all", 100)
    assert (every["sensitivity"]["of"], every["specificity"]["of"]) == (45, 55)
    assert every["sensitivity"]["count"] >= 39
    assert every["specificity"]["count"] == 55
    assert [one["week"] for one in weeks] == ["2026-W01", "2026-W02"]


def test_the_report_is_one_page_that_names_no_patient(bench: Bench, plan: Plan) -> None:
    a_month(bench, room="<b>ROOM & 1</b>")
    judge(bench, 1000, 100, 29, mean=0.4, room="<b>ROOM & 1</b>")
    text = page(watching.look(plan, bench.store, NOON + 30 * DAY), "en")
    assert "Something moved" in text
    assert "What the model says" in text
    assert "&lt;b&gt;ROOM &amp; 1&lt;/b&gt;" in text
    assert "<b>ROOM" not in text
    assert text.count("<svg") == 2
    assert "http" not in text.replace("http://www.w3.org", "")


def words(page: str) -> set[str]:
    """The texts that a reader sees, without what is a value."""
    texts = re.findall(r">([^<>]+)<", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL))
    return {text for each in texts if re.search(r"[A-Za-z]{3}", text := re.sub(r"[\s:]+", " ", each).strip(" (),"))}


def test_the_report_is_in_the_language_of_the_node(bench: Bench) -> None:
    a_month(bench)
    judge(bench, 1000, 100, 29, mean=0.4)
    with bench.store.transaction() as tx:
        seen.label(tx, study_uid(1), True, "jane", NOON)
    site = {"data_dir": bench.root, "institution": "Example"}
    pages = {}
    for language in LANGUAGES:
        plan = Plan.of(Config.model_validate({"node": {**site, "language": language}}))
        found = watching.look(plan, bench.store, NOON + 30 * DAY)
        pages[language] = watching.write_report(plan.config, found).read_text("utf-8")
        assert f'<html lang="{language}">' in pages[language]
    assert "Algo ha cambiado." in pages["es"]
    assert "1 of 1)" in pages["en"] or "0 of 1)" in pages["en"]
    assert "1 de 1)" in pages["es"] or "0 de 1)" in pages["es"]
    same = words(pages["en"]) & words(pages["es"])
    assert {each for each in same if not each.startswith((ROOM, "2026-W", "cxr-pneumonia"))} == set()


def test_the_commands(bench: Bench, tmp_path: Path) -> None:
    a_month(bench)
    judge(bench, 1000, 100, 29, mean=0.4)
    file = tmp_path / "node.toml"
    file.write_text(f'[node]\ndata_dir = "{bench.root}"\n')

    def run(*arguments: str, status: int = 0) -> str:
        done = CliRunner().invoke(cli.main, [*arguments, "-c", str(file)])
        assert done.exit_code == status, done.output
        return done.output

    with bench.store.transaction() as tx:
        tx.execute(
            "INSERT INTO worklist_entry (study_instance_uid, accession_number, state, tier, received_at) "
            "VALUES (?, 'A1', 'read', 'none', ?)",
            (study_uid(1), NOON),
        )
    assert "1 studies are labelled" in run("label", study_uid(1), "positive")
    (tmp_path / "truth.csv").write_text("accession,label\nA1,negative\nA2,positive\n")
    assert "1 studies are labelled; 1 are not known here" in run("label", "--csv", str(tmp_path / "truth.csv"))
    assert bench.rows("SELECT positive FROM truth") == [{"positive": 0}]
    assert "STUDY_UNKNOWN" in run("label", "9.9", "positive", status=1)
    assert "give a study" in run("label", status=2)
    shown = run("drift", "--html", str(tmp_path / "report.html"))
    assert "cxr-pneumonia 2.0.0 (service), compared with 560 films from 2026-01-01" in shown
    assert "against 1 final reports" in shown
    assert (tmp_path / "report.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    assert json.loads(run("drift", "--json")).keys() == {"made_at", "site", "week", "models", "moved"}
    assert "28 days" in run("drift", "--accept", "new detector")
    assert "it has judged no film here" not in run("drift")
