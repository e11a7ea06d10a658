"""UPS-RS (PS3.18 section 11): the transactions over HTTP in JSON and XML, and event reports over WebSockets."""

import json
import struct
import time
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import websocket
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from cxr_node.domain.dicom_json import code, element, sequence
from cxr_node.domain.reading import Actor
from cxr_node.domain.workitem import FILTERED, GLOBAL
from cxr_node.errors import Permanent
from cxr_node.store import reading, subscriptions
from cxr_node.web import native
from cxr_node.web.accounts import Role
from tests.node import wait_for
from tests.steps import performed, wanted
from tests.unit.test_web_server import serving
from tests.web import Web

BASE = "/dicom-web/workitems"
JSON, XML = "application/dicom+json", "application/dicom+xml"
T1 = "1.2.100.1"
TOKENS = {"reader-token": Role.READER, "viewer-token": Role.VIEWER}


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return Web(tmp_path, tokens=TOKENS)


@pytest.fixture
def client(web: Web) -> TestClient:
    """A program that may act."""
    return web.client(authorization="Bearer reader-token", accept=JSON)


def uid_of(web: Web, study: str) -> str:
    rows = web.bench.rows("SELECT uid FROM workitem WHERE study_instance_uid = ? ORDER BY sequence", study)
    return str(rows[-1]["uid"])


def waiting(web: Web, receiver: str) -> list[str]:
    """The workitems of the reports that a subscriber has not been told."""
    with web.bench.store.reading() as tx:
        return [one.workitem for one in subscriptions.waiting(tx, receiver, 10)]


def state(wanted_state: str, transaction: str = T1) -> dict[str, Any]:
    return {"00741000": element("CS", wanted_state), "00081195": element("UI", transaction)}


def claim(client: TestClient, uid: str) -> int:
    return client.put(f"{BASE}/{uid}/state", json=state("IN PROGRESS")).status_code


def test_studies_in_reading_order(web: Web, client: TestClient) -> None:
    normal, high = web.film(0.1), web.film(0.9)
    answer = client.get(BASE, params={"ProcedureStepState": "SCHEDULED"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, JSON)
    assert [one["0020000D"]["Value"][0] for one in answer.json()] == [high, normal]
    assert client.get(BASE, params={"ProcedureStepState": "COMPLETED"}).status_code == 204


def test_keys_by_keyword_tag_and_path_and_a_page_of_the_list(web: Web, client: TestClient) -> None:
    first = web.film(AccessionNumber="A1", PatientName="Doe^Jane")
    for number in (2, 3):
        web.film(AccessionNumber=f"A{number}", PatientName="Roe^Jo")

    def found(**keys: str) -> int:
        answer = client.get(BASE, params=keys)
        return len(answer.json()) if answer.status_code == 200 else 0

    assert found(**{"ReferencedRequestSequence.AccessionNumber": "A1"}) == 1
    assert found(**{"0040A370.00080050": "A*"}) == 3
    assert found(PatientName="roe*", includefield="all") == 2
    assert found(StudyInstanceUID=first) == 1
    page = client.get(BASE, params={"limit": "1", "offset": "1"})
    assert [one["0040A370"]["Value"][0]["00080050"]["Value"] for one in page.json()] == [["A2"]]
    assert page.headers["warning"].startswith("299")
    for bad in ({"NoSuchKeyword": "1"}, {"limit": "-1"}, {"offset": "x"}, {"99999999": "1"}):
        assert client.get(BASE, params=bad).status_code == 400


def test_the_whole_life_of_a_reading(web: Web, client: TestClient) -> None:
    study = web.film()
    uid = uid_of(web, study)
    assert claim(client, uid) == 200
    (entry,) = client.get("/api/worklist").json()
    assert (entry["state"], entry["reader"]) == ("reading", "program0")
    assert claim(client, uid) == 409
    unmet = client.put(f"{BASE}/{uid}/state", json=state("COMPLETED"))
    assert (unmet.status_code, "0074,1216" in unmet.headers["warning"]) == (409, True)
    said = performed().to_json_dict()
    assert client.post(f"{BASE}/{uid}?transaction-uid=1.9", json=said).status_code == 400
    assert client.post(f"{BASE}/{uid}?transaction-uid={T1}", json=said).status_code == 200
    assert client.put(f"{BASE}/{uid}/state", json=state("COMPLETED", "1.9")).status_code == 400
    assert client.put(f"{BASE}/{uid}/state", json=state("COMPLETED")).status_code == 200
    assert client.put(f"{BASE}/{uid}/state", json=state("COMPLETED")).status_code == 409
    assert client.put(f"{BASE}/{uid}/state", json=state("CANCELED")).status_code == 409
    assert client.get("/api/worklist").json() == []
    (whole,) = client.get(f"{BASE}/{uid}").json()
    assert whole["00741000"]["Value"] == ["COMPLETED"]
    assert "00081195" not in whole


def test_a_workitem_is_created_in_json_and_in_xml(web: Web, client: TestClient) -> None:
    study = web.film()
    said = wanted(study).to_json_dict()
    made = client.post(BASE, params={"workitem": "1.2.9"}, json=said, headers={"content-type": JSON})
    assert (made.status_code, made.headers["location"]) == (201, f"{BASE}/1.2.9")
    assert client.post(BASE, params={"workitem": "1.2.9"}, json=[said]).status_code == 409
    assert client.get("/api/worklist").json()[0]["priority"] == "high"
    made = client.post(BASE, content=native.write(said), headers={"content-type": XML})
    assert made.status_code == 201
    uid = made.headers["location"].rpartition("/")[2]
    answer = client.get(f"{BASE}/{uid}", headers={"accept": XML})
    assert answer.headers["content-type"] == XML
    assert native.read(answer.content) == client.get(f"{BASE}/{uid}").json()[0]


def test_several_in_xml_are_a_part_each(web: Web, client: TestClient) -> None:
    for _ in range(2):
        web.film()
    answer = client.get(BASE, headers={"accept": f'multipart/related; type="{XML}"'})
    kind = answer.headers["content-type"]
    parts = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + answer.content).get_payload()
    assert [part.get_content_type() for part in parts] == [XML, XML]
    for part in parts:
        ElementTree.fromstring(part.get_payload(decode=True))  # noqa: S314


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", JSON), (b"[]", JSON), (b"[{}, {}]", JSON), (b'"x"', JSON), (b'{"1": {}}', JSON),
        (b'{"00741000": {"vr": "CS", "Value": {}}}', JSON), (b'{"00100010": {"vr": "PN", "Value": ["x"]}}', JSON),
        (b"<x", XML), (b'<!DOCTYPE a [<!ENTITY b "c">]><a/>', XML),
        (b'<NativeDicomModel xmlns="' + native.NAMESPACE.encode() + b'"><DicomAttribute/></NativeDicomModel>', XML),
    ],
)  # fmt: skip
def test_what_is_no_data_set_is_refused(client: TestClient, content: bytes, kind: str) -> None:
    answer = client.post(BASE, content=content, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["error"]) == (400, "FORM_INVALID")


