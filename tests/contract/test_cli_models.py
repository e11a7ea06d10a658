"""`cxr-node models` as people and scripts meet it."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner, Result

from cxr_node import cli, config
from cxr_node.domain.finding import Analysis
from cxr_node.inference import manifest
from cxr_node.inference.calibration import shift, sigmoid
from cxr_node.plan import Plan, open_store
from cxr_node.store import results, worklist
from tests import films
from tests.bench import NOON, Bench, add_film, header
from tests.documents import values
from tests.models import CLASSES, small_model

pytestmark = pytest.mark.usefixtures("cpu")

RESTRICTION = "Trained on films for non-commercial use."


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two models, one of them restricted, in `models`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CXR_NODE_CONFIG", raising=False)
    small_model(tmp_path / "models", "cxr-a")
    small_model(tmp_path / "models", "cxr-a", "1.1.0", restriction=RESTRICTION, **CLASSES)
    (tmp_path / "node.toml").write_text('[model]\nname = "cxr-a"\ndirectory = "models"\n')
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, [*arguments, "-c", "node.toml"])


def test_the_list_says_which_serve(folder: Path) -> None:
    (folder / "node.toml").write_text('[model]\nname = "cxr-a"\ndirectory = "models"\nshadow = ["cxr-a:1.1.0"]\n')
    beside, serving = run("models", "list").stdout.splitlines()
    assert re.match(r"cxr-a 1\.1\.0  [0-9a-f]{12}  shadow  Tests\.", beside)
    assert re.match(r"cxr-a 1\.0\.0  [0-9a-f]{12}  in service  Tests\.", serving)
    (folder / "node.toml").write_text('[model]\nname = "cxr-z"\ndirectory = "models"\n')
    assert "in service" not in run("models", "list").stdout


def test_a_restricted_model_says_so_wherever_it_is_shown() -> None:
    restricted, plain = run("models", "list").stdout.splitlines()
    assert restricted.startswith("cxr-a 1.1.0")
    assert restricted.endswith(f"RESTRICTED: {RESTRICTION}")
    assert "RESTRICTED" not in plain
    assert run("models", "show", "cxr-a:1.1.0").stdout.startswith(f"RESTRICTED: {RESTRICTION}")
    assert "RESTRICTED" not in run("models", "show", "cxr-a").stdout


def test_check_warns_of_a_restricted_model_that_the_site_has_named(folder: Path) -> None:
    found = run("check", "--offline").stdout
    assert "ok      model: cxr-a 1.0.0" in found
    (folder / "node.toml").write_text('[model]\nname = "cxr-a"\nversion = "1.1.0"\ndirectory = "models"\n')
    found = run("check", "--offline").stdout
    assert "warning model: cxr-a 1.1.0" in found
    assert RESTRICTION in found


def test_every_form_is_verified() -> None:
    found = run("models", "verify")
    assert found.exit_code == 0, found.stderr
    assert found.stdout.count("not a released model") == 2


@pytest.fixture
def stopped(folder: Path) -> Path:
    """A node that has been started once and stands still, with its data in `var`."""
    Bench(folder / "var").store.close()
    return folder


def test_without_a_node_another_model_is_put_in_service_for_its_next_start(stopped: Path) -> None:
    found = run("models", "activate", "cxr-a:1.1.0")
    assert (found.exit_code, found.stdout) == (0, "cxr-a 1.1.0 is in service from the node's next start on\n")
    assert found.stderr == f"RESTRICTED: {RESTRICTION}\n"
    said = run("check", "--offline").stdout
    assert "model: cxr-a 1.1.0" in said
    assert re.search(r"activated by \S+ at \d{4}-", said)
    status = json.loads(run("status", "--json").stdout)
    assert status["model"] == "cxr-a 1.1.0"
    assert set(status["activated"]) == {"by", "at"}
    again = run("models", "activate", "cxr-a:1.1.0")
    assert (again.exit_code, again.stdout) == (0, "cxr-a 1.1.0 is in service already\n")


def test_each_roll_back_takes_one_activation_off(stopped: Path) -> None:
    for name in ("cxr-a:1.1.0", "cxr-a:1.0.0"):
        assert run("models", "activate", name).exit_code == 0
    assert run("models", "rollback").stdout.startswith("cxr-a 1.1.0 is in service")
    assert run("models", "rollback").stdout.startswith("cxr-a 1.0.0 is in service")
    found = run("models", "rollback")
    assert found.exit_code == 1
    assert found.stderr.startswith("NO_ACTIVATION: no model was activated")
    with open_store(config.load(stopped / "node.toml"), create=False).reading() as tx:
        told = [row["detail"] for row in tx.rows("SELECT detail FROM event WHERE event = 'model.activated'")]
    assert [json.loads(each)["version"] for each in told] == ["1.1.0", "1.0.0", "1.1.0", None]
    assert all(json.loads(each)["by"] for each in told)


def test_what_cannot_serve_is_not_put_in_service(stopped: Path) -> None:
    assert run("models", "activate", "cxr-z").exit_code == 78
    (stopped / "node.toml").write_text(
        '[model]\nname = "cxr-a"\nversion = "1.0.0"\ndirectory = "models"\nthresholds = { x = 0.5 }\n'
    )
    found = run("models", "activate", "cxr-a:1.1.0")
    assert found.exit_code == 78
    assert "finds 'covid19', not 'x', and no other model here does" in found.stderr
    damaged = stopped / "models" / "cxr-a" / "1.1.0" / "weights.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    found = run("models", "activate", "cxr-a:1.1.0")
    assert (found.exit_code, found.stderr.split(":")[0]) == (1, "MODEL_DIGEST")


def test_a_build_that_was_replaced_after_its_activation_is_told(stopped: Path) -> None:
    assert run("models", "activate", "cxr-a:1.1.0").exit_code == 0
    metadata = stopped / "models" / "cxr-a" / "1.1.0" / "configs" / "metadata.json"
    metadata.write_text(metadata.read_text() + " ")
    found = run("check", "--offline").stdout
    assert "failed  model: The model cxr-a 1.1.0, which" in found
    assert "is another build than it was then" in found


def test_a_prevalence_is_of_what_it_says_or_of_the_model_that_is_named(stopped: Path) -> None:
    text = '[model]\nname = "cxr-a"\nversion = "1.0.0"\ndirectory = "models"\nshadow = ["cxr-a:1.1.0"]\n'
    for stated, expected in (("0.1", {"pneumonia": 0.1}), ("{ covid19 = 0.05 }", {"covid19": 0.05})):
        (stopped / "node.toml").write_text(f"{text}prevalence = {stated}\n")
        plan = Plan.of(config.load(stopped / "node.toml"))
        assert {m.finding: p for m in (plan.manifest, *plan.shadows) if (p := plan.prevalence_of(m))} == expected
        assert Plan.of(plan.pinned()).prevalence_of(plan.shadows[0]) == expected.get("covid19")
    (stopped / "node.toml").write_text(f"{text}prevalence = 1.5\n")
    assert "model.prevalence: a prevalence lies between 0 and 1" in run("check", "--offline").stderr
    (stopped / "node.toml").write_text(f"{text}prevalence = {{ measles = 0.5 }}\n")
    assert "model.prevalence: cxr-a 1.0.0 finds 'pneumonia', not 'measles'" in run("check", "--offline").stdout


def test_models_beside_the_one_in_service_are_looked_at(stopped: Path) -> None:
    text = '[model]\nname = "cxr-a"\nversion = "1.0.0"\ndirectory = "models"\nshadow = ["cxr-a:1.1.0", "cxr-b"]\n'
    (stopped / "node.toml").write_text(text)
    said = run("check", "--offline")
    assert said.exit_code == 0
    assert "ok      shadow cxr-a:1.1.0: digest" in said.stdout
    assert "warning shadow cxr-b: There is no model cxr-b" in said.stdout
    (stopped / "node.toml").write_text('[model]\nshadow = ["../x"]')
    assert run("check", "--offline").exit_code == 78


def judged(stopped: Path, *films: tuple[float, float, float]) -> None:
    """Films, each received so many days after another, with the logit of the finding under either model."""
    bench = Bench(stopped / "var")
    one, other = (manifest.named(stopped / "models", f"cxr-a:{version}") for version in ("1.0.0", "1.1.0"))
    with bench.store.transaction() as tx:
        for number, (day, first, second) in enumerate(films, start=1):
            film = add_film(tx, number, at=NOON + day * 86400, accession_number=f"A{number}")
            worklist.arrive(tx, header(number, accession_number=f"A{number}"), NOON)
            for model, logits in ((one, (first, 0.0)), (other, (0.0, second, 0.0))):
                probability, classes = model.outputs.read(logits)
                said = Analysis(
                    model.identity, model.finding, probability, classes, ((0.0,),), terms=model.terms, logits=logits
                )
                results.save(tx, film, said, NOON)
    bench.store.close()


COMPARED = {
    "a", "b", "films", "both_positive", "both_negative", "only_a", "only_b", "kappa", "mcnemar_p", "correlation",
    "mean_a", "mean_b", "mean_difference", "weeks",
}  # fmt: skip


def test_two_models_are_compared_on_the_films_that_both_judged(stopped: Path) -> None:
    judged(stopped, (0, 2.0, 3.0), (0, -2.0, -3.0), (8, 2.0, -3.0), (8, -2.0, -1.0))
    found = json.loads(run("models", "compare", "cxr-a:1.0.0", "cxr-a:1.1.0", "--json").stdout)
    assert set(found) == COMPARED
    assert [found[key] for key in ("films", "both_positive", "both_negative", "only_a", "only_b")] == [4, 1, 2, 1, 0]
    assert (found["a"]["in_service"], found["b"]["finding"], found["b"]["threshold"]) == (True, "covid19", 0.5)
    assert [week["week"] for week in found["weeks"]] == ["2026-W01", "2026-W02"]
    assert set(found["weeks"][0]) == (COMPARED - {"a", "b", "weeks"}) | {"week"}
    said = run("models", "compare", "cxr-a:1.0.0", "cxr-a:1.1.0", "--since", "2026-01-05").stdout
    assert "They find different things" in said
    assert "2026-W01" not in said
    assert "2026-W02" in said


def test_both_are_read_as_the_site_reads_them_now(stopped: Path) -> None:
    judged(stopped, (0, 1.0, 3.0))
    text = (stopped / "node.toml").read_text()
    (stopped / "node.toml").write_text(f"{text}thresholds = {{ pneumonia = 0.5 }}\nprevalence = 0.1\n")
    found = json.loads(run("models", "compare", "cxr-a", "cxr-a:1.1.0", "--json").stdout)
    assert found["only_b"] == 1
    assert found["mean_a"] == pytest.approx(shift(sigmoid(1.0), 0.5, 0.1))


def test_a_comparison_needs_films_that_both_have_judged(stopped: Path) -> None:
    found = run("models", "compare", "cxr-a:1.0.0", "cxr-a:1.1.0")
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr.startswith("NO_FILMS: no film was judged by both cxr-a:1.0.0 and cxr-a:1.1.0")
    assert run("models", "compare", "cxr-a", "cxr-q").exit_code == 78


def many(count: int, share: float = 0.3) -> list[tuple[float, float, float]]:
    """Films of which `share` are ill, the first ones, with the logits that a model would give them."""
    random = np.random.default_rng(1)
    return [(0, *random.normal(1.5 if number < share * count else -1.5, 1.2, 2).tolist()) for number in range(count)]


def labels_of(folder: Path, count: int, share: float = 0.3, key: str = "accession", start: str = "A") -> Path:
    path = folder / "labels.csv"
    rows = [f"{start}{number},{int(number <= share * count)}" for number in range(1, count + 1)]
    path.write_text("\n".join([f"{key},label", *rows, f"{start}9999,1", ""]))
    return path


def test_labelled_films_calibrate_the_model_for_the_site(stopped: Path) -> None:
    judged(stopped, *many(300))
    labels_of(stopped, 300)
    found = run("models", "calibrate", "--labels", "labels.csv", "--out", "site.toml")
    assert found.exit_code == 0, found.stderr
    assert "300 labelled studies, 30.0% of them positive; 1 rows of the labels are of studies that" in found.stdout
    (stopped / "node.toml").write_text('[model]\nname = "cxr-a"\ndirectory = "models"\ncalibration = "site.toml"\n')
    plan = Plan.of(config.load(stopped / "node.toml"))
    assert plan.prevalence_of(plan.manifest) == pytest.approx(0.3)
    said = run("check", "--offline").stdout
    digest = hashlib.sha256((stopped / "site.toml").read_bytes()).hexdigest()
    assert f"calibrated at this site, {digest[:12]}" in said
    assert f"positive from {plan.judging().cutoffs.threshold:.3f}" in said
    assert "warning calibration" not in said
    with open_store(config.load(stopped / "node.toml"), create=False).reading() as tx:
        (told,) = tx.rows("SELECT detail FROM event WHERE event = 'model.calibrated'")
    assert json.loads(told["detail"])["digest"] == digest


def test_labels_by_study_and_films_of_one_study_count_once(stopped: Path) -> None:
    judged(stopped, *many(300))
    labels_of(stopped, 300, key="study", start="1.2.4.")
    found = run("models", "calibrate", "--labels", "labels.csv", "--out", "site.toml")
    assert "300 labelled studies" in found.stdout, found.stderr


def test_films_without_labels_give_the_prevalence(stopped: Path) -> None:
    judged(stopped, *many(400, 0.2))
    found = run("models", "calibrate", "--unlabelled", "--model", "cxr-a:1.1.0", "--out", "site.toml")
    assert found.exit_code == 0, found.stderr
    assert "400 studies without labels: the prevalence of covid19 is estimated as" in found.stdout
    assert "It changes probabilities and no decision" in found.stdout
    (stopped / "node.toml").write_text('[model]\nname = "cxr-a"\ndirectory = "models"\ncalibration = ["site.toml"]\n')
    assert "warning calibration: model.calibration has a file for cxr-a 1.1.0, which does not serve" in (
        run("check", "--offline").stdout
    )
    (stopped / "node.toml").write_text(
        '[model]\nname = "cxr-a"\nversion = "1.1.0"\ndirectory = "models"\ncalibration = ["site.toml"]\n'
    )
    plan = Plan.of(config.load(stopped / "node.toml"))
    assert 0.1 < (plan.prevalence_of(plan.manifest) or 0) < 0.35
    assert Plan.of(plan.pinned()).identity == plan.identity != plan.manifest.digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accession,truth\nA1,1\n", "needs the columns study (UID) or accession, and label"),
        ("accession,label\nSECRET,maybe\n", "labels.csv, line 2: a accession and a label are needed"),
        ("accession,label\nSECRET,1\nSECRET,0\n", "labels.csv, line 3: this accession had the other label before"),
    ],
)
def test_labels_that_cannot_be_used_are_told_by_their_line_alone(stopped: Path, text: str, said: str) -> None:
    judged(stopped, (0, 1.0, 1.0))
    (stopped / "labels.csv").write_text(text)
    found = run("models", "calibrate", "--labels", "labels.csv")
    assert found.exit_code == 78
    assert said in found.stderr
    assert "SECRET" not in found.stderr
    assert not (stopped / "calibration.toml").exists()


def test_too_few_films_calibrate_nothing(stopped: Path) -> None:
    assert "has judged no film here" in run("models", "calibrate", "--unlabelled").stderr
    judged(stopped, *many(50))
    found = run("models", "calibrate", "--unlabelled")
    assert (found.exit_code, found.stderr) == (
        1,
        "TOO_FEW_FILMS: 50 studies without a label; it takes 200 or more\n",
    )
    labels_of(stopped, 50)
    assert "TOO_FEW_FILMS: 50 labelled studies, 15" in run("models", "calibrate", "--labels", "labels.csv").stderr


def test_a_calibration_is_made_in_one_way_and_overwrites_nothing(stopped: Path) -> None:
    labels_of(stopped, 1)
    for arguments in ([], ["--unlabelled", "--labels", "labels.csv"], ["--unlabelled", "--out", "labels.csv"]):
        assert run("models", "calibrate", *arguments).exit_code == 2


def test_a_calibration_that_is_not_understood_is_exit_status_78(stopped: Path) -> None:
    (stopped / "site.toml").write_text("scale = 1")
    (stopped / "node.toml").write_text('[model]\nname = "cxr-a"\ndirectory = "models"\ncalibration = "site.toml"\n')
    found = run("serve")
    assert found.exit_code == 78
    assert "model.calibration: site.toml: model: Field required" in found.stderr


def test_old_films_are_given_to_the_model_in_service(stopped: Path) -> None:
    judged(stopped, (0, 1.0, 1.0), (9, 1.0, 1.0))
    with open_store(config.load(stopped / "node.toml"), create=False).transaction() as tx:
        tx.execute("DELETE FROM result")
    assert run("requeue", "--with-model", "--since", "2026-01-05").stdout == "1 jobs will be tried again\n"
    assert run("requeue", "--with-model").stdout == "1 jobs will be tried again\n"
    for arguments in (["--with-model", "1.2.3"], ["--failed", "--since", "2026-01-05"]):
        assert run("requeue", *arguments).exit_code == 2


def test_films_in_files_are_judged_by_a_model_with_classes_of_its_own(folder: Path) -> None:
    films.write(films.chest(), folder / "film.dcm")
    text = '[model]\nname = "cxr-a"\nversion = "1.0.0"\ndirectory = "models"\nprevalence = 0.1\n'
    (folder / "node.toml").write_text(f"{text}thresholds = {{ covid19 = 0.01 }}\n")
    small_model(folder / "models", "cxr-c", **CLASSES)
    done = run("analyze", "film.dcm", "--out", "out", "--model", "cxr-c")
    assert done.exit_code == 0, done.stderr
    (found,) = json.loads((folder / "out" / "results.json").read_text())
    assert (found["finding"], found["positive"], found["threshold"]) == ("covid19", True, 0.01)
    assert list(found["probabilities"]) == ["normal", "covid19", "other_pneumonia"]
    report = pydicom.dcmread(folder / "out" / found["sr"])
    assert values(report, "121071") == ["840544004"]
    said = values(report, "111002")[0]
    assert "Not calibrated for the prevalence of this site" in said, "which is that of pneumonia"
