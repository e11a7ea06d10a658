"""Corrections of studies that further models judge for the report, too."""

from dataclasses import replace
from pathlib import Path

import pytest

from cxr_node.domain.correction import Rejection
from cxr_node.domain.job import NewJob
from cxr_node.domain.patient import Change, Identifier, Person
from cxr_node.domain.reading import Actor
from cxr_node.store import corrections, identities, jobs, revisions, withdrawal
from tests import films
from tests.bench import JUDGING
from tests.documents import values
from tests.unit.test_stages import same_study
from tests.unit.test_stages_further import ALGORITHM, READ, Consulting, begun

ANA = Actor("ana", overrules=True)
BOTH = ["cxr-test", "cxr-other"]


@pytest.fixture
def site(tmp_path: Path) -> Consulting:
    return Consulting(tmp_path)


def test_a_study_that_is_withdrawn_is_judged_by_no_model_until_it_stands_again(site: Consulting) -> None:
    begun(site, 0.5, further=[0.95])
    study = site.analysed(films.chest())
    with site.store.transaction() as tx:
        withdrawal.withdraw(tx, study, "wrong", ANA, judging=JUDGING, now=site.clock())
    assert site.consultations() == [("skipped", "WITHDRAWN")]
    site.work("further")
    with site.store.transaction() as tx:
        withdrawal.release(tx, study, ANA, JUDGING, site.clock())
    site.work("further")
    assert site.consultations() == [("done", None)]
    site.settle()
    (report,) = site.reports()
    assert values(report, ALGORITHM) == BOTH


def test_a_study_whose_patient_is_named_otherwise_is_reported_again_by_all_models(site: Consulting) -> None:
    begun(site, 0.5, further=[0.95])
    film = films.chest()
    study = site.analysed(film)
    site.work("further")
    site.settle()
    now = Person((Identifier("P-NEW", ""),), "Other^Name")
    with site.store.transaction() as tx:
        change = Change(now, (Identifier(str(film.PatientID), ""),), site.clock())
        identities.say(tx, change, "ADT", at=site.clock(), now=site.clock())
        withdrawal.follow(tx, study, JUDGING, site.clock())
    site.settle()
    first, second = site.reports()
    assert (first.PatientID, second.PatientID) == (film.PatientID, "P-NEW")
    assert values(second, ALGORITHM) == BOTH
    with site.store.reading() as tx:
        one, other = revisions.all_of(tx, study)
    assert one.consulted == other.consulted
    assert (one.consulted[0].judging, other.identity["PatientID"]) == (READ, "P-NEW")


def test_a_film_that_was_rejected_takes_along_what_a_further_model_found_in_it(site: Consulting) -> None:
    begun(site, 0.5, 0.5, further=[0.1, 0.95])
    kept = films.chest(1)
    study, bad = site.analysed(kept), same_study(kept, films.chest(2))
    site.analysed(bad)
    site.work("further")
    site.settle()
    with site.store.transaction() as tx:
        corrections.reject(tx, str(bad.SOPInstanceUID), Rejection.QUALITY, "PACS", note="1.2.3", now=site.clock())
        withdrawal.follow(tx, study, replace(JUDGING, notes=frozenset({"pacs"})), site.clock())
    site.settle()
    first, second = site.reports()
    assert (values(first, "121071").count("840544004"), values(second, "121071").count("840544004")) == (1, 0)
    assert values(second, ALGORITHM).count("cxr-other") == 1
    with site.store.reading() as tx:
        (consulted,) = revisions.all_of(tx, study)[-1].consulted
    assert (consulted.judging, sorted(consulted.judged)) == (READ, [str(kept.SOPInstanceUID)])


def test_what_was_taken_back_is_reported_again_by_a_model_that_is_new(site: Consulting) -> None:
    further, site.further = site.further, {}
    begun(site, 0.5, further=[])
    study = site.analysed(films.chest())
    site.settle()
    site.further = further
    got = site.pacs["pacs"].got
    begun(site, further=[0.95])
    site.pacs["pacs"].got = got
    with site.store.transaction() as tx:
        tx.execute("UPDATE delivery SET rejected_by = '1.2.3'")  # by a note of ours
        jobs.enqueue(tx, [NewJob("settle", study)], site.clock())
    site.work("settle", "further")
    site.finish()
    assert site.consultations() == [("done", None)]
    _, second = site.reports()
    assert values(second, ALGORITHM) == BOTH
