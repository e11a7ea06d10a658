"""The archive of the demonstration: what it takes, keeps and refuses."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import JPEGLSLossless
from pynetdicom.dul import DULServiceProvider

from cxr_node.dimse import sender
from cxr_node.dimse.archive import Archive
from cxr_node.dimse.contexts import VERIFICATION
from cxr_node.errors import ConfigError
from tests import films
from tests.node import wait_for

NOW = 1_767_225_600.0


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    archive = Archive(tmp_path / "archive", "ARCHIVE", clock=lambda: NOW)
    archive.start()
    yield archive
    archive.stop()


def peer(archive: Archive) -> sender.Peer:
    return sender.Peer("archive", "ARCHIVE", "127.0.0.1", archive.port, timeout=60.0)


def test_answers_echo_and_knows_its_port(archive: Archive) -> None:
    assert archive.port > 0
    sender.echo(peer(archive), "TEST")


@pytest.mark.parametrize("syntax", [None, JPEGLSLossless])
def test_keeps_the_bytes_as_they_were_sent(archive: Archive, tmp_path: Path, syntax: str | None) -> None:
    film = films.chest() if syntax is None else films.encode(films.chest(), syntax)
    path = films.write(film, tmp_path / "film.dcm")

    assert sender.send(peer(archive), "TEST", path) == 0x0000

    (kept,) = archive.kept
    assert (kept.sop_class_uid, kept.sop_instance_uid) == (film.SOPClassUID, film.SOPInstanceUID)
    assert (kept.study_instance_uid, kept.arrived_at) == (film.StudyInstanceUID, NOW)
    stored = pydicom.dcmread(kept.path)
    assert stored.file_meta.TransferSyntaxUID == film.file_meta.TransferSyntaxUID
    assert stored.PixelData == film.PixelData


def test_lists_in_order_of_arrival(archive: Archive, tmp_path: Path) -> None:
    sent = [films.chest() for _ in range(3)]
    for number, film in enumerate(sent):
        sender.send(peer(archive), "TEST", films.write(film, tmp_path / f"{number}.dcm"))
    assert [kept.sop_instance_uid for kept in archive.kept] == [film.SOPInstanceUID for film in sent]


def test_stops_and_can_be_started_again(archive: Archive) -> None:
    port = archive.port
    archive.stop()
    archive.stop()
    with socket.socket() as caller:
        assert caller.connect_ex(("127.0.0.1", port)) != 0
    archive.start()
    sender.echo(peer(archive), "TEST")


def test_when_it_stops_nothing_of_open_associations_is_left(archive: Archive) -> None:
    others, patient = set(threading.enumerate()), replace(peer(archive), timeout=300.0)
    ae = sender.application_entity(patient, "TEST")
    ae.add_requested_context(VERIFICATION)
    association = sender.associate(ae, patient)
    archive.stop()
    wait_for(lambda: association.is_aborted, what="an end at the other side, too")

    def left() -> list[threading.Thread]:
        return [one for one in threading.enumerate() if isinstance(one, DULServiceProvider) and one not in others]

    wait_for(lambda: not left(), what="an end of all its threads")


def test_says_when_the_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        archive = Archive(tmp_path, "ARCHIVE", port=taken.getsockname()[1])
        with pytest.raises(ConfigError, match="cannot listen"):
            archive.start()
