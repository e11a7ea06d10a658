"""What the node wrote, by QIDO-RS and WADO-RS; and films that come by STOW-RS."""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from starlette.testclient import TestClient

from cxr_node.domain.multipart import boundary_of, parts
from cxr_node.web.accounts import Role
from tests import films
from tests.bench import NOON
from tests.web import Web
from tests.written import SR, document

TOKENS = {"viewer-token": Role.VIEWER, "reader-token": Role.READER}
VIEWER, READER = ({"Authorization": f"Bearer {name}-token"} for name in ("viewer", "reader"))


@pytest.fixture
def web(tmp_path: Path) -> Web:
    made = Web(tmp_path, tokens=TOKENS)
    document(made, "1.2.1", "1.2.1.9")
    document(made, "1.2.1", "1.2.1.10", modality="OT", at=NOON + 1)
    document(made, "1.2.2", "1.2.2.9", patient="P2", at=NOON + 2)
    return made


@pytest.fixture
def client(web: Web) -> Iterator[TestClient]:
    with web.client() as found:
        yield found


def found(client: TestClient, path: str) -> list[dict[str, Any]]:
    answer = client.get(f"/dicom-web{path}", headers=VIEWER)
    assert answer.status_code in (200, 204), answer.text
    return json.loads(answer.text) if answer.text else []


def uids(matches: list[dict[str, Any]], tag: str) -> list[str]:
    return [match[tag]["Value"][0] for match in matches]


def test_studies_are_searched_by_their_attributes(client: TestClient) -> None:
    assert uids(found(client, "/studies"), "0020000D") == ["1.2.2", "1.2.1"]
    assert uids(found(client, "/studies?PatientID=P1"), "0020000D") == ["1.2.1"]
    assert uids(found(client, "/studies?00100020=P2"), "0020000D") == ["1.2.2"]
    assert uids(found(client, "/studies?limit=1&offset=1"), "0020000D") == ["1.2.1"]
    assert found(client, "/studies?PatientID=nobody") == []
    (match,) = found(client, "/studies?StudyInstanceUID=1.2.1")
    assert match["00081190"]["Value"] == ["/dicom-web/studies/1.2.1"]
    assert "00080018" not in match


def test_series_and_instances(client: TestClient) -> None:
    assert uids(found(client, "/studies/1.2.1/series"), "0020000E") == ["1.2.1.5"]
    assert uids(found(client, "/studies/1.2.1/instances"), "00080018") == ["1.2.1.10", "1.2.1.9"]
    assert uids(found(client, "/studies/1.2.1/series/1.2.1.5/instances?Modality=OT"), "00080018") == ["1.2.1.10"]


def test_there_may_be_more(client: TestClient) -> None:
    answer = client.get("/dicom-web/studies?limit=1", headers=VIEWER)
    assert answer.headers["Warning"] == '299 cxr_node "there are more"'


def test_files_come_as_they_were_written(client: TestClient, web: Web) -> None:
    for path, names in {
        "/studies/1.2.1": ["1.2.1.10", "1.2.1.9"],
        "/studies/1.2.1/series/1.2.1.5": ["1.2.1.10", "1.2.1.9"],
        "/studies/1.2.1/series/1.2.1.5/instances/1.2.1.9": ["1.2.1.9"],
    }.items():
        answer = client.get(f"/dicom-web{path}", headers=VIEWER)
        boundary = boundary_of(answer.headers["content-type"])
        assert boundary
        files = [b"".join(part) for part in parts([answer.content], boundary)]
        assert files == [(web.bench.spool.outbox / f"{name}.dcm").read_bytes() for name in names]


def test_metadata_has_no_file(client: TestClient) -> None:
    (one,) = found(client, "/studies/1.2.1/series/1.2.1.5/instances/1.2.1.9/metadata")
    assert one["00080016"]["Value"] == [SR]
    assert one["00100020"]["Value"] == ["P1"]


def test_what_is_not_there_or_was_given_up_is_not_found(client: TestClient, web: Web) -> None:
    assert client.get("/dicom-web/studies/9.9", headers=VIEWER).status_code == 404
    for path in web.bench.spool.outbox.iterdir():
        path.unlink()
    assert client.get("/dicom-web/studies/1.2.1", headers=VIEWER).status_code == 404
    assert found(client, "/studies") == []


def test_who_looks_is_in_the_trail_and_who_shows_nothing_sees_nothing(client: TestClient, web: Web) -> None:
    assert client.get("/dicom-web/studies/1.2.1").status_code == 401
    assert "study.viewed" not in web.bench.events()
    found(client, "/studies/1.2.1/instances")
    assert "study.viewed" in web.bench.events()


# -- STOW-RS


