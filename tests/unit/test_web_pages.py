"""The pages as they are made on the server: what they show, in both languages, and what never stands in an address."""

import ast
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient

from cxr_node.documents.request import Kind
from cxr_node.domain.finding import ModelIdentity
from cxr_node.domain.job import JobState, NewJob
from cxr_node.domain.priority import Group, Priority
from cxr_node.domain.quality import Flag
from cxr_node.domain.reading import Actor
from cxr_node.domain.step import Reason as StepReason
from cxr_node.domain.step import Statement
from cxr_node.domain.study import EntryState
from cxr_node.errors import Permanent
from cxr_node.inference.build import verify
from cxr_node.locale.terms import FLAGS
from cxr_node.message import Message
from cxr_node.pipeline import PIPELINE
from cxr_node.store import events, jobs, reading, results, steps, worklist
from cxr_node.web import rows, words
from cxr_node.web.app import build
from tests.bench import JUDGING, NOON, add_result, analysis
from tests.films import COLUMNS, ROWS
from tests.models import small_model
from tests.web import PSEUDONYMS, Web, form_token, post

ROOT = Path(words.__file__).parent
TITLE = re.compile(r"<title>(.*?)</title>")
LINK = re.compile(r'(?:href|src|action)="([^"]*)"')


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return Web(tmp_path)


@pytest.fixture
def client(web: Web) -> TestClient:
    return web.client()


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def study_row(page: str, uid: str) -> str:
    found = re.search(rf'<tr [^>]*data-study="{PSEUDONYMS.study(uid)}".*?</tr>', page, re.DOTALL)
    assert found, "the study has no row"
    return text_of(found[0])


def names_in_order(page: str) -> list[str]:
    return re.findall(r'data-study="(s-[a-z0-9]+)"', page)


# -- the worklist


def test_an_empty_list_says_so(client: TestClient) -> None:
    assert "No study is waiting." in client.get("/").text


def test_studies_stand_in_reading_order_with_what_a_reader_needs(web: Web, client: TestClient) -> None:
    clear, critical = web.film(0.1, AccessionNumber="A1", PatientID="P1"), web.film(0.9, AccessionNumber="A2")
    page = client.get("/").text
    assert names_in_order(page) == [PSEUDONYMS.study(critical), PSEUDONYMS.study(clear)]
    first, second = study_row(page, critical), study_row(page, clear)
    for said in ("1 ", "high", "promoted by the model", "Pneumonia", "90.0 %", "A2", "0 min", "analysed"):
        assert said in first
    for said in ("2 ", "by arrival", "below the threshold", "10.0 %", "A1", "P1"):
        assert said in second


WHY: list[tuple[dict[str, Any], bool, str, str]] = [
    ({"group": "stat"}, False, "full", "STAT was asked for by a person or the RIS"),
    ({"group": "overdue"}, False, "full", "waits for longer than 120 minutes"),
    ({"group": "high", "tier": "high"}, False, "full", "promoted by the model"),
    ({"group": "high", "tier": "none"}, False, "full", "priority high was asked for by a person or the RIS"),
    ({"group": "arrival", "reason": "View Position is 'LL'"}, False, "full", "View Position is 'LL'"),
    ({"group": "arrival", "tier": "high"}, True, "full", "the list is frozen"),
    ({"group": "arrival", "tier": "high"}, False, "shadow", "shadow mode: not moved"),
    ({"group": "arrival", "state": "waiting"}, False, "full", "until there is a result"),
    ({"group": "arrival", "probability": 0.1}, False, "full", "below the threshold"),
    ({"group": "arrival", "state": "held"}, False, "full", ""),
    ({"state": "read"}, False, "full", ""),
]


@pytest.mark.parametrize(("facts", "frozen", "mode", "said"), WHY)
def test_every_study_says_why_it_stands_where_it_stands(
    facts: dict[str, Any], frozen: bool, mode: str, said: str
) -> None:
    entry = {"state": "analysed", "group": "arrival", "tier": "none", "reason": None, "probability": None} | facts
    voice = rows.Voice("en", rows.ZoneInfo("UTC"), 0, mode, frozen, 120.0)
    assert voice.why(entry) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(59, "0 min"), (3599, "59 min"), (3660, "1 h 01 min"), (90000, "1 d 1 h")]
)
def test_how_long_ago(seconds: int, said: str) -> None:
    voice = rows.Voice("en", rows.ZoneInfo("UTC"), 1_767_268_800.0 + seconds, "full", False, 120.0)
    assert voice.since("2026-01-01T12:00:00.000Z") == said


