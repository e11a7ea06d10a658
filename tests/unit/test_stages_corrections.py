"""What comes late, again, or corrected: which version counts, what waits, and what is not sent any more."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from cxr_node.domain.job import NewJob
from cxr_node.store import jobs, results, revisions, studies
from cxr_node.store.requeue import adopt_model
from cxr_node.store.results import Written
from tests import films
from tests.bench import MODEL, NOON
from tests.unit.test_stages import Node, same_study


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def settled(node: Node, seconds: float = 120) -> list[int]:
    """Let the wait pass; the numbers of the revisions."""
    node.work()
    node.clock.turn(seconds)
    node.work()
    return [row["revision"] for row in node.revisions()]


def request(number: str) -> Dataset:
    item = Dataset()
    item.RequestedProcedureID = number
    return item


def test_a_film_after_a_refused_one_is_waited_for_in_full(node: Node) -> None:
    lateral = films.lateral()
    node.begin(0.9, 0.9).send(lateral)
    assert settled(node) == []
    node.clock.turn(1800)
    node.send(same_study(lateral, films.chest()))
    node.clock.turn(20)
    node.work()
    assert node.revisions() == []
    node.send(same_study(lateral, films.chest()))
    assert settled(node) == [1]


def test_documents_wait_for_a_correction_that_is_not_yet_understood(node: Node) -> None:
    film = films.chest()
    node.begin(0.9, 0.9).send(film)
    node.work("analyse")
    node.send(films.change(film, PatientID="CORRECTED"))
    node.clock.turn(120)
    node.work("settle")
    assert node.revisions() == []
    assert settled(node) == [1]
    with node.store.reading() as tx:
        found = revisions.numbered(tx, str(film.StudyInstanceUID), 1)
        assert found is not None
        (digest,) = found.revision.images.values()
        stored = studies.by_digest(tx, digest)
    assert stored is not None
    assert stored.arrival.header.patient_id == "CORRECTED"


def test_a_change_inside_a_sequence_is_a_correction(node: Node) -> None:
    film = films.chest(RequestAttributesSequence=[request("one")])
    node.begin(0.9, 0.9).send(film)
    assert settled(node) == [1]
    node.send(films.change(film, RequestAttributesSequence=[request("two")]))
    assert settled(node) == [1, 2]


def test_an_attribute_that_is_filled_in_empty_is_no_correction(node: Node) -> None:
    film = films.chest(PatientSex=None)
    node.begin(0.9).send(film)
    node.send(films.change(film, PatientSex=""))
    assert settled(node) == [1]
    assert node.states() == ["current", "repeated"]


def test_a_corrected_view_lets_a_refused_film_in(node: Node) -> None:
    film = films.chest(ViewPosition="LL")
    node.begin(0.9).send(film)
    assert settled(node) == []
    node.send(films.change(film, ViewPosition="PA"))
    assert settled(node) == [1]
    assert node.states() == ["superseded", "current"]


def test_an_outdated_version_that_comes_again_changes_nothing_and_is_told(node: Node) -> None:
    film = films.chest(PatientID="FIRST")
    node.begin(0.9, 0.9).send(film)
    assert settled(node) == [1]
    node.send(films.change(film, PatientID="SECOND"))
    assert settled(node) == [1, 2]
    node.send(films.change(film, PatientID="FIRST"))
    assert settled(node) == [1, 2]
    assert node.states() == ["superseded", "current"]
    assert node.entry()["patient_id"] == "SECOND"
    assert "instance.outdated" in node.events()


def test_what_carries_a_corrected_identity_and_has_not_left_stays(node: Node) -> None:
    film = films.chest()
    study = str(film.StudyInstanceUID)
    node.begin(0.9, 0.9).send(film)
    assert settled(node) == [1]
    with node.store.transaction() as tx:
        results.add_document(tx, Written("1.2.9", study, 1, "full", "sr", "1.2", "1.2.8", "outbox/x"), NOON)
        results.add_delivery(tx, "1.2.9", "pacs")
        jobs.enqueue(tx, [NewJob("deliver", "1.2.9", "pacs")], NOON)
    node.send(films.change(film, PatientID="CORRECTED"))
    node.work("compare")
    (delivery,) = node.jobs("deliver")
    assert (delivery["state"], delivery["error_code"]) == ("skipped", "SUPERSEDED")
    assert "study.deliveries_called_off" in node.events()


def test_a_film_that_moves_to_another_study_keeps_its_time_of_arrival(node: Node) -> None:
    film = films.chest()
    node.begin(0.9, 0.9).send(film)
    node.work("analyse")
    arrived = node.clock()
    node.clock.turn(3600)
    node.send(films.change(film, StudyInstanceUID="1.2.3.4"))
    node.work("compare")
    (moved,) = node.rows("SELECT * FROM worklist_entry WHERE study_instance_uid = '1.2.3.4'")
    assert moved["received_at"] == arrived


def test_a_film_that_moves_to_another_study_is_taken_out_of_the_documents_of_the_old_one(node: Node) -> None:
    stays = films.chest()
    moves = same_study(stays, films.chest())
    node.begin(0.5, 0.5, 0.5).send(stays)
    node.send(moves)
    assert settled(node) == [1]
    node.send(films.change(moves, StudyInstanceUID="1.2.3.4"))
    node.work("compare", "settle")
    assert [(row["subject"], row["target"], row["state"]) for row in node.jobs("report")] == [
        (stays.StudyInstanceUID, "1/full", "skipped"),
        (stays.StudyInstanceUID, "2/full", "ready"),
    ]


def test_a_later_film_makes_a_study_more_urgent_and_never_less(node: Node) -> None:
    film = films.chest(RequestedProcedurePriority="STAT", AccessionNumber="A1")
    node.begin(0.1, 0.1).send(film)
    node.send(same_study(film, films.chest(RequestedProcedurePriority="ROUTINE", AccessionNumber=None, PatientID=None)))
    assert (node.entry()["priority"], node.entry()["accession_number"]) == ("stat", "A1")
    assert node.entry()["patient_id"] == film.PatientID


def test_films_that_waited_for_another_model_are_judged_by_this_one(node: Node) -> None:
    node.begin(0.9).send(films.chest())
    with node.store.transaction() as tx:
        tx.execute("UPDATE job SET target = 'old' WHERE kind = 'analyse'")
        assert adopt_model(tx, MODEL.digest, NOON) == 1
        assert adopt_model(tx, MODEL.digest, NOON) == 0
    assert settled(node) == [1]


def test_a_late_film_has_the_earlier_ones_judged_by_the_model_in_service(node: Node) -> None:
    film = films.chest()
    node.begin(0.9, 0.9, 0.9).send(film)
    assert settled(node) == [1]
    with node.store.transaction() as tx:
        tx.execute("UPDATE job SET target = 'old' WHERE kind = 'analyse'")
        tx.execute("UPDATE result SET model_digest = 'old'")
    node.send(same_study(film, films.chest()))
    node.work("analyse")
    assert node.entry()["state"] == "analysed"
    assert len(node.rows("SELECT * FROM result WHERE model_digest = ?", MODEL.digest)) == 2
