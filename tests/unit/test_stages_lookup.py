"""lookup: the priority that the RIS has given a study, asked of its Modality Worklist."""

from pathlib import Path

import pytest

from cxr_node.dimse import orders
from cxr_node.domain.job import Job
from cxr_node.domain.priority import Priority
from cxr_node.domain.reading import Actor
from cxr_node.errors import Permanent, Transient
from cxr_node.stages.lookup import Lookup
from cxr_node.store import reading, worklist
from tests import films
from tests.bench import Bench
from tests.orders import Ris


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def run(bench: Bench, ris: Ris, study: str) -> Priority | None:
    """Look a study up; its priority afterwards."""
    with ris as peer:
        stage = Lookup(
            bench.store, peer, lambda to, number, queried: orders.look_up(to, "CXR_NODE", number, queried), bench.clock
        )
        commit = stage.run(Job(1, "lookup", study, "", 1, "token"))
    with bench.store.transaction() as tx:
        assert list(commit(tx)) == []
        return worklist.priority(tx, study)


def film(bench: Bench, accession: str = "A1", patient: str = "P1") -> str:
    sent = films.chest(AccessionNumber=accession, PatientID=patient)
    bench.send(sent)
    return str(sent.StudyInstanceUID)


@pytest.mark.parametrize(
    ("said", "expected"),
    [("STAT", "stat"), ("HIGH", "high"), ("ROUTINE", "routine"), ("LOW", "routine"), ("", None), ("WHENEVER", None)],
)
def test_what_the_ris_says_is_the_study_s_priority(bench: Bench, said: str, expected: str | None) -> None:
    study, ris = film(bench), Ris(("A1", "P1", said))
    assert run(bench, ris, study) == expected
    assert ris.asked == ["A1"]
    assert "peer.queried" in bench.events()
    moved = bench.rows("SELECT detail FROM event WHERE event = 'worklist.moved'")
    assert ["RIS (RIS)" in row["detail"] for row in moved] == ([True] if expected else [])


@pytest.mark.parametrize("stands", [Priority.STAT, Priority.HIGH])
def test_what_a_person_set_is_not_lowered(bench: Bench, stands: Priority) -> None:
    study = film(bench)
    with bench.store.transaction() as tx:
        reading.prioritise(tx, study, stands, Actor("dr.adams"), bench.clock())
    assert run(bench, Ris(("A1", "P1", "ROUTINE")), study) is stands


def test_an_order_of_another_patient_or_number_says_nothing(bench: Bench) -> None:
    assert run(bench, Ris(("A1", "P2", "STAT"), ("A11", "P1", "STAT")), film(bench)) is None


def test_of_several_orders_the_most_urgent_counts(bench: Bench) -> None:
    assert run(bench, Ris(("A1", "P1", "ROUTINE"), ("A1", "", "STAT")), film(bench)) is Priority.STAT


def test_a_number_that_would_be_a_wild_card_is_not_asked_for(bench: Bench) -> None:
    ris = Ris(("A1", "P1", "STAT"))
    for accession in ("", "A*", "?"):
        assert run(bench, ris, film(bench, accession)) is None
    assert ris.asked == []


def test_a_study_that_has_been_read_stays_as_it_is(bench: Bench) -> None:
    study = film(bench)
    with bench.store.transaction() as tx:
        reading.mark_read(tx, study, Actor("dr.adams"), bench.clock())
    assert run(bench, Ris(("A1", "P1", "STAT")), study) is None


@pytest.mark.parametrize(
    ("ris", "code"),
    [(Ris(status=0xC001), "PEER_FAULT"), (Ris(*[("A1", "P1", "STAT")] * 30), "QUERY_IGNORED")],
)
def test_a_ris_that_fails_is_asked_again(bench: Bench, ris: Ris, code: str) -> None:
    with pytest.raises(Transient) as failed:
        run(bench, ris, film(bench))
    assert failed.value.code == code


def test_a_ris_that_is_away_or_gone(bench: Bench) -> None:
    study = film(bench)
    with pytest.raises(Permanent, match="ris"):
        Lookup(bench.store, None, lambda *_: [], bench.clock).run(Job(1, "lookup", study, "", 1, "token"))


def test_a_film_has_the_ris_asked_only_where_a_site_wants_it(bench: Bench) -> None:
    from dataclasses import replace

    film(bench)
    assert bench.rows("SELECT 1 FROM job WHERE kind = 'lookup'") == []
    bench.intake = replace(bench.intake, asking=["lookup"])
    study = film(bench, "A2")
    assert [row["subject"] for row in bench.rows("SELECT subject FROM job WHERE kind = 'lookup'")] == [study]