def test_what_is_searched_for_is_found_and_stands_in_no_address(web: Web, client: TestClient) -> None:
    found = web.film(0.1, AccessionNumber="Acc77", PatientID="Pat55")
    web.film(0.1, AccessionNumber="Other")
    for text in ("acc77", "PAT5", found[-12:]):
        page = post(client, "/worklist", text=text).text
        assert names_in_order(page) == [PSEUDONYMS.study(found)]
    assert "No study fits." in post(client, "/worklist", text="nobody").text
    assert client.get("/worklist?text=acc77").status_code == 405


def test_filters_by_place_and_state(web: Web, client: TestClient) -> None:
    high, low, read = web.film(0.9), web.film(0.1), web.film(0.1)
    with web.bench.store.transaction() as tx:
        reading.mark_read(tx, read, Actor("ana"), web.bench.clock())
    shown = {
        key: names_in_order(post(client, "/worklist", **fields).text)
        for key, fields in {"high": {"group": "high"}, "read": {"state": "read"}, "any": {}}.items()
    }
    assert shown == {
        "high": [PSEUDONYMS.study(high)],
        "read": [PSEUDONYMS.study(read)],
        "any": [PSEUDONYMS.study(high), PSEUDONYMS.study(low)],
    }


def test_a_long_list_comes_in_pages() -> None:
    entries = [
        {"study_instance_uid": f"1.2.{n}", "position": n, "state": "waiting", "group": "arrival", "tier": "none",
         "finding": None, "probability": None, "threshold": None, "reason": None, "accession_number": None,
         "patient_id": None, "reader": None, "asked": None, "received_at": "2026-01-01T12:00:00.000Z"}
        for n in range(1, 251)
    ]  # fmt: skip
    voice = rows.Voice("en", rows.ZoneInfo("UTC"), 1_767_268_800.0, "full", False, 120.0)
    pages = [rows.chosen(entries, rows.Wanted.of({"page": page}), voice, str) for page in ("1", "3", "99", "x", "-1")]
    assert [(page.number, page.last, len(page.rows)) for page in pages] == [
        (1, 3, 100), (3, 3, 50), (3, 3, 50), (1, 3, 100), (1, 3, 100),
    ]  # fmt: skip


def test_names_are_text_and_never_markup(web: Web, client: TestClient) -> None:
    web.film(0.9, AccessionNumber="<b>x", PatientID="<script>alert(1)")
    page = client.get("/").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_kill_switch(web: Web, client: TestClient) -> None:
    clear, critical = web.film(0.1), web.film(0.9)
    assert post(client, "/worklist/freeze", frozen="1").status_code == 303
    page = client.get("/").text
    assert "The list is frozen" in page
    assert names_in_order(page) == [PSEUDONYMS.study(clear), PSEUDONYMS.study(critical)]
    post(client, "/worklist/freeze", frozen="0")
    assert "The list is frozen" not in client.get("/").text
    assert post(client, "/worklist/freeze", frozen="perhaps").status_code == 400


def test_shadow_mode_says_that_nothing_is_moved(tmp_path: Path) -> None:
    assert "no study is moved" in Web(tmp_path, facts={"mode": "shadow"}).client().get("/").text


# -- a study


def test_a_study_page_has_the_film_its_result_and_its_history(web: Web, client: TestClient) -> None:
    uid = web.film(0.9, AccessionNumber="A1", PatientID="P1")
    page = client.get(f"/studies/{PSEUDONYMS.study(uid)}").text
    said = text_of(page)
    for one in ("A1", "P1", uid, "Pneumonia", "90.0 %", "Above the threshold of 30.0 %", "Film received", "Certainty"):
        assert one in said
    assert f'href="https://pacs.example.org/?study={uid}"' in page
    assert "/heat.png" in page


def test_the_link_to_the_pacs_holds_an_accession_number_as_one_value(tmp_path: Path) -> None:
    web = Web(tmp_path, facts={"viewer_url": "https://pacs.example.org/?order={accession_number}"})
    uid = web.film(0.9, AccessionNumber="A 1&user=x#/")
    page = web.client().get(f"/studies/{PSEUDONYMS.study(uid)}").text
    assert 'href="https://pacs.example.org/?order=A%201%26user%3Dx%23%2F"' in page