def test_what_is_wrong_and_why(web: Web, client: TestClient) -> None:
    uid = uid_of(web, web.film())
    assert client.get(f"{BASE}/1.2.3").status_code == 404
    assert client.put(f"{BASE}/1.2.3/state", json=state("IN PROGRESS")).status_code == 404
    assert client.put(f"{BASE}/{uid}/state", json=state("COMPLETED")).status_code == 409
    assert client.put(f"{BASE}/{uid}/state", json=state("SCHEDULED")).status_code == 400
    assert client.post(f"{BASE}/{uid}/cancelrequest").status_code == 409
    assert client.post(BASE, json=wanted("1.2", ProcedureStepState="COMPLETED").to_json_dict()).status_code == 400
    too_long = wanted("1.2", TextValue="x" * 70_000).to_json_dict()
    assert client.post(BASE, json=too_long).status_code == 503
    assert client.post(BASE, content=b"x" * 200_000).status_code == 413


def test_a_peer_s_own_is_canceled(client: TestClient) -> None:
    client.post(BASE, params={"workitem": "1.2.9"}, json=wanted("1.2").to_json_dict())
    assert client.post(f"{BASE}/1.2.9/cancelrequest", json={"00741238": element("LT", "why")}).status_code == 202
    assert client.post(f"{BASE}/1.2.9/cancelrequest/ME").status_code == 409


def test_each_role_may_do_what_it_may(web: Web) -> None:
    uid = uid_of(web, web.film())
    viewer, stranger = web.client(authorization="Bearer viewer-token"), web.client()
    assert viewer.get(BASE).status_code == viewer.get(f"{BASE}/{uid}").status_code == 200
    assert claim(viewer, uid) == 403
    assert viewer.post(BASE, json={}).status_code == 403
    assert viewer.delete(f"{BASE}/{uid}/subscribers/A").status_code == 403
    assert stranger.get(BASE).status_code == claim(stranger, uid) == 401


def test_no_page_of_another_site_acts(tmp_path: Path) -> None:
    web = Web(tmp_path)  # open to this machine
    uid, client = uid_of(web, web.film()), web.client()
    path = f"{BASE}/{uid}/state"
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert client.put(path, json=state("IN PROGRESS"), headers=headers).status_code == 403
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/dicom-web/subscribers/ME", headers={"origin": "https://evil.example"}),
    ):
        pass
    assert client.put(path, json=state("IN PROGRESS"), headers={"origin": "http://localhost"}).status_code == 200


def subscribe(client: TestClient, uid: str = GLOBAL, receiver: str = "ME", **options: str) -> Any:
    return client.post(f"{BASE}/{uid}/subscribers/{receiver}", params=options)


