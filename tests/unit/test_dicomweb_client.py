"""A DICOMweb server as it answers, and as it fails: what is sent byte by byte, and what each answer is taken for."""

import json
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from cxr_node.dicomweb import client
from cxr_node.dicomweb.client import ClassRefused, Server
from cxr_node.dicomweb.workitems import Workitems
from cxr_node.domain import region
from cxr_node.domain.multipart import boundary_of, parts
from cxr_node.domain.priority import Priority
from cxr_node.domain.region import Asked
from cxr_node.domain.workitem import State
from cxr_node.errors import Permanent, Transient

STORED = {"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}]}}


def failed(reason: int) -> dict[str, Any]:
    return {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [reason]}}]}}


class Web(ThreadingHTTPServer):
    """Answers every request with what `answers` has next, and keeps what was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str, bytes]] = []
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def answer(self, status: int, body: object = b"", kind: str = "application/dicom+json") -> None:
        self.answers.append((status, kind, body if isinstance(body, bytes) else json.dumps(body).encode()))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/dicom-web"


class Handler(BaseHTTPRequestHandler):
    server: Web

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, dict(self.headers.items()), body))
        status, kind, answer = self.server.answers.pop(0)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = handle_any

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.05,))
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture
def server(web: Web) -> Server:
    return Server("pacs", web.url, timeout=60)


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "1.2.dcm"
    path.write_bytes(bytes(range(256)) * 1000)
    return path


def test_a_document_is_sent_byte_by_byte(web: Web, server: Server, document: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("Bearer secret\n")
    web.answer(200, STORED)
    assert client.store(Server("pacs", web.url, authorization=tmp_path / "token"), document) == 0
    ((method, path, headers, body),) = web.asked
    assert (method, path, headers["Authorization"]) == ("POST", "/dicom-web/studies", "Bearer secret")
    boundary = headers["Content-Type"].rpartition("boundary=")[2].encode()
    (sent,) = [b"".join(part) for part in parts([body], boundary)]
    assert sent == document.read_bytes()


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (409, failed(0x0122), ClassRefused, "NO_CONTEXT"),
        (409, failed(0xA700), Transient, "PEER_OUT_OF_RESOURCES"),
        (202, failed(0x0110), Transient, "PEER_FAULT"),
        (409, failed(0xC000), Permanent, "PEER_REFUSED"),
        (409, {}, Permanent, "PEER_REFUSED"),
        (401, b"", Transient, "REJECTED"),
        (404, b"", Permanent, "PEER_REFUSED"),
        (413, b"", Permanent, "PEER_REFUSED"),
        (500, b"", Transient, "PEER_FAULT"),
        (503, b"", Transient, "PEER_OUT_OF_RESOURCES"),
        (200, b"<html>", Transient, "ANSWER_INVALID"),
    ],
)
def test_every_refusal_is_told_as_what_it_is(
    web: Web, server: Server, document: Path, *, status: int, body: object, kind: type[Exception], code: str
) -> None:
    web.answer(status, body)
    with pytest.raises(kind) as refused:
        client.store(server, document)
    assert refused.value.code == code  # type: ignore[attr-defined]


def test_a_warning_is_what_it_gives(web: Web, server: Server, document: Path) -> None:
    stored = {"00081199": {"vr": "SQ", "Value": [{"00081196": {"vr": "US", "Value": [0xB000]}}]}}
    web.answer(202, [stored])
    assert client.store(server, document) == 0xB000


def test_nobody_there_and_a_token_that_is_gone(tmp_path: Path, document: Path) -> None:
    with pytest.raises(Transient) as refused:
        client.store(Server("pacs", "http://127.0.0.1:9/dicom-web", timeout=2), document)
    assert refused.value.code == "UNREACHABLE"
    with pytest.raises(Transient, match="No such file"):
        client.store(Server("pacs", "http://127.0.0.1:9", authorization=tmp_path / "gone"), document)


def test_a_search_goes_on_until_a_page_is_not_full(web: Web, server: Server) -> None:
    page = [{"0020000D": {"vr": "UI", "Value": [f"1.{n}"]}} for n in range(100)]
    web.answer(200, page)
    web.answer(200, page[:3])
    found = [
        client.value_of(one, "0020000D")[0] for one in client.search(server, "/studies", {"StudyDate": "20260101"})
    ]
    assert len(found) == 103
    assert [path.partition("?")[2] for _, path, _, _ in web.asked] == [
        "StudyDate=20260101&limit=100&offset=0",
        "StudyDate=20260101&limit=100&offset=100",
    ]


def test_nothing_found_is_no_failure(web: Web, server: Server) -> None:
    web.answer(204)
    assert list(client.search(server, "/studies", {})) == []
    web.answer(200, {"no": "list"})
    with pytest.raises(Transient, match="no list"):
        list(client.search(server, "/studies", {}))


def test_what_is_held_is_found_by_its_uid(web: Web, server: Server) -> None:
    web.answer(200, [{"00080018": {"vr": "UI", "Value": ["1.2.3"]}}])
    assert client.holds(server, "1", "2", "1.2.3")
    assert web.asked[0][1].startswith("/dicom-web/studies/1/series/2/instances?SOPInstanceUID=1.2.3")
    web.answer(200, [{"00080018": {"vr": "UI", "Value": ["9.9"]}}])
    assert not client.holds(server, "", "", "1.2.3")


def test_objects_are_retrieved_as_they_are(web: Web, server: Server) -> None:
    bodies = [b"\r\n--almost" * 10_000, b"", b"x" * 200_000]
    message = b"".join(b"--B\r\nContent-Type: application/dicom\r\n\r\n" + body + b"\r\n" for body in bodies) + b"--B--"
    web.answer(200, message, 'multipart/related; type="application/dicom"; boundary="B"')
    found: list[bytes] = []

    def write(chunks: Iterable[bytes]) -> None:
        found.append(b"".join(chunks))

    assert client.retrieve(server, "/studies/1", write) == 3
    assert found == bodies


def test_an_answer_that_breaks_off_is_told(web: Web, server: Server) -> None:
    web.answer(200, b"--B\r\n\r\nhalf", "multipart/related; boundary=B")
    with pytest.raises(Transient, match="broke off"):
        client.retrieve(server, "/studies/1", lambda chunks: [*chunks].clear())
    web.answer(200, b"", "application/json")
    with pytest.raises(Transient, match="no multipart"):
        client.retrieve(server, "/studies/1", lambda chunks: [*chunks].clear())


@given(
    st.lists(st.binary(max_size=80).filter(lambda body: b"\r\n--B" not in body), max_size=4),
    st.integers(1, 40),
)
def test_however_it_is_cut_the_parts_are_the_same(bodies: list[bytes], size: int) -> None:
    message = b"".join(b"--B\r\nX: y\r\n\r\n" + body + b"\r\n" for body in bodies) + b"--B--\r\n"
    chunks = (message[at : at + size] for at in range(0, len(message), size))
    assert [b"".join(part) for part in parts(chunks, b"B")] == bodies


@pytest.mark.parametrize(
    ("said", "boundary"),
    [
        ("multipart/related; boundary=abc", b"abc"),
        ('multipart/related; boundary="a b;c"; type="application/dicom"', b"a b;c"),
        ("Multipart/Related; Boundary=abc ; type=x", b"abc"),
        (f"multipart/related; boundary={'x' * 73}", b"x" * 73),
        (f"multipart/related; boundary={'x' * 300}", None),
        ("multipart/related", None),
        ("application/json; boundary=abc", None),
    ],
)
def test_a_boundary_is_found_whole_or_not_at_all(said: str, boundary: bytes | None) -> None:
    assert boundary_of(said) == boundary


def test_workitems_are_looked_at_created_set_and_moved(web: Web, server: Server) -> None:
    at = Workitems(server)
    web.answer(404)
    web.answer(200, [{"00741000": {"vr": "CS", "Value": ["IN PROGRESS"]}}])
    for _ in range(4):
        web.answer(200)
    assert at.look("2.25.1") is None
    assert at.look("2.25.1") is State.IN_PROGRESS
    at.create("2.25.1", {"00741200": {"vr": "CS", "Value": ["HIGH"]}})
    at.update("2.25.1", {}, None)
    at.update("2.25.1", {}, "2.25.2")
    at.move("2.25.1", State.COMPLETED, "2.25.2")
    assert [(method, path) for method, path, *_ in web.asked] == [
        ("GET", "/dicom-web/workitems/2.25.1"),
        ("GET", "/dicom-web/workitems/2.25.1"),
        ("POST", "/dicom-web/workitems?workitem=2.25.1"),
        ("POST", "/dicom-web/workitems/2.25.1"),
        ("POST", "/dicom-web/workitems/2.25.1?transaction-uid=2.25.2"),
        ("PUT", "/dicom-web/workitems/2.25.1/state"),
    ]
    assert json.loads(web.asked[2][3]) == [{"00741200": {"vr": "CS", "Value": ["HIGH"]}}]
    moved = json.loads(web.asked[-1][3])
    assert (moved[0]["00741000"]["Value"], moved[0]["00081195"]["Value"]) == (["COMPLETED"], ["2.25.2"])


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, Permanent, "HUB_REFUSED"),
        (409, Permanent, "HUB_REFUSED"),
        (401, Transient, "REJECTED"),
        (403, Transient, "REJECTED"),
        (404, Transient, "PEER_REFUSED"),  # a mistake in the address must not lose a study
        (405, Transient, "PEER_REFUSED"),
        (500, Transient, "PEER_FAULT"),
        (503, Transient, "PEER_OUT_OF_RESOURCES"),
    ],
)
def test_only_what_is_about_the_workitem_is_final(
    web: Web, server: Server, status: int, kind: type[Exception], code: str
) -> None:
    web.answer(status)
    with pytest.raises(kind) as caught:
        Workitems(server).create("2.25.1", {})
    assert caught.value.code == code  # type: ignore[attr-defined]


@pytest.mark.parametrize("answer", [[], {}, ["text"], [{"00741000": {"vr": "CS", "Value": ["LOST"]}}], b"<html>"])
def test_an_answer_that_is_no_workitem_is_asked_for_again(web: Web, server: Server, answer: object) -> None:
    web.answer(200, answer)
    with pytest.raises(Transient) as caught:
        Workitems(server).look("2.25.1")
    assert caught.value.code == "ANSWER_INVALID"


def asking(study: str, text: str | None = None) -> dict[str, Any]:
    found = {"0020000D": {"vr": "UI", "Value": [study]}}
    said = region.with_asked(found, Asked("1.2", Priority.STAT, "ana", 1.0, 7))
    if text is not None:
        said["00741210"]["Value"][0]["0040A160"]["Value"] = [text]
    return said


def test_what_is_asked_at_the_hub_is_searched_for(web: Web, server: Server) -> None:
    web.answer(200, [asking("1.2.3"), asking("1.2.4", "{"), {"0020000D": 5}, asking("")])
    web.answer(204)
    with structlog.testing.capture_logs() as logged:
        assert Workitems(server).asked() == {"1.2.3": Asked("1.2", Priority.STAT, "ana", 1.0, 7)}
    assert Workitems(server).asked() == {}
    assert [line["event"] for line in logged] == ["hub.unreadable"] * 3
    path, _, query = web.asked[0][1].partition("?")
    assert (web.asked[0][0], path) == ("GET", "/dicom-web/workitems")
    assert query.startswith("ScheduledProcessingParametersSequence.ConceptNameCodeSequence.CodeValue=asked&")


@pytest.mark.parametrize(("status", "code"), [(404, "PEER_REFUSED"), (401, "REJECTED"), (500, "PEER_FAULT")])
def test_a_hub_that_cannot_be_asked_is_asked_again(web: Web, server: Server, status: int, code: str) -> None:
    web.answer(status)
    web.answer(status)
    for call in (Workitems(server).asked, Workitems(server).reach):
        with pytest.raises(Transient) as caught:
            call()
        assert caught.value.code == code


def test_a_hub_that_answers_is_reached(web: Web, server: Server) -> None:
    web.answer(204)
    Workitems(server).reach()