def test_a_study_named_by_its_uid_is_shown_under_its_pseudonym(web: Web, client: TestClient) -> None:
    uid = web.film()
    answer = client.get(f"/studies/{uid}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/studies/{PSEUDONYMS.study(uid)}")


@pytest.mark.parametrize("name", ["1.2.3", "s-aaaaaaaaaaaa", "s-", "x", "..%5c..", "%00", "1.2.3'--"])
def test_a_study_that_nobody_sent(client: TestClient, name: str) -> None:
    assert client.get(f"/studies/{name}").status_code == 404
    assert client.get(f"/api/studies/{name}").status_code == 404


def test_no_patient_data_in_addresses_and_titles(web: Web, client: TestClient) -> None:
    uid = web.film(0.9, AccessionNumber="ACC7QX", PatientID="PID7QX")
    for path in ("/", f"/studies/{PSEUDONYMS.study(uid)}", "/health"):
        page = client.get(path).text
        addresses = [link for link in LINK.findall(page) if not link.startswith("https://pacs.example.org/")]
        for open_to_see in (*addresses, *TITLE.findall(page)):
            assert "7QX" not in open_to_see
            assert uid[-10:] not in open_to_see


def test_a_film_that_was_refused_says_why_and_has_no_picture(web: Web, client: TestClient) -> None:
    uid = web.film(ViewPosition="LL", ViewCodeSequence=None)
    page = text_of(client.get(f"/studies/{PSEUDONYMS.study(uid)}").text)
    assert "Not analysed" in page
    assert "&#39;LL&#39;" in page
    assert "No picture of this film." in page


def test_a_film_that_the_gate_refused_says_why(web: Web, client: TestClient) -> None:
    uid = web.film()
    with web.bench.store.transaction() as tx:
        (job,) = jobs.claim(tx, "analyse", "one", web.bench.clock(), 300)
        reason = "The pixels show a lateral view, not a frontal one (gate: 0.97)."
        jobs.finish(tx, job, JobState.SKIPPED, web.bench.clock(), error_code="LATERAL", error=reason)
    said = text_of(client.get(f"/studies/{PSEUDONYMS.study(uid)}").text)
    assert f"Not analysed {reason}" in said
    assert "no result of this film yet" not in said


def test_what_the_gate_said_of_a_film_is_said_here(web: Web, client: TestClient) -> None:
    uid = web.film(0.9)
    path = f"/studies/{PSEUDONYMS.study(uid)}"
    assert "Quality" not in client.get(path).text, "no gate looked at it"
    with web.bench.store.transaction() as tx:
        (row,) = tx.rows("SELECT digest FROM instance")
        tx.execute(
            "INSERT INTO assessment VALUES (?, 'gate', '1.0.0', 'd', '{}', ?, 0)",
            (row["digest"], '["cropped", "unsure"]'),
        )
    said = text_of(client.get(path).text)
    assert FLAGS["cropped"] in said
    assert FLAGS["unsure"] in said


def test_what_a_further_model_said_of_a_film_stands_below_the_model_in_service(web: Web, client: TestClient) -> None:
    uid = web.film(0.9)
    beside = replace(analysis(0.2, "covid19"), model=ModelIdentity("cxr-other", "1.0.0", "o" * 64))
    with web.bench.store.transaction() as tx:
        (row,) = tx.rows("SELECT digest FROM instance")
        results.save(tx, row["digest"], beside, NOON)
        jobs.enqueue(tx, [NewJob("further", row["digest"], beside.model.digest)], NOON)
    said = text_of(client.get(f"/studies/{PSEUDONYMS.study(uid)}").text)
    assert "For the report, judged by further models, too Suspected COVID-19 cxr-other 1.0.0 20.0 %" in said
    assert "Above the threshold" in said
    assert "By an earlier model" not in said


