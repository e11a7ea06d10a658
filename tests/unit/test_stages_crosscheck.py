"""crosscheck: whose a study is, asked of a PACS by C-FIND, and what follows where films and PACS differ."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cxr_node.dimse import studies
from cxr_node.dimse.sender import Peer
from cxr_node.domain.doubt import ARCHIVED_ACCESSION, ARCHIVED_DATE, ARCHIVED_ORDER, ARCHIVED_PATIENT
from cxr_node.domain.job import Job
from cxr_node.domain.patient import Change, Identifier, Person
from cxr_node.domain.reading import Actor
from cxr_node.errors import Permanent, Transient
from cxr_node.stages.crosscheck import Crosscheck
from cxr_node.store import identities, reading, withdrawal
from cxr_node.store.db import Row
from cxr_node.worker import Lane
from tests import films
from tests.bench import JUDGING
from tests.node import free_port
from tests.studies import Pacs, as_sent
from tests.unit.test_stages import STEPS, Node, same_study

HOLDING = replace(JUDGING, hold=frozenset({"patient", "accession", "date"}))
KNOWN: dict[str, Any] = {"AccessionNumber": "A1", "PatientID": "P1", "PatientName": "Doe^Jane"}


class Site(Node):
    """A node that asks a PACS; `pacs` is what that has."""

    judging = HOLDING

    def begin(self, *probabilities: float) -> "Site":
        super().begin(*probabilities)
        self.intake = replace(self.intake, asking=["crosscheck"], judging=lambda: HOLDING)
        self.pacs = Pacs()
        return self

    def check(self, peer: Peer | None = None) -> None:
        """Do what is due of asking, at a PACS that is there, or another."""
        with self.pacs as there:
            stage = Crosscheck(self.store, peer or there, _look_up, self.judging, self.waiting, self.clock)
            self.worker.stages = {**self.worker.stages, "crosscheck": (STEPS["crosscheck"], stage)}
            while self.worker.run_once(Lane("crosscheck", ("crosscheck",))):
                pass

    def standing(self) -> tuple[str, str | None]:
        return self.entry()["state"], self.entry()["reason"]

    @property
    def study(self) -> str:
        return str(self.entry()["study_instance_uid"])


def _look_up(peer: Peer, *query: Any) -> list[studies.Match]:
    return studies.look_up(peer, "CXR_NODE", *query)


def away() -> Peer:
    return Peer("the PACS", "PACS", "127.0.0.1", free_port(), timeout=2.0)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path).begin(0.9, 0.9)
    yield site
    site.store.close()


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({}, None), ({"PatientID": "P2"}, ARCHIVED_PATIENT), ({"PatientID": ""}, None),
        ({"AccessionNumber": "A2"}, ARCHIVED_ACCESSION), ({"AccessionNumber": ""}, None),
        ({"StudyDate": "20260401"}, ARCHIVED_DATE), ({"StudyDate": "20260302"}, None), ({"StudyDate": ""}, None),
        ({"StudyInstanceUID": "1.2.3", "PatientID": "P2"}, ARCHIVED_ORDER), ({"StudyInstanceUID": "1.2.3"}, None),
        ({"PatientID": "P2", "ModalitiesInStudy": ["SR", "OT"]}, None),
        ({"PatientID": "P2", "ModalitiesInStudy": ["SR", "DX"]}, ARCHIVED_PATIENT),
        ({"IssuerOfPatientID": "ELSEWHERE", "PatientID": "P2"}, ARCHIVED_PATIENT),
    ],
)  # fmt: skip
def test_what_the_pacs_has_otherwise_holds_the_study(site: Site, other: dict[str, Any], reason: str | None) -> None:
    film = films.chest(**KNOWN)
    site.pacs.studies = [as_sent(film, **other)]
    site.send(film)
    site.work("analyse")
    site.check()
    assert site.standing() == (("held", reason) if reason else ("analysed", None))
    assert site.pacs.asked == [{"StudyInstanceUID": film.StudyInstanceUID}, {"AccessionNumber": "A1"}]
    assert site.events().count("peer.queried") == 2


def test_a_pacs_that_has_the_study_twice_is_right_once(site: Site) -> None:
    film = films.chest(**KNOWN)
    site.pacs.studies = [as_sent(film, PatientID="P2", StudyDate="20250101"), as_sent(film)]
    site.send(film)
    site.check()
    assert site.standing() == ("waiting", None)


def test_a_number_that_would_be_a_wild_card_is_not_asked_for(site: Site) -> None:
    film = films.chest(**KNOWN | {"AccessionNumber": "A*"})
    site.send(film)
    site.check()
    assert site.pacs.asked == [{"StudyInstanceUID": film.StudyInstanceUID}]


def test_what_is_held_is_asked_again_and_stands_when_the_pacs_was_corrected(site: Site) -> None:
    film = films.chest(**KNOWN)
    site.pacs.studies = [as_sent(film, PatientID="P2")]
    site.send(film)
    site.work("analyse")
    site.check()
    site.clock.turn(299)
    site.check()
    assert len(site.pacs.asked) == 2
    site.pacs.studies = [as_sent(film)]
    site.clock.turn(1)
    site.check()
    assert site.standing()[0] == "analysed"
    site.work()
    assert len(site.revisions()) == 1
    assert {row["state"] for row in site.jobs("crosscheck")} == {"done"}
    answered = site.events().count("pacs.answered")
    assert answered == 1


def test_a_merge_that_the_pacs_has_not_heard_of_resolves_it(site: Site) -> None:
    film = films.chest(**KNOWN)
    site.pacs.studies = [as_sent(film, PatientID="TEMP1")]
    site.send(film)
    site.check()
    assert site.standing() == ("held", ARCHIVED_PATIENT)
    study, change = site.study, Change(Person((Identifier("P1"),), "Doe^Jane"), (Identifier("TEMP1"),))
    with site.store.transaction() as tx:
        identities.say(tx, change, "ADT", at=site.clock(), now=site.clock())
        withdrawal.follow(tx, study, HOLDING, site.clock())
    assert site.standing() == ("waiting", None)


def test_what_a_person_released_stays_released_until_the_pacs_says_something_else(site: Site) -> None:
    film = films.chest(**KNOWN)
    site.pacs.studies = [as_sent(film, PatientID="P2")]
    site.send(film)
    site.check()
    study = site.study
    with site.store.transaction() as tx:
        withdrawal.release(tx, study, Actor("ana", overrules=True), HOLDING, site.clock())
    site.clock.turn(300)
    site.check()
    assert site.standing() == ("waiting", None)
    site.pacs.studies = [as_sent(film, PatientID="P3")]
    site.send(same_study(film, films.chest(**KNOWN)))
    site.check()
    assert site.standing() == ("held", ARCHIVED_PATIENT)


def test_how_the_pacs_calls_the_same_patient_is_taken_over_but_an_admission_goes_before(site: Site) -> None:
    film = films.chest(**KNOWN, PatientSex="O")
    site.pacs.studies = [as_sent(film, PatientName="Doe^Janet", PatientSex="F")]
    site.send(film)
    site.check()
    study = site.study
    with site.store.reading() as tx:
        assert identities.stands(tx, study) == {"PatientName": "Doe^Janet", "PatientSex": "F"}
    with site.store.transaction() as tx:
        change = Change(Person((Identifier("P1"),), "Doe^Jeanette"))
        identities.say(tx, change, "ADT", at=0.0, now=site.clock())
        withdrawal.follow(tx, study, HOLDING, site.clock())
        assert identities.stands(tx, study) == {"PatientName": "Doe^Jeanette", "PatientSex": "F"}


def test_documents_wait_for_the_answer(site: Site) -> None:
    film = films.chest(**KNOWN)
    site.pacs.studies = [as_sent(film, PatientID="P2")]
    site.send(film)
    site.work()
    site.clock.turn(120)
    site.work()
    assert site.revisions() == []
    site.check()
    site.work()
    assert (site.standing()[0], site.revisions()) == ("held", [])


def test_a_pacs_that_does_not_answer_holds_nothing_and_is_said_once(site: Site) -> None:
    site.send(films.chest(**KNOWN))
    site.work()
    site.clock.turn(120)
    site.check(away())
    site.work()
    assert (site.standing()[0], len(site.revisions())) == ("analysed", 1)
    site.clock.turn(300)
    site.check(away())
    assert site.events().count("pacs.unanswered") == 1
    (said,) = site.rows("SELECT detail FROM event WHERE event = 'pacs.unanswered'")
    assert "UNREACHABLE" in said["detail"]
    site.clock.turn(300)
    site.check()
    assert site.events().count("pacs.answered") == 1


def test_documents_do_not_wait_for_a_pacs_for_ever(site: Site) -> None:
    site.send(films.chest(**KNOWN))
    site.work()
    site.clock.turn(599)
    site.work()
    assert site.revisions() == []
    site.clock.turn(2)
    site.work()
    assert len(site.revisions()) == 1


@pytest.mark.parametrize("pacs", [Pacs(status=0xA700), Pacs(status=0xC001)])
def test_a_pacs_that_fails_is_one_that_does_not_answer(site: Site, pacs: Pacs) -> None:
    site.pacs = pacs
    site.send(films.chest(**KNOWN))
    site.check()
    assert "pacs.unanswered" in site.events()


def test_a_database_that_is_busy_is_no_fault_of_the_pacs(site: Site) -> None:
    def busy(*_: Any) -> list[studies.Match]:
        raise Transient("DATABASE_BUSY", "the database stayed busy")

    site.send(films.chest(**KNOWN))
    stage = Crosscheck(site.store, away(), busy, HOLDING, site.waiting, site.clock)
    with pytest.raises(Transient, match="busy"):
        stage.run(Job(1, "crosscheck", site.study, "", 1, "token"))


def test_a_second_accession_number_is_asked_for_too(site: Site) -> None:
    film = films.chest(**KNOWN)
    other = films.change(same_study(film, films.chest()), **KNOWN | {"AccessionNumber": "A2"})
    site.pacs.studies = [as_sent(film), as_sent(film, StudyInstanceUID="1.2.3", AccessionNumber="A2", PatientID="P9")]
    site.send(film)
    site.send(other)
    site.check()
    assert [asked for asked in site.pacs.asked if "AccessionNumber" in asked] == [
        {"AccessionNumber": "A1"}, {"AccessionNumber": "A2"},
    ]  # fmt: skip
    assert site.standing() == ("held", ARCHIVED_ORDER)


def test_a_pacs_that_answers_with_everything_is_one_that_does_not_answer(site: Site) -> None:
    film = films.chest(**KNOWN)
    site.pacs.studies = [as_sent(film, PatientID="P2")] * 30
    site.send(film)
    site.check()
    assert site.standing() == ("waiting", None)
    (said,) = site.rows("SELECT detail FROM event WHERE event = 'pacs.unanswered'")
    assert "QUERY_IGNORED" in said["detail"]


def test_nobody_is_asked_for_longer_than_a_day_or_of_what_was_read(site: Site) -> None:
    film, other = films.chest(**KNOWN), films.chest()
    site.send(film)
    site.clock.turn(86_400)
    site.check(away())
    assert waiting(site) == []
    site.send(other)
    site.check(away())
    assert [row["subject"] for row in waiting(site)] == [other.StudyInstanceUID]
    with site.store.transaction() as tx:
        reading.mark_read(tx, str(other.StudyInstanceUID), Actor("ana"), site.clock())
    site.clock.turn(300)
    site.check(away())
    assert waiting(site) == []


def waiting(site: Site) -> list[Row]:
    return [row for row in site.jobs("crosscheck") if row["state"] == "ready"]


def test_a_pacs_that_is_gone_from_the_configuration(site: Site) -> None:
    site.send(films.chest(**KNOWN))
    stage = Crosscheck(site.store, None, _look_up, HOLDING, site.waiting, site.clock)
    job = Job(1, "crosscheck", site.study, "", 1, "token")
    with pytest.raises(Permanent, match="pacs"):
        stage.run(job)
    with site.store.transaction() as tx:
        (then,) = stage.abandoned(tx, job)
    assert (then.kind, then.subject) == ("settle", job.subject)
