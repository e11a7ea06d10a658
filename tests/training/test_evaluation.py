"""Evaluation of runs, cascades and released models, the report, and the table of reproduction."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cxr_node.errors import ConfigError, Transient
from cxr_node.inference import manifest
from cxr_node.inference.calibration import Calibration
from tests.training.runs import small_recipe
from training import recipe as recipes
from training import reproduce
from training.assess import assess, choose, plain
from training.cli import commands
from training.data import Film, read_manifest
from training.evaluation import evaluate, judged
from training.files import write_text
from training.fit import fit
from training.reading import FINDING, KIND, Question, Reading
from training.recipe import Recipe
from training.reproduce import Bench, Budget, in_order
from training.run import Run
from training.scaling import Scaling
from training.subject import Cascade, open_subject
from training.table import joined, markdown, rows

pytestmark = pytest.mark.training

LABELS = ("normal", "bacterial_pneumonia", "viral_pneumonia")


def test_a_run_is_evaluated_on_its_own_sources_and_elsewhere(films: list[Film], runs: Path) -> None:
    found = evaluate(open_subject(runs / "000-cnn"), films)
    question = found["questions"]["classes"]
    assert found["data"]["films"] == question["films"] == 12
    assert question["accuracy"]["value"] > 0.6, "chance is a third"
    assert found["accuracy"] == question["accuracy"]
    assert np.trace(question["confusion"]) / 12 == question["accuracy"]["value"]
    assert question["by_class"]["viral"]["points"][0]["wanted"] == 0.95
    assert question["subgroups"]["source"].keys() == {"kermany"}
    assert question["subgroups"]["age"].keys() == {"adult", "paediatric"}
    assert found["elsewhere"].keys() == {"nih_chestxray14"}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_two_stages_are_one_cascade(films: list[Film], runs: Path) -> None:
    subject = open_subject(runs / "002-vgg16-kind")
    assert isinstance(subject, Cascade)
    cascade, first = subject.read(judged(subject, films, "test"))
    assert cascade.question.classes == ("normal", "bacterial", "viral")
    probabilities = np.exp(cascade.logits)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(12))
    assert probabilities[:, 0] == pytest.approx(np.exp(first.logits[:, 0]) / np.exp(first.logits).sum(axis=1))
    assert np.array_equal(cascade.called == 0, first.called == 0)
    found = evaluate(subject, films)["questions"]["classes"]
    assert found["by_class"]["pneumonia"]["points"][0]["wanted"] == 0.99, "document 002's operating point"


def test_a_second_stage_without_the_first_is_refused(films: list[Film], runs: Path, tmp_path: Path) -> None:
    (tmp_path / "002-vgg16-kind").symlink_to(runs / "002-vgg16-kind")
    copy = tmp_path / "alone" / "002-vgg16-kind"
    copy.mkdir(parents=True)
    for path in (runs / "002-vgg16-kind").iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ConfigError, match=r"is a second stage, and .* holds no finished run of the first"):
        open_subject(copy)


def test_a_released_model_answers_both_questions(films: list[Film]) -> None:
    model = manifest.find(None, "cxr-pneumonia", "1.0.0")
    subject = open_subject(model.directory)
    finding, kind = subject.read(films[:12])
    assert (finding.question, kind.question) == (FINDING, KIND)
    calibration = model.outputs.calibration
    assert isinstance(calibration, Calibration)
    assert finding.scaling == Scaling((calibration.finding_scale,) * 2, (0.0, calibration.finding_bias))
    probability = finding.scaling.probabilities(finding.logits)[:, 1]
    assert np.array_equal(finding.called == 1, probability >= model.points.threshold)
    assert np.exp(kind.logits).sum(axis=1) == pytest.approx(np.ones(12))
    assert np.exp(kind.logits[:, 0]) == pytest.approx(1 - probability)


def test_a_patient_that_was_trained_on_is_not_tested_on(films: list[Film], runs: Path) -> None:
    moved = [replace(film, split="test") if film.split == "train" else film for film in films]
    with pytest.raises(ConfigError, match=r"30 patients of these films .* in another split when .* was trained: p"):
        evaluate(open_subject(runs / "000-cnn"), [film for film in moved if film.source == "kermany"])


def test_films_that_no_question_concerns_are_refused(films: list[Film], runs: Path) -> None:
    subject = open_subject(runs / "000-cnn")
    with pytest.raises(ConfigError, match="no film in the split 'test'"):
        evaluate(subject, [film for film in films if film.split == "train"])
    with pytest.raises(ConfigError, match="There is no film of normal, bacterial, viral"):
        evaluate(subject, [replace(film, label="covid19", source="other") for film in films])


def test_without_validation_films_nothing_is_calibrated_and_it_says_so(films: list[Film], runs: Path) -> None:
    subject = open_subject(runs / "000-cnn")
    for kept, why in (
        ([film for film in films if film.split != "val"], "There is no film in the split 'val'"),
        ([film for film in films if film.split != "val" or film.label == "normal"], "show no 'bacterial'"),
    ):
        question = evaluate(subject, kept)["questions"]["classes"]
        assert why in question["validation"]
        assert "after" not in question
        assert "points" not in question["by_class"]["normal"]


def _reading(called: list[int], targets: list[int], logits: list[list[float]]) -> Reading:
    question = Question("classes", ("no", "yes"), {"normal": 0, "viral_pneumonia": 1})
    named = ("normal", "viral_pneumonia")
    shown = tuple(Film(Path(f"{n}.png"), "a", f"p{n}", named[t], "PA", "test") for n, t in enumerate(targets))
    return Reading(question, shown, np.array(logits), np.array(called))


def test_a_model_that_learned_the_majority_class_is_called_so() -> None:
    reading = _reading([1] * 10, [0, 1] * 5, [[0.0, float(n)] for n in range(10)])
    found = assess(reading, None)
    assert found["majority"]["note"] == "100 % of the films are called yes: only one class was learned."
    assert found["accuracy"].value == found["majority"]["accuracy"] == 0.5
    mixed = assess(_reading([0, 1] * 5, [0, 1] * 5, [[0.0, float(n)] for n in range(10)]), None)
    assert not mixed["majority"]["note"]


def test_predictive_values_follow_the_prevalence() -> None:
    targets = [0] * 10 + [1] * 10
    logits = [[0.0, value] for value in [-2.0] * 8 + [2.0] * 2 + [2.0] * 9 + [-2.0]]
    reading = _reading([0] * 20, targets, logits)
    chosen = choose(reading, (0.9,))
    for prevalence in (None, 0.5, 0.1):
        point = assess(reading, chosen, prevalence)["by_class"]["yes"]["points"][0]
        share = prevalence or 0.5
        assert point["sensitivity"].value == 0.9
        assert point["specificity"].value == 0.8
        assert point["ppv"].value == pytest.approx(0.9 * share / (0.9 * share + 0.2 * (1 - share)))
        assert point["npv"].value == pytest.approx(0.8 * (1 - share) / (0.8 * (1 - share) + 0.1 * share))


def test_what_cannot_be_measured_is_null() -> None:
    found = plain(assess(_reading([1] * 4, [1] * 4, [[0.0, 1.0]] * 4), None))
    assert found["by_class"]["yes"]["roc_auc"] == {"value": None, "low": None, "high": None}
    assert found["subgroups"] == {"source": {}}, "four films are too few for a subgroup"


def test_the_command_writes_results_and_a_page(films: list[Film], runs: Path, tmp_path: Path) -> None:
    data = str(films[0].path.parent)
    place = ("--manifest", data, "--out", str(tmp_path / "out"))
    for subject in (runs / "000-cnn", manifest.find(None, "cxr-pneumonia", "1.0.0").directory):
        done = CliRunner().invoke(commands, ["evaluate", str(subject), *place, "--prevalence", "0.1"])
        assert done.exit_code == 0, done.output
        page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
        assert page.count("<svg") >= 3
        assert "src=" not in page
        assert "http" not in page.replace("http://www.w3.org", "")
        assert "accuracy" in done.output
    alone = CliRunner().invoke(commands, ["evaluate", str(manifest.find(None, "cxr-pneumonia").directory), *place[:2]])
    assert alone.exit_code == 2
    assert "--out" in alone.output


def test_recipes_come_after_those_that_they_need() -> None:
    assert list(in_order(["002-vgg16-kind", "004-xception-pretrained"])) == [
        "002-vgg16-finding", "002-vgg16-kind", "004-xception-union", "004-xception-pretrained",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="reproduces no document"):
        in_order(["cxr-pneumonia-1.0"])


def test_films_stand_in_where_the_documents_are_not_at_hand(films: list[Film]) -> None:
    binary = recipes.load(recipes.shipped()["004-xception-binary"])
    recipe, says = reproduce.at_hand(binary, films)
    assert recipe.data.sources == ("nih_chestxray14", "kermany")
    assert "stand in for the competition's" in says
    assert reproduce.at_hand(binary, [replace(films[0], source="siim")]) == (binary, "")
    with pytest.raises(ConfigError, match=r"No film of siim is at hand\. No set at hand says typical"):
        reproduce.at_hand(recipes.load(recipes.shipped()["004-xception-4-classes"]), films)


def test_a_table_has_a_row_for_every_system_whatever_became_of_it(films: list[Film], tmp_path: Path) -> None:
    wanted = {
        "000-cnn": small_recipe("000-cnn"),
        "000-lenet5": small_recipe("000-lenet5", fit=small_recipe("000-cnn").fit.model_copy(update={"epochs": 40})),
        "003-densenet121-v1": small_recipe(
            "003-densenet121-v1", weights_sha256="a639ec97", network="densenet121", options={}
        ),
        "004-xception-4-classes": recipes.load(recipes.shipped()["004-xception-4-classes"]),
    }
    said: list[str] = []
    bench = Bench(films, tmp_path / "none", tmp_path, Budget(limit=6, epochs=3), "cpu", said.append)
    failed = reproduce.reproduce(wanted, bench)
    assert failed.keys() == {"003-densenet121-v1", "004-xception-4-classes"}
    assert any("from scratch. The public weights" in each for each in said)
    found = {row.recipe: row for row in rows(wanted, tmp_path, failed)}
    assert list(found) == list(wanted)
    assert found["000-cnn"].ours is not None
    assert found["000-cnn"].epochs == (3, 12)
    assert any(note.startswith("reduced: at most 6 films") for note in found["000-cnn"].notes)
    assert found["000-cnn"].command == "cxr-train reproduce 000-cnn --limit 6 --epochs 3"
    assert "tested on 12 films" in found["000-cnn"].data, "the budget is of training films"
    assert found["000-lenet5"].ours is None
    assert any("smoke run" in note for note in found["000-lenet5"].notes)
    assert found["004-xception-4-classes"].ours is None
    assert "nothing can stand in" in found["004-xception-4-classes"].notes[0]
    page = markdown(list(found.values()), {"made": "today"})
    assert page.count("\n| 0") == 4
    assert "| 000 | plain CNN on 256 x 256 | 0.82 | " in page
    unread = rows(
        {"000-cnn": small_recipe("000-cnn")},
        tmp_path / "none",
        {"000-cnn": "The film (/a/b/c.png) is bad: https://x.org/y."},
    )
    assert unread[0].notes == ("The film (c.png) is bad: https://x.org/y.",), "the page names no folder of a machine"
    said.clear()
    reproduce.reproduce({"000-cnn": wanted["000-cnn"]}, bench)
    assert said == ["000-cnn"], "what is done is not done again"


def test_a_run_goes_on_where_its_minutes_ended(films: list[Film], tmp_path: Path) -> None:
    recipe = small_recipe("000-cnn")
    fit(recipe, films, whole := Run(tmp_path / "whole"))
    fit(recipe, films, cut := Run(tmp_path / "cut"), minutes=0)
    assert cut.finished, "it has the weights so far"
    assert cut.epochs_done == 0
    fit(recipe, films, cut, minutes=10)
    straight, resumed = whole.state(), cut.state()
    assert all(np.array_equal(resumed[name], straight[name]) for name in straight)


def _frozen(**changes: Any) -> Recipe:
    """A small recipe of which only the head learns."""
    content = recipes.load(recipes.shipped()["003-densenet121-v1"]).model_dump()
    content |= {"size": 32, "data": {}, "classes": {"normal": ["normal"], "ill": list(LABELS[1:])}}
    content["fit"] |= {"warm_up_epochs": 3, "batch": 8}
    return Recipe.model_validate(content | changes)


@pytest.mark.parametrize("variants", [None, 3])
def test_frozen_networks_compute_their_features_once(films: list[Film], tmp_path: Path, variants: int | None) -> None:
    recipe = _frozen(jitter={"flip": 0.5} if variants else None)
    fit(recipe, films, whole := Run(tmp_path / "whole"), limit=9, variants=variants)
    fit(recipe, films, part := Run(tmp_path / "part"), limit=9, epochs=2, variants=variants)
    killed = Run(tmp_path / "killed")
    killed.directory.mkdir()
    killed.checkpoint.write_bytes(part.checkpoint.read_bytes())
    fit(recipe, films, killed, limit=9, variants=variants)
    straight, resumed = whole.state(), killed.state()
    assert all(np.array_equal(resumed[name], straight[name]) for name in straight)
    assert whole.conditions().variants == variants
    assert [entry["validation loss"] for entry in whole.history()] == pytest.approx(
        [entry["validation loss"] for entry in killed.history()]
    )


def test_the_table_can_be_made_of_what_is_there(films: list[Film], runs: Path, tmp_path: Path) -> None:
    place = ["--data", str(films[0].path.parent), "--runs", str(runs), "--out", str(tmp_path), "--only-table"]
    done = CliRunner().invoke(commands, ["reproduce", *place])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "reproduction.json").read_text(encoding="utf-8"))["rows"]
    documents = [name for name, path in recipes.shipped().items() if recipes.load(path).published]
    assert {row["recipe"] for row in found} == set(documents)
    assert all(row["notes"] for row in found if row["ours"] is None), "a row without a figure says why"
    four = next(row for row in found if row["recipe"] == "004-xception-4-classes")
    assert "nothing can stand in" in four["notes"][0]


def test_a_table_keeps_the_rows_of_systems_trained_elsewhere(films: list[Film], runs: Path, tmp_path: Path) -> None:
    place = ["--data", str(films[0].path.parent), "--out", str(tmp_path), "--only-table"]

    def table(*more: str) -> dict[str, dict[str, Any]]:
        done = CliRunner().invoke(commands, ["reproduce", *more, *place])
        assert done.exit_code == 0, done.output
        return {row["recipe"]: row for row in json.loads((tmp_path / "reproduction.json").read_text())["rows"]}

    first = table("--runs", str(runs))
    assert first["000-cnn"]["done"], "a run is there"
    assert table("--runs", str(tmp_path / "none")) == first, "no run is there"
    assert table("--runs", str(tmp_path / "none"), "000-lenet5") == first, "nor was it asked for"
    (tmp_path / "fewer").mkdir()
    copytree(runs / "000-cnn", tmp_path / "fewer" / "000-cnn")
    log = tmp_path / "fewer" / "000-cnn" / "log.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:1]))
    again = table("--runs", str(tmp_path / "fewer"), "000-cnn")
    assert list(again) == list(first)
    assert {name for name, row in again.items() if row != first[name]} == {"000-cnn"}


def test_a_table_keeps_no_reason_that_is_out_of_date(tmp_path: Path) -> None:
    wanted = {"000-cnn": small_recipe("000-cnn")}
    before, now = (rows(wanted, tmp_path, {"000-cnn": why})[0] for why in ("The disk is full.", "No film is there."))
    assert joined([now], {"000-cnn": before}, wanted) == [now]
    trained = replace(before, epochs=(12, 12))
    assert joined([now], {"000-cnn": trained}, wanted) == [trained], "it was trained elsewhere"


def test_a_file_that_is_no_table_is_said_and_stays(films: list[Film], tmp_path: Path) -> None:
    (tmp_path / "reproduction.json").write_text('{"rows": [{"recipe": "x"}]}')
    done = CliRunner().invoke(
        commands, ["reproduce", "--data", str(films[0].path.parent), "--out", str(tmp_path), "--only-table"]
    )
    assert isinstance(done.exception, ConfigError)
    assert "reproduction.json is no table of `cxr-train reproduce`" in done.exception.message
    assert (tmp_path / "reproduction.json").read_text() == '{"rows": [{"recipe": "x"}]}'


def test_a_manifest_keeps_the_age_group(films: list[Film]) -> None:
    assert [film.age for film in read_manifest(films[0].path.parent)][11:13] == ["adult", "paediatric"]


def test_a_damaged_checkpoint_or_weights_of_another_network_are_said(
    films: list[Film], runs: Path, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run")
    run.directory.mkdir()
    for path in (runs / "000-cnn").iterdir():
        (run.directory / path.name).write_bytes(path.read_bytes())
    run.weights.write_bytes(run.weights.read_bytes()[:-400])
    with pytest.raises(ConfigError, match=r"weights\.safetensors cannot be read as weights"):
        run.network()
    run.weights.write_bytes((runs / "002-vgg16-finding" / "weights.safetensors").read_bytes())
    with pytest.raises(ConfigError, match="is of another network than the run's recipe"):
        run.network()
    run.checkpoint.write_bytes(run.checkpoint.read_bytes()[:1000])
    with pytest.raises(ConfigError, match=r"checkpoint\.pt cannot be read .*; remove it to begin anew"):
        fit(small_recipe("000-cnn"), films, run, name="000-cnn")


def test_a_damaged_film_is_named(films: list[Film], runs: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(films[0].path.read_bytes()[:60])
    test = [film for film in films if film.split == "test"]
    with pytest.raises(ConfigError, match=r"The film .*damaged\.png cannot be used"):
        evaluate(open_subject(runs / "000-cnn"), [*test, replace(test[0], path=damaged, patient="p-new")])
    for recipe, variants in ((small_recipe("000-cnn"), None), (_frozen(), 1)):
        broken = [replace(film, path=damaged) if film is films[0] else film for film in films]
        with pytest.raises(ConfigError, match=r"The film .*damaged\.png cannot be used"):
            fit(recipe, broken, Run(tmp_path / recipe.network), variants=variants)


def test_results_that_cannot_be_written_are_said_and_the_earlier_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_text(path, "before")
    found = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True, check=True)
    assert found.stdout == f"OUTPUT {path} could not be written: File too large.\n"
    assert [each.read_text() for each in tmp_path.iterdir()] == ["before"]
    (tmp_path / "file").touch()
    with pytest.raises(Transient, match=r"results\.json could not be written: "):
        write_text(tmp_path / "file" / "results.json", "")


FULL = """
import resource, signal, sys
from pathlib import Path
from shutil import copytree
from cxr_node.errors import Transient
from training.files import write_text
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    write_text(Path(sys.argv[1]), "x" * 5000)
except Transient as error:
    print(error.code, error.message)
"""