@pytest.mark.parametrize("role", ["served", "further", "earlier"])
def test_what_a_restricted_model_says_is_called_so_in_both_languages(tmp_path: Path, role: str) -> None:
    restricted = replace(JUDGING, restricted=True)
    web = Web(tmp_path, installed={"cxr-test 1.0.0": restricted, "cxr-other 1.0.0": restricted})
    if role == "served":
        web.app = build(replace(web.site(), judging=restricted), web.door())
    uid, client = web.film(0.9), web.client()
    with web.bench.store.transaction() as tx:
        if role == "further":
            (row,) = tx.rows("SELECT digest FROM instance")
            beside = replace(analysis(0.2, "covid19"), model=ModelIdentity("cxr-other", "1.0.0", "o" * 64))
            results.save(tx, row["digest"], beside, NOON)
            jobs.enqueue(tx, [NewJob("further", row["digest"], beside.model.digest)], NOON)
        if role == "earlier":
            tx.execute("UPDATE result SET model = 'cxr-other', model_digest = 'x'")
            tx.execute("UPDATE job SET target = 'x' WHERE kind = 'analyse'")
    page = f"/studies/{PSEUDONYMS.study(uid)}"
    name = "cxr-test 1.0.0" if role == "served" else "cxr-other 1.0.0"
    english = f"{name} is a research model of restricted use: what it says is not for patient care"
    assert text_of(client.get(page).text).count(english) == 1
    assert (english in text_of(client.get("/").text)) == (role == "served")
    post(client, "/language", language="es")
    spanish = f"{name} es un modelo de investigación de uso restringido: lo que dice no es para atender a pacientes"
    assert text_of(client.get(page).text).count(spanish) == 1


def test_a_model_that_is_not_restricted_or_not_here_is_not_called_so(web: Web, client: TestClient) -> None:
    uid = web.film(0.9)
    with web.bench.store.transaction() as tx:
        tx.execute("UPDATE result SET model = 'cxr-gone', model_digest = 'x'")
        tx.execute("UPDATE job SET target = 'x' WHERE kind = 'analyse'")
    said = text_of(client.get(f"/studies/{PSEUDONYMS.study(uid)}").text) + text_of(client.get("/").text)
    assert "cxr-gone 1.0.0" in said
    assert "restricted" not in said


def test_a_further_model_s_output_has_the_threshold_of_that_model(tmp_path: Path) -> None:
    mine = replace(JUDGING, cutoffs=replace(JUDGING.cutoffs, threshold=0.125, medium=0.125))
    web = Web(tmp_path, installed={"cxr-other 1.0.0": mine})
    uid = web.film(0.9)
    beside = replace(analysis(0.2, "covid19"), model=ModelIdentity("cxr-other", "1.0.0", "o" * 64))
    with web.bench.store.transaction() as tx:
        (row,) = tx.rows("SELECT digest FROM instance")
        results.save(tx, row["digest"], beside, NOON)
        jobs.enqueue(tx, [NewJob("further", row["digest"], beside.model.digest)], NOON)
    page = web.client().get(f"/studies/{PSEUDONYMS.study(uid)}").text
    bar = page[page.index("cxr-other 1.0.0") :]
    assert 'x="12.5"' in bar[: bar.index("</table>")]
    assert "bar positive" in bar[: bar.index("</table>")]


def test_the_timeline_says_which_document_went_where_and_what_the_ris_was_told(web: Web, client: TestClient) -> None:
    uid = web.film(0.9)
    with web.bench.store.transaction() as tx:
        events.append(tx, NOON, "document.sent", uid, kind="sc", destination="pacs")
        events.append(tx, NOON, "message.sent", uid, message="ORU^R01", about="1", destination="ris")
        events.append(tx, NOON, "document.written", uid, kind="sr", revision=1)
    page = f"/studies/{PSEUDONYMS.study(uid)}"
    said = text_of(client.get(page).text)
    assert "Document sent heat map → pacs" in said
    assert "Message sent to the RIS ORU^R01 → ris" in said
    assert "Document written structured report" in said
    post(client, "/language", language="es")
    assert "mapa de calor → pacs" in text_of(client.get(page).text)


def test_every_event_of_a_study_has_words_of_its_own() -> None:
    """Of the events that the source names where it records them."""
    nameless = []
    for path in Path(rows.__file__).parents[1].rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "events.append" and len(call.args) > 3:
                _, _, name, study = call.args[:4]
                known = isinstance(name, ast.Constant) and name.value not in words.EVENTS
                if known and not (isinstance(study, ast.Constant) and study.value is None):
                    nameless.append((path.name, ast.unparse(name)))
    assert nameless == []