@pytest.fixture
def open_web(tmp_path: Path) -> Web:
    return Web(tmp_path, tokens=TOKENS, stow=True)


def part10(film: Dataset) -> bytes:
    stream = BytesIO()
    film.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def send(
    web: Web, *objects: bytes, to: str = "/studies", headers: dict[str, str] | None = None, kind: str | None = None
) -> Any:
    body = (
        b"".join(b"--B\r\nContent-Type: application/dicom\r\n\r\n" + each + b"\r\n" for each in objects) + b"--B--\r\n"
    )
    said = {"Content-Type": kind or 'multipart/related; type="application/dicom"; boundary=B'}
    return web.client().post(f"/dicom-web{to}", content=body, headers=said | (READER if headers is None else headers))


def test_films_are_stored_before_they_are_answered(open_web: Web) -> None:
    one, two = films.chest(1), films.chest(2)
    answer = send(open_web, part10(one), part10(two))
    assert answer.status_code == 200
    stored = answer.json()["00081199"]["Value"]
    assert [item["00081155"]["Value"] for item in stored] == [[str(one.SOPInstanceUID)], [str(two.SOPInstanceUID)]]
    rows = open_web.bench.rows("SELECT * FROM instance ORDER BY id")
    assert [row["sop_instance_uid"] for row in rows] == [str(one.SOPInstanceUID), str(two.SOPInstanceUID)]
    assert {row["calling_ae_title"] for row in rows} == {"program1"}
    for row in rows:
        film = dcmread(open_web.bench.spool.path(row["path"]))
        assert film.PixelData in (one.PixelData, two.PixelData)
        assert open_web.bench.spool.path(row["path"]).stat().st_mode & 0o777 == 0o600
    assert list(open_web.bench.spool.incoming.iterdir()) == []


def test_the_same_over_http_and_dimse_is_one_film(open_web: Web) -> None:
    film = films.chest(1)
    open_web.bench.send(film)
    assert send(open_web, part10(film)).status_code == 200
    assert len(open_web.bench.rows("SELECT * FROM instance")) == 1


def test_what_is_no_film_is_kept_aside_and_said(open_web: Web) -> None:
    answer = send(open_web, part10(films.chest(1)), b"no film at all" * 100)
    assert answer.status_code == 202
    (failed,) = answer.json()["00081198"]["Value"]
    assert failed["00081197"]["Value"] == [0xC000]
    assert len(list(open_web.bench.spool.quarantine.iterdir())) == 1
    assert send(open_web, b"no film").status_code == 409


def test_a_study_in_the_address_must_be_that_of_the_film(open_web: Web) -> None:
    film = films.chest(1)
    answer = send(open_web, part10(film), to="/studies/1.2.3")
    assert answer.status_code == 409
    assert answer.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0xA900]
    assert open_web.bench.rows("SELECT * FROM instance") == []
    assert send(open_web, part10(film), to=f"/studies/{film.StudyInstanceUID}").status_code == 200


def test_without_room_it_is_told_to_come_again(tmp_path: Path) -> None:
    web = Web(tmp_path, tokens=TOKENS, stow=True)
    web.bench.spool._watermark = 1 << 60
    answer = send(web, part10(films.chest(1)))
    assert answer.status_code == 409
    assert answer.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0xA700]
    assert list(web.bench.spool.incoming.iterdir()) == []


def test_a_message_that_breaks_off_keeps_what_came_whole(open_web: Web) -> None:
    whole = part10(films.chest(1))
    answer = open_web.client().post(
        "/dicom-web/studies",
        content=b"--B\r\n\r\n" + whole + b"\r\n--B\r\n\r\n" + whole[:5000],
        headers=READER | {"Content-Type": "multipart/related; boundary=B"},
    )
    assert (answer.status_code, answer.json()["message"]) == (400, "the message broke off")
    assert len(open_web.bench.rows("SELECT * FROM instance")) == 1
    assert list(open_web.bench.spool.incoming.iterdir()) == []


@pytest.mark.parametrize(
    ("headers", "kind", "status"),
    [
        ({}, None, 401),
        (VIEWER, None, 403),
        (READER, "application/dicom+json", 415),
        (READER, 'multipart/related; type="application/dicom+json"; boundary=B', 415),
    ],
)
def test_who_may_not_and_what_is_not_dicom(
    open_web: Web, headers: dict[str, str], kind: str | None, status: int
) -> None:
    answer = send(open_web, part10(films.chest(1)), headers=headers, kind=kind)
    assert answer.status_code == status
    assert open_web.bench.rows("SELECT * FROM instance") == []


def test_it_is_off_unless_it_is_said(web: Web) -> None:
    assert send(web, part10(films.chest(1))).status_code == 405
