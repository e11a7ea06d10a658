"""`cxr-node simulate` as people and scripts meet it."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from lxml import etree

from cxr_node import cli

QUICK = ("--runs", "3", "--days", "5")
STATED = ("--prevalence", "0.1", "--sensitivity", "0.9", "--specificity", "0.8")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CXR_NODE_CONFIG", raising=False)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["simulate", *arguments])


def told(*arguments: str) -> Any:
    found = run(*QUICK, "--json", *arguments)
    assert (found.exit_code, found.stderr) == (0, "")
    return json.loads(found.stdout)


def test_the_table_has_both_orders_and_the_change_for_each_group() -> None:
    found = run(*QUICK, *STATED)
    assert (found.exit_code, found.stderr) == (0, "")
    rows = [line.split()[:2] for line in found.stdout.splitlines()]
    first = rows.index(["studies", "order"]) + 1
    assert rows[first : first + 9 : 3] == [["critical", "arrival"], ["other", "arrival"], ["all", "arrival"]]
    assert [row[0] for row in rows[first + 1 : first + 9 : 3]] == ["node"] * 3
    assert "promoted: 90.0% of the critical, 20.0% of the others (as stated)" in found.stdout


def test_json_is_alone_on_standard_output_and_has_its_keys() -> None:
    found = told(*STATED)
    assert set(found) == {"site", "model", "load", "runs", "seed", "studies", "overdue", "turnaround_minutes"}
    assert set(found["site"]) == {
        "studies_per_day", "arrival_hours", "prevalence", "stat", "readers", "reading_hours", "reading_minutes",
        "reading_spread", "sensitivity", "specificity", "max_wait_minutes", "days",
    }  # fmt: skip
    assert (found["model"], found["runs"], found["seed"]) == ("as stated", 3, 1)
    assert found["load"] == pytest.approx(160 * 8 / 1440)
    assert set(found["turnaround_minutes"]) == {"arrival", "node", "change"}
    for groups in found["turnaround_minutes"].values():
        assert set(groups) == {"critical", "other", "all"}
        for measures in groups.values():
            assert set(measures) == {"mean", "median", "p95", "max"}
            for figures in measures.values():
                assert figures["low"] <= figures["value"] <= figures["high"]


def test_the_same_command_gives_the_same() -> None:
    assert told(*STATED) == told(*STATED)
    assert told(*STATED) != told(*STATED, "--seed", "2")


def test_every_option_reaches_the_site() -> None:
    site = told(
        *STATED, "--studies-per-day", "50", "--arrival-hours", "8-18", "--stat", "0.1", "--readers", "2",
        "--reading-hours", "7.5-20", "--reading-minutes", "5", "--reading-spread", "0.5", "--max-wait-minutes", "90",
    )["site"]  # fmt: skip
    assert site == {
        "studies_per_day": 50, "arrival_hours": [8, 18], "prevalence": 0.1, "stat": 0.1, "readers": 2,
        "reading_hours": [7.5, 20], "reading_minutes": 5, "reading_spread": 0.5, "sensitivity": 0.9,
        "specificity": 0.8, "max_wait_minutes": 90, "days": 5,
    }  # fmt: skip


def test_what_is_not_stated_is_the_configuration_s_and_the_card_s(folder: Path) -> None:
    stated = "[model]\nversion = '1.0.0'\nprevalence = 0.2\n[worklist]\nmax_wait_minutes = 77\n"
    (folder / "site.toml").write_text(stated)
    found = told("-c", "site.toml", "--films", "kermany")
    assert (found["site"]["prevalence"], found["site"]["max_wait_minutes"]) == (0.2, 77)
    assert found["site"]["sensitivity"] == pytest.approx(0.992, abs=5e-4)
    assert found["site"]["specificity"] == pytest.approx(0.823, abs=5e-4)
    assert found["model"] == "cxr-pneumonia:1.0.0 on its test films kermany"


def test_without_a_word_the_card_s_worst_test_films_count(folder: Path) -> None:
    (folder / "site.toml").write_text("[model]\nversion = '1.0.0'\n")
    found = told("-c", "site.toml")
    assert found["model"] == "cxr-pneumonia:1.0.0 on its test films nih_chestxray14, PA"
    assert (found["site"]["sensitivity"], found["site"]["prevalence"]) == (0.8, 0.05)
    assert "try worse figures, too" in run(*QUICK, "-c", "site.toml").stdout


def test_a_folder_gets_plot_csv_and_json(folder: Path) -> None:
    found = run(*QUICK, *STATED, "--json", "--out", "a/b")
    assert found.exit_code == 0
    assert found.stderr == "written: a/b/simulation.json, a/b/simulation.csv, a/b/simulation.svg\n"
    made = folder / "a" / "b"
    assert json.loads((made / "simulation.json").read_text()) == json.loads(found.stdout)
    with (made / "simulation.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 3 * 2 * 3
    means = [float(row["mean_minutes"]) for row in rows if (row["order"], row["group"]) == ("node", "critical")]
    node = json.loads(found.stdout)["turnaround_minutes"]["node"]["critical"]["mean"]["value"]
    assert sum(means) / 3 == pytest.approx(node, abs=0.01)
    assert etree.parse(made / "simulation.svg").getroot().tag.endswith("svg")


def test_a_folder_that_cannot_be_written_is_exit_status_1(folder: Path) -> None:
    (folder / "file").write_text("")
    found = run(*QUICK, *STATED, "--out", "file/below")
    assert found.exit_code == 1
    assert found.stderr == "OUTPUT_FOLDER: cannot write into file/below: Not a directory\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--arrival-hours", "18-8"], "write them as 8-18, the earlier first, at most 24"),
        (["--reading-hours", "8-25"], "'8-25' are no hours of a day"),
        (["--reading-hours", "always"], "'always' are no hours of a day"),
        (["--prevalence", "1.5"], "1.5 is not in the range 0<=x<=1"),
        (["--reading-minutes", "nan"], "'nan' is not a finite number"),
        (["--studies-per-day", "0"], "0.0 is not in the range 0<x<=1000000.0"),
        (["--readers", "0"], "0 is not in the range 1<=x<=10000"),
        (["--sensitivity", "0.9"], "give --sensitivity and --specificity together"),
        ([*STATED, "--films", "kermany"], "--films is for figures of the card"),
        (["--films", "nobody"], "has no test films 'nobody'; it has: "),
        (["--studies-per-day", "100000", *STATED], "600,000,000 studies in all are too many, 20,000,000 are the most"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_value_is_exit_status_2_with_a_sentence(arguments: list[str], sentence: str) -> None:
    found = run(*arguments)
    assert (found.exit_code, found.stdout) == (2, "")
    assert sentence in found.stderr


def test_a_site_with_thresholds_of_its_own_has_to_say_how_good_the_model_is_there(folder: Path) -> None:
    (folder / "site.toml").write_text("[model]\nversion = '1.0.0'\nthresholds = { pneumonia = 0.6 }\n")
    found = run("-c", "site.toml")
    assert (found.exit_code, found.stdout) == (2, "")
    assert "cxr-pneumonia:1.0.0 at a threshold of its own" in found.stderr
    assert told("-c", "site.toml", *STATED)["site"]["sensitivity"] == 0.9