def test_a_film_that_an_earlier_model_judged_shows_what_that_one_said(web: Web, client: TestClient) -> None:
    uid = web.film(0.9)
    with web.bench.store.transaction() as tx:
        tx.execute("UPDATE result SET model = 'cxr-older', model_digest = 'x'")
        tx.execute("UPDATE job SET target = 'x' WHERE kind = 'analyse'")
    said = text_of(client.get(f"/studies/{PSEUDONYMS.study(uid)}").text)
    assert "cxr-older 1.0.0 None of these 10.0 % Pneumonia 90.0 %" in said
    assert "By an earlier model" in said


def test_what_a_model_said_as_a_shadow_is_not_shown_for_what_an_earlier_one_concluded(
    web: Web, client: TestClient
) -> None:
    uid = web.film(0.2)
    with web.bench.store.transaction() as tx:
        tx.execute("UPDATE result SET model = 'cxr-older', model_digest = 'x'")
        tx.execute("UPDATE job SET target = 'x' WHERE kind = 'analyse'")
        (row,) = tx.rows("SELECT digest FROM instance")
        jobs.enqueue(tx, [NewJob("shadow", row["digest"], JUDGING.model_digest)], web.bench.clock())
        add_result(tx, row["digest"], 0.9)
    path = f"/studies/{PSEUDONYMS.study(uid)}"
    said = text_of(client.get(path).text)
    assert "cxr-older 1.0.0" in said
    assert "90.0 %" not in said
    assert client.get(f"{path}/films/{row['digest'][:12]}/heat.png").status_code == 404


def test_the_health_page_says_which_models_judge_beside_the_one_in_service(web: Web) -> None:
    model = web.config.model.model_copy(update={"shadow": ("cxr-gone",)})
    web.config = web.config.model_copy(update={"model": model})
    web.app = build(web.site(), web.door())
    said = text_of(web.client().get("/health").text)
    assert "Beside it cxr-gone judges nothing There is no model " in said


def test_why_a_model_judges_nothing_is_said_in_the_readers_language(web: Web) -> None:
    model = web.config.model.model_copy(update={"further": ("cxr-gone",), "shadow": ("cxr-covid",)})
    web.config = web.config.model_copy(update={"model": model})
    changed = verified(web)
    with web.bench.store.transaction() as tx:
        events.append(tx, NOON, "shadow.loaded", None, models=0, lacking={"cxr-covid:1.0.0": changed})
        events.append(tx, NOON, "infer.unavailable", None, code="MODEL_DIGEST", reason=changed)
    web.app = build(web.site(), web.door())
    client = web.client()
    client.post("/language", data={"language": "es"})
    said = text_of(client.get("/health").text)
    assert "También para el informe cxr-gone no evalúa nada No hay ningún modelo cxr-gone latest; hay: " in said
    assert said.count("weights.safetensors del modelo cxr-b 1.0.0 no es como se publicó: SHA-256") == 2
    assert "is not as released" not in said


def verified(web: Web) -> str:
    """What is said of a model whose weights are not as released."""
    model = small_model(web.bench.root / "models", "cxr-b")
    model.weights.write_bytes(b"damaged")
    with pytest.raises(Permanent) as raised:
        verify(model)
    return raised.value.message


def test_each_button_does_what_it_says(web: Web, client: TestClient) -> None:
    uid = web.film(0.9)
    name = PSEUDONYMS.study(uid)

    def entry() -> dict[str, Any]:
        found = worklist.in_order(web.site().places(True, None))
        return next(one for one in found if one["study_instance_uid"] == uid)

    for action, state, reader in (
        ("claim", "reading", "local"), ("release", "analysed", None), ("read", "read", "local"),
        ("reopen", "analysed", None),
    ):  # fmt: skip
        answer = post(client, f"/studies/{name}/{action}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/studies/{name}")
        assert (entry()["state"], entry()["reader"]) == (state, reader)
    assert post(client, f"/studies/{name}/priority", priority="stat", back="list").headers["location"] == "/"
    assert entry()["priority"] == "stat"
    post(client, f"/studies/{name}/priority", priority="none")
    assert entry()["priority"] is None
    for fields in ({"priority": "urgent"}, {}):
        assert post(client, f"/studies/{name}/priority", **fields).status_code == 400
    assert post(client, f"/studies/{name}/destroy").status_code == 400


