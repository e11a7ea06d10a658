"""What the page of a study shows of corrections: who says whose it is, what was rejected, what was taken back."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from cxr_node.domain.correction import Rejection
from cxr_node.domain.doubt import Archived
from cxr_node.domain.patient import Identifier, Person
from cxr_node.store import archived, corrections, results, retraction, withdrawal
from cxr_node.store.results import Written
from tests.bench import JUDGING, NOON
from tests.unit.test_web_pages import text_of
from tests.web import PSEUDONYMS, Web

HOLDING = replace(JUDGING, hold=frozenset({"patient", "accession", "date"}))


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return Web(tmp_path)


@pytest.fixture
def client(web: Web) -> TestClient:
    return web.client()


def page(client: TestClient, study: str, language: str = "en") -> str:
    client.cookies.set("cxr_language", language)
    return text_of(client.get(f"/studies/{PSEUDONYMS.study(study)}").text)


def test_of_a_study_that_is_held_it_shows_who_says_what(web: Web, client: TestClient) -> None:
    study = web.film(0.9, AccessionNumber="A1", PatientID="P1")
    assert "Who says" not in page(client, study)
    with web.bench.store.transaction() as tx:
        found = [Archived(study, "A1", Person((Identifier("P2", "HOSP"),)))]
        archived.say(tx, study, found, "PACS", NOON)
        withdrawal.follow(tx, study, HOLDING, NOON)
    said = page(client, study)
    assert "the PACS has the study under another patient than its films name" in said
    assert re.search(r"Film P1 A1 2026-03-01 PACS P2 \(HOSP\) A1 –", said)
    assert "Quién dice de quién es" in page(client, study, "es")


def test_of_a_film_that_was_rejected_and_a_document_that_was_taken_back_it_says_so(
    web: Web, client: TestClient
) -> None:
    study = web.film(0.9)
    (uid,) = (row["sop_instance_uid"] for row in web.bench.rows("SELECT sop_instance_uid FROM instance"))
    with web.bench.store.transaction() as tx:
        results.add_document(tx, Written("1.2.9", study, 1, "full", "sr", "1.2", "1.2.8", "outbox/1.2.9.dcm"), NOON)
        results.add_delivery(tx, "1.2.9", "pacs")
        results.delivered(tx, "1.2.9", "pacs", NOON, 0x0000)
        corrections.reject(tx, uid, Rejection.QUALITY, "PACS", note="1.2.7", now=NOON)
        withdrawal.follow(tx, study, JUDGING, NOON)
    assert "taken back" not in page(client, study)
    with web.bench.store.transaction() as tx:
        retraction.reject(tx, ["1.2.9"], "pacs", "1.2.6")
    said = page(client, study)
    assert "1 film is not shown: it was rejected, or made for another patient." in said
    assert "pacs: sent 2026-01-01 12:00:00 taken back by a note" in said
    assert "retirado con una nota" in page(client, study, "es")
