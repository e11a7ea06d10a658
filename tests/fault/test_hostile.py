"""Senders that mean harm: names that are paths, films that are bombs, requests that do not end."""

import socket
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydicom import uid
from pydicom.dataset import FileDataset

from tests.fault.damage import data_set, put
from tests.films import chest, encode
from tests.node import TIMEOUT, Node

pytestmark = pytest.mark.fault

NOT_UNDERSTOOD, MISMATCH = 0xC000, 0xA900
MEGABYTE = 1 << 20
PATHS = ("../../../escaped", "/tmp/escaped", "..", "escaped\x00.dcm", "films/../../escaped")


def beside(node: Node) -> list[Path]:
    """Every file near the node's folder that is not the node's own, nor was sent by the test."""
    own = (node.data, node.folder / "sent")
    return sorted(path for path in node.folder.parent.rglob("*") if not any(path.is_relative_to(one) for one in own))


def peak_megabytes(node: Node, role: str) -> float:
    """The most resident memory that the process of a role has had."""
    (pid,) = node.processes(role)
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_a_uid_that_is_a_path_leads_nowhere(standing: Node, keyword: str) -> None:
    before = beside(standing)
    for value in PATHS:
        film = chest()
        put(film, keyword, value)
        standing.send(film, expect=MISMATCH)
    assert beside(standing) == before
    assert not [path for path in standing.data.rglob("*") if "escaped" in path.name]


def test_an_ae_title_that_is_a_path_leads_nowhere(standing: Node) -> None:
    before = beside(standing)
    for title in ("../../escaped", "/tmp/escaped", "$(touch escaped)", "%s%n{0}"):
        standing.send(chest(), calling=title)
    assert beside(standing) == before
    assert not [path for path in standing.data.rglob("*") if "escaped" in path.name]


def test_a_file_name_of_a_sender_names_no_file(standing: Node) -> None:
    film = chest()
    put(film, "ReferencedFileID", ["..", "..", "ESCAPED"])
    standing.send(film)
    stored = standing.study(film.StudyInstanceUID)["instances"][0]["path"]
    assert stored == f"films/{Path(stored).stem[:2]}/{Path(stored).stem}.dcm"
    assert len(Path(stored).stem) == 64


def inflating(film: FileDataset, node: Node, zeros: int) -> Path:
    """The film, deflated, with so many bytes of pixel data that are really there."""
    path = node.written(encode(film, uid.DeflatedExplicitVRLittleEndian))
    plain = zlib.decompress(data_set(path), -zlib.MAX_WBITS)
    start = plain.index(b"\xe0\x7f\x10\x00OW\x00\x00") + 8
    deflater = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    pieces = [deflater.compress(plain[:start] + struct.pack("<I", zeros))]
    pieces += [deflater.compress(bytes(MEGABYTE)) for _ in range(zeros // MEGABYTE)]
    pieces += [deflater.compress(bytes(zeros % MEGABYTE)), deflater.flush()]
    content = path.read_bytes()
    path.write_bytes(content.removesuffix(data_set(path)) + b"".join(pieces))
    return path


@pytest.mark.parametrize("honest", [True, False], ids=["as its header says", "under a small header"])
def test_a_deflated_film_of_20000_x_20000_that_is_really_there(standing: Node, honest: bool) -> None:
    film = chest(Rows=20000, Columns=20000) if honest else chest()
    path = inflating(film, standing, 20000 * 20000 * 2)
    assert path.stat().st_size < 8 * MEGABYTE

    standing.send(path, expect=NOT_UNDERSTOOD)

    assert peak_megabytes(standing, "serve") < 400
    assert not standing.study(film.StudyInstanceUID)


def item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def request(contexts: int) -> bytes:
    """An A-ASSOCIATE-RQ with so many presentation contexts for Verification (PS3.8 9.3.2)."""
    proposed = item(0x30, b"1.2.840.10008.1.1") + item(0x40, b"1.2.840.10008.1.2")
    body = struct.pack(">HH16s16s32x", 1, 0, b"CXR_NODE".ljust(16), b"MODALITY".ljust(16))
    body += item(0x10, b"1.2.840.10008.3.1.1.1")
    body += b"".join(item(0x20, bytes([2 * n % 256 | 1, 0, 0, 0]) + proposed) for n in range(contexts))
    body += item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3"))
    return struct.pack(">BxI", 1, len(body)) + body


@pytest.fixture
def connection(standing: Node) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", standing.port), timeout=TIMEOUT)) as connection:
        yield connection


@pytest.mark.parametrize(
    ("contexts", "answer"),
    [(1, b"\x02"), (128, b"\x02"), (129, b"\x03"), (3000, b"\x03"), (10000, b"")],
    ids=["one", "all that there may be", "one too many", "thousands", "more than is read"],
)
def test_a_request_with_contexts_without_end(connection: socket.socket, contexts: int, answer: bytes) -> None:
    connection.sendall(request(contexts))
    try:
        assert connection.recv(1) == answer
    except ConnectionResetError:
        assert answer == b""