def test_what_cannot_be_done_is_said_in_the_language_of_the_page(web: Web, client: TestClient) -> None:
    uid = web.film(0.9)
    with web.bench.store.transaction() as tx:
        reading.mark_read(tx, uid, Actor("ana"), web.bench.clock())
    path = f"/studies/{PSEUDONYMS.study(uid)}/claim"
    page = post(client, path)
    assert page.status_code == 409
    assert "This study has left the worklist." in page.text
    client.cookies.set("cxr_language", "es")
    fields = {"form_token": form_token(client)}
    answer = client.post(path, data=fields, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (409, "STUDY_CLOSED")
    assert answer.json()["message"] == "Este estudio ha salido de la lista."


def test_who_looked_is_recorded_once_a_minute(web: Web, client: TestClient) -> None:
    path = f"/studies/{PSEUDONYMS.study(web.film(0.9, PatientID='P1'))}"
    for _ in range(3):
        client.get(path)
    assert web.events("study.viewed") == ["study.viewed"]
    web.bench.clock.turn(61)
    client.get(path)
    (first, _) = web.bench.rows("SELECT detail FROM event WHERE event = 'study.viewed'")
    assert '"by": "local"' in first["detail"]
    assert '"patient_id": "P1"' in first["detail"]


# -- pictures


def test_the_film_and_its_heat_map_are_pictures(web: Web, client: TestClient) -> None:
    name = PSEUDONYMS.study(web.film(0.9))
    page = client.get(f"/studies/{name}").text
    film, heat = re.findall(r'src="(/studies/[^"]*)"', page)
    picture = cv2.imdecode(np.frombuffer(client.get(film).content, np.uint8), cv2.IMREAD_UNCHANGED)
    layer = cv2.imdecode(np.frombuffer(client.get(heat).content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (64, 48)
    assert layer.shape == (64, 48, 4)
    assert layer[0, 0, 3] == 0, "where the map is faint, the film shows through"
    assert layer[0, -1, 3] == 255, "where it is strongest, the colour is full"


def test_a_film_that_could_not_be_drawn_in_time_is_drawn_for_its_page(web: Web, client: TestClient) -> None:
    name = PSEUDONYMS.study(web.film(0.9))
    (picture,) = web.bench.spool.pictures.rglob("*.png")
    picture.unlink()
    film, heat = re.findall(r'src="(/studies/[^"]*)"', client.get(f"/studies/{name}").text)
    shown = client.get(film)
    assert shown.headers["content-type"] == "image/png"
    assert cv2.imdecode(np.frombuffer(shown.content, np.uint8), cv2.IMREAD_UNCHANGED).shape == (ROWS, COLUMNS)
    assert client.get(heat).status_code == 200


def test_who_looks_at_a_film_without_its_page_is_recorded_too(web: Web, client: TestClient) -> None:
    uid = web.film(0.9)
    (row,) = web.bench.rows("SELECT digest FROM instance")
    path = f"/studies/{PSEUDONYMS.study(uid)}/films/{row['digest'][:12]}"
    assert client.get(f"{path}.png").status_code == 200
    assert client.get(f"{path}/heat.png").status_code == 200
    assert web.events("study.viewed") == ["study.viewed"]


@pytest.mark.parametrize(("probability", "localises"), [(0.1, True), (0.9, False)])
def test_there_is_no_heat_map_below_the_threshold_and_in_triage(
    tmp_path: Path, probability: float, localises: bool
) -> None:
    web = Web(tmp_path, facts={"localises": localises})
    client, name = web.client(), PSEUDONYMS.study(web.film(probability))
    page = client.get(f"/studies/{name}").text
    (film,) = re.findall(r'src="(/studies/[^"]*)"', page)
    assert "heat" not in film
    assert client.get(film.replace(".png", "/heat.png")).status_code == 404


def test_a_picture_is_of_the_study_that_is_asked_for(web: Web, client: TestClient) -> None:
    one, other = web.film(0.9), web.film(0.9)
    (film, _) = re.findall(r'src="(/studies/[^"]*)"', client.get(f"/studies/{PSEUDONYMS.study(one)}").text)
    assert client.get(film).status_code == 200
    for path in (film.replace(PSEUDONYMS.study(one), PSEUDONYMS.study(other)), film.replace(".png", "x.png")):
        assert client.get(path).status_code == 404


# -- languages


def test_words_there_are_for_all_that_the_node_can_say() -> None:
    assert set(FLAGS) == {str(flag) for flag in Flag}
    assert set(words.JOBS) == {step.kind for step in PIPELINE}
    assert set(words.KINDS) == set(get_args(Kind))
    assert set(words.STATES) == {str(state) for state in EntryState}
    assert set(words.GROUPS) == {group.name.lower() for group in Group}
    assert set(words.PRIORITIES) == {*(str(priority) for priority in Priority), "none"}


def test_there_is_a_word_for_whatever_befalls_a_study() -> None:
    named = re.compile(r'"((?:study|document|instance|step|commitment|report|peer)\.[a-z_]+)"')
    package = ROOT.parent
    sources = [*(package / "stages").glob("*.py"), *(package / "store").glob("*.py")]
    found = {name for path in sources for name in named.findall(path.read_text("utf-8"))}
    of_no_study = {"asked", "answered", "refused", "reported", "unknown", "unrecorded"}
    found -= {f"commitment.{name}" for name in of_no_study} | {"step.changed"}
    assert len(found) > 15
    assert found - set(words.EVENTS) == set()


def test_reasons_are_in_the_language_of_the_page_and_in_english_for_programs(tmp_path: Path) -> None:
    web = Web(tmp_path, facts={"language": "es"})
    client, uid = web.client(), web.film(BodyPartExamined="LEG")
    path = PSEUDONYMS.study(uid)
    spanish = "La parte del cuerpo examinada (0018,0015) es 'LEG'; se admiten BRUST, CHEST"
    english = "Body Part Examined (0018,0015) is 'LEG', not one of BRUST, CHEST"
    page = unescape(text_of(client.get(f"/studies/{path}").text))
    assert page.count(spanish) == 3, "why it stands there, why the film was not analysed, and the event"
    assert spanish in unescape(study_row(client.get("/").text, uid))
    (entry,), study = client.get("/api/worklist").json(), client.get(f"/api/studies/{path}").json()
    refused = next(event for event in study["events"] if event["event"] == "instance.refused")
    for reason in (entry["reason"], study["instances"][0]["refusal"]["reason"], refused["reason"]):
        assert reason.startswith(english)
    assert refused.keys() == {"time", "event", "sop_instance_uid", "code", "reason"}


def test_a_failure_and_what_the_machine_said_are_in_the_language_of_the_page(tmp_path: Path) -> None:
    web = Web(tmp_path, facts={"language": "es"})
    client, uid = web.client(), web.film()
    why = Message("Every pixel of the film has the value {value}.", value=0)
    with web.bench.store.transaction() as tx:
        (job,) = jobs.claim(tx, "analyse", "one", web.bench.clock(), 300)
        jobs.finish(tx, job, JobState.FAILED, web.bench.clock(), error_code="BLANK", error=why)
        steps.add(tx, Statement("1.9", "CR1", "IN PROGRESS", (uid,)), 1.0)
        steps.change(tx, Statement("1.9", "CR1", "DISCONTINUED", reason=StepReason("110501", "DCM")), 2.0)
        worklist.refresh(tx, uid, JUDGING, web.bench.clock())
    said = text_of(client.get(f"/studies/{PSEUDONYMS.study(uid)}").text)
    blank = "Todos los píxeles de la radiografía tienen el valor 0."
    assert f"Sin analizar {blank}" in said
    assert f"{blank}; el equipo de rayos X interrumpió el procedimiento: avería del equipo" in said
    assert blank in text_of(client.get("/health").text)


def test_the_language_is_the_sites_until_the_reader_chooses(tmp_path: Path) -> None:
    web = Web(tmp_path, facts={"language": "es"})
    client = web.client()
    web.film(0.9)
    assert '<html lang="es"' in client.get("/").text
    assert "Neumonía" in client.get("/").text
    answer = client.post("/language", data={"language": "en", "next": "/health"})
    assert answer.headers["location"] == "/health"
    assert "Takes films and analyses them" in client.get("/health").text
    client.post("/language", data={"language": "tlh"})
    assert '<html lang="en"' in client.get("/").text


def test_the_node_is_frozen_by_somebody(web: Web, client: TestClient) -> None:
    post(client, "/worklist/freeze", frozen="1")
    with web.bench.store.reading() as tx:
        assert worklist.is_frozen(tx)
    (row,) = web.bench.rows("SELECT detail FROM event WHERE event = 'worklist.frozen'")
    assert row["detail"] == '{"address": "127.0.0.1", "by": "local"}'
