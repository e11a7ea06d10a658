"""Another model comes into service: what was concluded stands, and what is open is judged by the new one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cxr_node.documents import Profile
from cxr_node.domain.finding import Cutoffs, ModelIdentity
from cxr_node.domain.job import NewJob
from cxr_node.domain.study import Judging
from cxr_node.stages.analyse import Analyse
from cxr_node.stages.assembly import Desk
from cxr_node.stages.settle import Settle
from cxr_node.stages.stage import Stage
from cxr_node.store import jobs, results, worklist
from cxr_node.store.requeue import adopt_model, requeue_study, requeue_unjudged
from cxr_node.worker import Worker
from tests import films
from tests.bench import JUDGING, NOON, analysis, develop
from tests.unit.test_stages import STEPS, Network, Node

NEW = ModelIdentity("cxr-new", "2.0.0", "n" * 64)
NEW_JUDGING = Judging(NEW.digest, Cutoffs(0.5, 0.5, 0.9), prevalence=0.1)


def succeed(node: Node, *probabilities: float, judging: Judging = NEW_JUDGING) -> None:
    """Put the other model in service: the listener and the processes go by it from now on."""
    node.network = Network(list(probabilities))
    common: dict[str, Any] = {"judging": judging, "waiting": node.waiting, "clock": node.clock}

    def judge(probability: float) -> Any:
        return replace(analysis(probability), model=replace(NEW, digest=judging.model_digest))

    seen: Any = (node.network, node.gate, judge)
    stages: dict[str, Stage] = {
        "analyse": Analyse(node.store, develop(node.spool), *seen, further=(), shadows=(), asked={}, **common),
        "settle": Settle(judging, {}, node.waiting, {"full": "report"}, (), node.clock),
    }
    table = {kind: (STEPS[kind], stage) for kind, stage in stages.items()}
    node.worker = Worker(node.store, table, "new", lambda: None, node.clock, pseudonym=str)
    node.intake = replace(node.intake, judging=lambda: judging)
    with node.store.transaction() as tx:
        adopt_model(tx, judging.model_digest, node.clock())


def work(node: Node) -> None:
    node.work("analyse", "settle")


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_film_that_waits_is_judged_by_the_new_model_alone(node: Node) -> None:
    node.begin().send(films.chest())
    succeed(node, 0.7)
    work(node)
    (job,) = node.jobs("analyse")
    assert (job["target"], job["state"]) == (NEW.digest, "done")
    assert (node.entry()["probability"], node.entry()["threshold"]) == (0.7, 0.5)


def test_who_judges_a_film_with_the_old_model_loses_it(node: Node) -> None:
    node.begin().send(films.chest())
    with node.store.transaction() as tx:
        (held,) = jobs.claim(tx, "analyse", "old", NOON, 300)
    succeed(node, 0.7)
    with node.store.transaction() as tx:
        assert not jobs.finish(tx, held, "done", NOON)  # type: ignore[arg-type]
    work(node)
    assert node.entry()["probability"] == 0.7


def test_a_study_that_was_judged_and_is_not_reported_is_judged_again_as_a_whole(node: Node) -> None:
    node.begin(0.4).send(films.chest())
    node.work("analyse")
    succeed(node, 0.8)
    node.clock.turn(120)
    work(node)
    (revision,) = node.revisions()
    assert revision["model_digest"] == NEW.digest
    assert (revision["tier"], node.entry()["tier"]) == ("medium", "medium")


def test_a_study_of_before_stands_as_it_is(node: Node) -> None:
    film = films.chest()
    node.begin(0.9).send(film)
    node.work("analyse")
    node.clock.turn(120)
    node.work()
    before = node.entry()
    succeed(node)
    with node.store.transaction() as tx:
        worklist.refresh(tx, str(film.StudyInstanceUID), NEW_JUDGING, node.clock())
        jobs.enqueue(tx, [NewJob("settle", str(film.StudyInstanceUID))], node.clock())  # as a late MPPS does
    node.clock.turn(3600)
    work(node)
    assert node.entry() == before
    assert len(node.jobs("analyse")) == len(node.revisions()) == 1


def test_a_late_film_has_its_study_judged_again_and_no_tier_is_lowered(node: Node) -> None:
    first = films.chest()
    node.begin(0.9).send(first)
    node.work("analyse")
    node.clock.turn(120)
    node.work()
    succeed(node, 0.2, 0.1)
    node.send(films.change(films.chest(), StudyInstanceUID=first.StudyInstanceUID))
    node.clock.turn(120)
    work(node)
    assert [row["model_digest"] for row in node.revisions()] == [JUDGING.model_digest, NEW.digest]
    assert (node.entry()["tier"], node.entry()["positive"]) == ("high", 0)


def test_a_roll_back_brings_the_old_results_back_to_use(node: Node) -> None:
    first, second = films.chest(), films.chest()
    node.begin(0.9).send(first)
    node.work("analyse")
    node.clock.turn(120)
    node.work()
    node.send(second)  # waits for the old model when the new one comes
    succeed(node, 0.6)
    node.work("analyse")
    succeed(node, 0.4, judging=JUDGING)
    node.clock.turn(120)
    work(node)
    by_study = {row["study_instance_uid"]: row for row in node.rows("SELECT * FROM worklist_entry")}
    assert by_study[first.StudyInstanceUID]["probability"] == 0.9
    assert (by_study[second.StudyInstanceUID]["state"], by_study[second.StudyInstanceUID]["probability"]) == (
        "analysed",
        0.4,
    )
    assert {row["model_digest"] for row in node.revisions()} == {JUDGING.model_digest}


def test_a_report_reads_its_results_as_they_were_concluded(node: Node) -> None:
    film = films.chest()
    node.begin(0.4).send(film)
    node.work("analyse")
    node.clock.turn(120)
    node.work()
    profile = Profile("full", "en", NEW_JUDGING.cutoffs, 0.1, {}, None, "2.25", "", "", "1.0.0")
    report = Desk(node.store, node.spool, {"full": profile}, {}, {}, {}, {}, False, node.clock).assemble(
        str(film.StudyInstanceUID), "1/full"
    )
    assert report.profile.cutoffs == JUDGING.cutoffs
    assert report.profile.prevalence is None
    with node.store.transaction() as tx:
        tx.execute("UPDATE study_revision SET judging = NULL")  # one of an earlier release
    report = Desk(node.store, node.spool, {"full": profile}, {}, {}, {}, {}, False, node.clock).assemble(
        str(film.StudyInstanceUID), "1/full"
    )
    assert report.profile == profile


def test_old_films_are_judged_again_when_asked_for_and_after_those_that_come(node: Node) -> None:
    old = [films.chest() for _ in range(2)]
    node.begin(0.1, 0.1).send(old[0])
    node.clock.turn(60)
    node.send(old[1])
    node.work("analyse")
    succeed(node, 0.7, 0.9)
    with node.store.transaction() as tx:
        assert requeue_unjudged(tx, NEW.digest, NOON + 30, node.clock()) == 1
        assert requeue_unjudged(tx, NEW.digest, NOON + 30, node.clock()) == 0
    node.clock.turn(1)
    node.send(films.chest())
    node.worker.batch_size = 1
    node.work("analyse")
    by_study = {row["study_instance_uid"]: row for row in node.rows("SELECT * FROM worklist_entry")}
    probabilities = [by_study[film.StudyInstanceUID]["probability"] for film in old]
    assert probabilities == [0.1, 0.9], "the film that came since was taken first"


def test_one_study_is_judged_again_by_the_model_in_service(node: Node) -> None:
    film = films.chest()
    node.begin(0.1).send(film)
    node.work("analyse")
    succeed(node, 0.9)
    with node.store.transaction() as tx:
        requeue_study(tx, str(film.StudyInstanceUID), NEW_JUDGING, node.clock())
    work(node)
    assert node.entry()["probability"] == 0.9


def shadowed(node: Node, probability: float) -> None:
    """The model that is to come has judged the films beside the one in service."""
    with node.store.transaction() as tx:
        for row in tx.rows("SELECT digest FROM instance"):
            jobs.enqueue(tx, [NewJob("shadow", row["digest"], NEW.digest)], node.clock())
            jobs.end(tx, "shadow", row["digest"], NEW.digest, node.clock())
            results.save(tx, row["digest"], replace(analysis(probability), model=NEW), node.clock())


def test_an_open_study_is_judged_in_service_by_what_was_a_shadow(node: Node) -> None:
    node.begin(0.4).send(films.chest())
    node.work("analyse")
    shadowed(node, 0.95)
    succeed(node, 0.95)
    node.clock.turn(120)
    work(node)
    (revision,) = node.revisions()
    assert (revision["model_digest"], revision["tier"]) == (NEW.digest, "high")
    assert (node.entry()["probability"], node.entry()["tier"]) == (0.95, "high"), "the list says what the report says"


def test_what_a_shadow_said_changes_no_study_of_before(node: Node) -> None:
    film = films.chest()
    node.begin(0.2).send(film)
    node.work("analyse")
    node.clock.turn(120)
    node.work()
    before = node.entry()
    shadowed(node, 0.95)
    succeed(node)
    with node.store.transaction() as tx:
        worklist.refresh(tx, str(film.StudyInstanceUID), NEW_JUDGING, node.clock())
        jobs.enqueue(tx, [NewJob("settle", str(film.StudyInstanceUID))], node.clock())
    node.clock.turn(3600)
    work(node)
    assert node.entry() == before
    assert {row["model_digest"] for row in node.revisions()} <= {JUDGING.model_digest}


def test_films_that_a_shadow_judged_are_judged_again_when_asked_for(node: Node) -> None:
    node.begin(0.2).send(films.chest())
    node.work("analyse")
    shadowed(node, 0.95)
    succeed(node, 0.95)
    with node.store.transaction() as tx:
        assert requeue_unjudged(tx, NEW.digest, NOON, node.clock()) == 1
    node.work("analyse")
    assert node.entry()["tier"] == "high"