def test_events_come_over_the_websocket(web: Web, client: TestClient) -> None:
    answer = subscribe(client)
    assert (answer.status_code, answer.headers["content-location"]) == (201, "ws://localhost/dicom-web/subscribers/ME")
    first = uid_of(web, web.film())  # while nobody listens: it waits
    with client.websocket_connect("/dicom-web/subscribers/ME") as channel:
        told = json.loads(channel.receive_text())
        assert (told["00001000"]["Value"], told["00001002"]["Value"]) == ([first], [1])
        assert told["00741000"]["Value"] == ["SCHEDULED"]
        claim(client, first)
        assert json.loads(channel.receive_text())["00741000"]["Value"] == ["IN PROGRESS"]
    with web.bench.store.reading() as tx:
        assert subscriptions.waiting(tx, "ME", 10) == []
    assert client.delete(f"{BASE}/{GLOBAL}/subscribers/ME").status_code == 200
    web.film()
    with web.bench.store.reading() as tx:
        assert subscriptions.waiting(tx, "ME", 10) == []


def test_filters_locks_and_suspension(web: Web, client: TestClient) -> None:
    answer = subscribe(client, FILTERED, deletionlock="true", filter="ReferencedRequestSequence.AccessionNumber=W*")
    assert answer.status_code == 201
    web.film(AccessionNumber="X1")
    study = web.film(AccessionNumber="W1")
    assert client.post(f"{BASE}/{FILTERED}/subscribers/ME/suspend").status_code == 200
    web.film(AccessionNumber="W2")
    assert waiting(web, "ME") == [uid_of(web, study)]
    assert subscribe(client, FILTERED, filter="nonsense").status_code == 400


def test_whom_the_channel_is_for(web: Web, client: TestClient) -> None:
    viewer = web.client(authorization="Bearer viewer-token")
    for one, receiver in ((viewer, "ME"), (web.client(), "ME"), (client, "WATCHER")):  # the last is called by DIMSE
        with pytest.raises(WebSocketDisconnect), one.websocket_connect(f"/dicom-web/subscribers/{receiver}"):
            pass


def test_over_a_real_connection_in_order_and_none_twice(web: Web, client: TestClient) -> None:
    subscribe(client)
    with serving(web, head_seconds=1) as port:
        address = f"ws://127.0.0.1:{port}/dicom-web/subscribers/ME"
        header = ["Authorization: Bearer reader-token"]
        studies, heard = [], []
        for count in (2, 1):  # it goes away in between; what a connection was handed when it ended would be lost
            studies += [web.film() for _ in range(count)]
            channel = websocket.create_connection(address, timeout=60, header=header)
            heard += [json.loads(channel.recv())["00001000"]["Value"][0] for _ in range(count)]
            wait_for(lambda: not waiting(web, "ME"), what="word that it was told")
            channel.close(timeout=60)
        channel = websocket.create_connection(address, timeout=60, header=header)
        time.sleep(1.2)  # longer than the head of a request may take
        uid = uid_of(web, web.film())
        assert json.loads(channel.recv())["00001000"]["Value"] == [uid]
        channel.close()
    assert heard == [uid_of(web, study) for study in studies]


def test_a_newer_connection_takes_the_place_of_one_that_hangs(web: Web, client: TestClient) -> None:
    subscribe(client)
    with serving(web) as port:
        address = f"ws://127.0.0.1:{port}/dicom-web/subscribers/ME"
        header = ["Authorization: Bearer reader-token"]
        old = websocket.create_connection(address, timeout=60, header=header)
        new = websocket.create_connection(address, timeout=60, header=header)
        code_of_end, frame = old.recv_data()
        assert (code_of_end, struct.unpack("!H", frame[:2])[0]) == (websocket.ABNF.OPCODE_CLOSE, 4000)
        uid = uid_of(web, web.film())
        assert json.loads(new.recv())["00001000"]["Value"] == [uid]
        for one in (old, new):
            one.shutdown()


@pytest.fixture
def attributes() -> Iterator[dict[str, Any]]:
    yield {
        "00100010": element("PN", {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}),
        "00404018": sequence(code("110005", "DCM", "Interpretation")),
        "00741004": element("DS", 40.5),
        "00280010": element("US", 512),
        "00741210": {"vr": "SQ"},
    }


def test_xml_and_back(attributes: dict[str, Any]) -> None:
    assert native.read(native.write(attributes)) == attributes
    root = ElementTree.fromstring(native.write(attributes))  # noqa: S314
    assert root.tag == f"{{{native.NAMESPACE}}}NativeDicomModel"
    assert root[0].attrib["keyword"] == "PatientName"
    with pytest.raises(Permanent):
        native.read(b"<a>&nothing;</a>")


def test_the_page_and_a_program_do_not_hold_a_study_both(web: Web, client: TestClient) -> None:
    study = web.film()
    with web.bench.store.transaction() as tx:
        reading.claim(tx, study, Actor("dr.adams"), web.bench.clock())
    assert claim(client, uid_of(web, study)) == 409


def test_without_ups_there_is_nothing(web: Web, client: TestClient) -> None:
    from dataclasses import replace

    from cxr_node.web.app import build

    app = build(replace(web.site(), desk=None), web.door())
    assert TestClient(app).get(BASE, headers={"authorization": "Bearer reader-token"}).status_code == 404
