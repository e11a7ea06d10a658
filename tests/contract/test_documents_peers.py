"""Our documents before other people's archives: dcmtk's storescp and dcmqrscp, and Orthanc, which give them back."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from cxr_node.dimse import sender
from cxr_node.dimse.sender import Peer
from cxr_node.documents import Document
from cxr_node.domain.report_class import REPORT_CLASSES
from cxr_node.imaging.digest import data_set_digest
from tests import films
from tests.documents import every_document
from tests.node import free_port, listens, wait_for
from tests.orthanc import Orthanc

pytestmark = pytest.mark.peers

DCMQRSCP = """
NetworkTCPPort = {port}
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
QR {folder} RW (200, 1024mb) ANY
AETable END
"""
Archive = Callable[[Path], AbstractContextManager[Peer]]


@contextmanager
def _process(peer: Peer, *command: object) -> Iterator[Peer]:
    with subprocess.Popen([str(each) for each in command], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT) as run:
        try:
            wait_for(lambda: listens(peer.port), what=str(command[0]))
            yield peer
        finally:
            run.kill()


def storescp(folder: Path) -> AbstractContextManager[Peer]:
    peer = Peer("storescp", "STORESCP", "127.0.0.1", free_port())
    return _process(peer, "storescp", "--bit-preserving", "--output-directory", folder, peer.port)


def dcmqrscp(folder: Path) -> AbstractContextManager[Peer]:
    peer, settings = Peer("dcmqrscp", "QR", "127.0.0.1", free_port()), folder / "qr.cfg"
    kept = folder / "kept"
    kept.mkdir()
    settings.write_text(DCMQRSCP.format(port=peer.port, folder=kept), "utf-8")
    return _process(peer, "dcmqrscp", "--config", settings, "--bit-preserving")


@contextmanager
def orthanc(folder: Path) -> Iterator[Peer]:
    with Orthanc(folder) as running:
        yield Peer("orthanc", running.ae_title, "127.0.0.1", running.port)


def _files(documents: list[Document], folder: Path) -> list[Path]:
    folder.mkdir()
    paths = []
    for document in documents:
        path = folder / f"{document.sop_instance_uid}.dcm"
        path.write_bytes(document.content)
        paths.append(path)
    return paths


@pytest.mark.parametrize("archive", [storescp, dcmqrscp, orthanc], ids=lambda archive: archive.__name__)
def test_an_archive_takes_every_document(archive: Archive, tmp_path: Path) -> None:
    documents = every_document(films.chest(1))
    assert {document.sop_class_uid for document in documents} >= set(REPORT_CLASSES.values())
    with archive(tmp_path) as peer:
        statuses = [sender.send(peer, "CXR_NODE", path) for path in _files(documents, tmp_path / "ours")]
    assert statuses == [0x0000] * len(documents)


def test_orthanc_gives_every_document_back_as_it_was(tmp_path: Path) -> None:
    documents = every_document(films.chest(1))
    ours = _files(documents, tmp_path / "ours")
    with Orthanc(tmp_path) as running:
        peer = Peer("orthanc", running.ae_title, "127.0.0.1", running.port)
        for path in ours:
            sender.send(peer, "CXR_NODE", path)
        kept = {
            running.get(f"/instances/{one}/simplified-tags")["SOPInstanceUID"]: one for one in running.get("/instances")
        }
        assert kept.keys() == {document.sop_instance_uid for document in documents}
        for path in ours:
            back = tmp_path / "back.dcm"
            back.write_bytes(running.file(kept[path.stem]))
            assert data_set_digest(back) == data_set_digest(path)
