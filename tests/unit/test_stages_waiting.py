"""How long documents wait for films that are still being judged: a real store and spool, and a clock that is turned."""

import json
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset

from cxr_node.domain.clock import moment
from cxr_node.stages.assembly import Desk
from cxr_node.store.requeue import requeue_study
from cxr_node.worker import Lane
from tests import films
from tests.bench import JUDGING
from tests.documents import PROFILE
from tests.unit.test_stages import Node, same_study


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def judge_one(node: Node) -> None:
    """Judge the film that waits longest, and leave the others."""
    node.worker.batch_size = 1
    assert node.worker.run_once(Lane("test", ("analyse",)))


def pending(node: Node) -> list[list[str]]:
    """By revision: the SOP Instance UIDs of the films that were not judged when it was made."""
    return [json.loads(row["pending"]) for row in node.revisions()]


def one_judged_of_two(node: Node, first: float, second: float) -> FileDataset:
    """A study whose first film is judged and whose second, a minute later, hangs; the second."""
    film = films.chest()
    node.begin(first, second).send(film)
    node.work("analyse")
    node.clock.turn(60)
    late = same_study(film, films.chest())
    node.send(late)
    return late


def test_with_nothing_judged_there_is_nothing_to_report_however_long_it_takes(node: Node) -> None:
    node.begin(0.5).send(films.chest())
    node.clock.turn(86400)
    node.work("settle")
    assert node.revisions() == []
    assert "study.not_reported" not in node.events()
    node.work()
    assert pending(node) == [[]]


def test_films_that_queued_over_an_outage_are_in_one_report(node: Node) -> None:
    first = films.chest()
    node.begin(0.5, 0.2, 0.9).send(first)
    node.send(same_study(first, films.chest()))
    node.send(same_study(first, films.chest()))
    node.clock.turn(7200)
    for _ in range(3):
        assert node.revisions() == []
        judge_one(node)
        node.work("settle")
    assert [row["tier"] for row in node.revisions()] == ["high"]
    assert pending(node) == [[]]


def test_a_film_that_hangs_is_waited_for_no_longer_than_the_maximum(node: Node) -> None:
    late = one_judged_of_two(node, 0.5, 0.9)
    node.clock.turn(539)
    node.work("settle")
    assert node.revisions() == []
    node.clock.turn(1)
    node.work("settle")
    assert pending(node) == [[late.SOPInstanceUID]]
    assert node.jobs("report")[0]["target"] == "1/full"


def test_the_maximum_is_kept_over_a_restart(node: Node, tmp_path: Path) -> None:
    late = one_judged_of_two(node, 0.5, 0.9)
    node.clock.turn(300)
    node.work("settle")
    node.store.close()
    again = Node(tmp_path, clock=node.clock).begin()
    again.clock.turn(239)
    again.work("settle")
    assert again.revisions() == []
    again.clock.turn(1)
    again.work("settle")
    assert pending(again) == [[late.SOPInstanceUID]]


@pytest.mark.parametrize(("result", "revisions"), [(0.2, 1), (0.6, 1), (0.9, 2)])
def test_what_was_pending_is_reported_later_only_if_it_changes_the_conclusion(
    node: Node, result: float, revisions: int
) -> None:
    one_judged_of_two(node, 0.5, result)
    node.clock.turn(540)
    node.work("settle")
    node.clock.turn(60)
    node.work()
    assert len(node.revisions()) == revisions
    assert pending(node)[-1] == [] or revisions == 1
    assert ("study.unchanged" in node.events()) is (revisions == 1)


def test_two_that_were_pending_are_waited_for_together(node: Node) -> None:
    film = one_judged_of_two(node, 0.1, 0.5)
    node.network.probabilities.append(0.9)
    node.send(same_study(film, films.chest()))
    node.clock.turn(600)
    node.work("settle")
    assert [len(each) for each in pending(node)] == [2]
    judge_one(node)
    node.work("settle")
    assert len(node.revisions()) == 1
    judge_one(node)
    node.work("settle")
    assert [row["tier"] for row in node.revisions()] == ["none", "high"]


def test_films_that_are_judged_again_are_waited_for_too(node: Node) -> None:
    """They are old: no window is open, but a report may not leave out what is judged a second later."""
    first = films.chest()
    node.begin().send(first)
    node.send(same_study(first, films.chest()))
    with node.store.transaction() as tx:
        tx.execute("UPDATE job SET state = 'failed', error = 'the model was broken' WHERE kind = 'analyse'")
    node.clock.turn(120)
    node.work()
    assert node.events()[-1] == "study.not_reported"
    with node.store.transaction() as tx:
        requeue_study(tx, str(first.StudyInstanceUID), JUDGING, node.clock())
    node.network.probabilities += [0.1, 0.9]
    judge_one(node)
    node.work("settle")
    assert node.revisions() == []
    judge_one(node)
    node.work("settle")
    assert [row["tier"] for row in node.revisions()] == ["high"]


def test_a_correction_that_hangs_is_waited_for_no_longer_than_the_maximum(node: Node) -> None:
    film = films.chest()
    node.begin(0.5, 0.5).send(film)
    node.work("analyse")
    node.send(films.change(film, PatientID="CORRECTED"))
    node.clock.turn(599)
    node.work("settle")
    assert node.revisions() == []
    node.clock.turn(1)
    node.work("settle")
    assert len(node.revisions()) == 1
    node.work()
    node.clock.turn(120)
    node.work()
    assert len(node.revisions()) == 2


def test_a_report_keeps_to_what_was_judged_when_the_study_settled(node: Node) -> None:
    late = one_judged_of_two(node, 0.5, 0.6)
    node.clock.turn(540)
    node.work("settle")
    desk = Desk(node.store, node.spool, {"full": PROFILE}, {}, {}, {}, {}, False, node.clock)
    before = desk.assemble(str(late.StudyInstanceUID), "1/full")
    node.work("analyse")
    after = desk.assemble(str(late.StudyInstanceUID), "1/full")
    for report in (before, after):
        assert [(source.pending, source.analysis is None) for source in report.sources] == [
            (False, False),
            (True, True),
        ]
        assert report.analysed_at == moment(node.clock() - 600)
