"""The adapter over pynetdicom's receiving side: these fail when pynetdicom changes underneath."""

import errno
import inspect
import io
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import dimse_messages, transport
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.service_class import StorageServiceClass

from cxr_node.dimse import reception
from cxr_node.dimse.reception import Part, finished_part, receive_into, unfinished_part
from cxr_node.dimse.writeback import begin_write_back
from cxr_node.imaging.digest import data_set_digest
from tests import films

CONTEXT = 1


@pytest.fixture(autouse=True)
def incoming(tmp_path: Path) -> Iterator[Path]:
    """Data sets are received into this folder while the test runs."""
    receive_into(tmp_path)
    yield tmp_path


def fragments(film: Any) -> list[Any]:
    """A C-STORE request as P-DATA primitives of 4 KiB, as they come over an association."""
    request = C_STORE()
    request.MessageID, request.Priority = 7, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = film.SOPClassUID, film.SOPInstanceUID
    data = encode(film, is_implicit_vr=False, is_little_endian=True)
    assert data is not None
    request.DataSet = io.BytesIO(data)
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    return list(message.encode_msg(CONTEXT, 4096))


def association(message: Any = None) -> Any:
    accepted = {CONTEXT: SimpleNamespace(transfer_syntax=[ExplicitVRLittleEndian])}
    return SimpleNamespace(_accepted_cx=accepted, dimse=SimpleNamespace(message=message))


def decoded(primitives: list[Any]) -> tuple[Any, bool]:
    message = C_STORE_RQ()
    return message, [message.decode_msg(primitive, association()) for primitive in primitives][-1]


def test_a_data_set_arrives_in_a_part_of_the_spool(incoming: Path) -> None:
    film = films.chest()
    message, complete = decoded(fragments(film))
    assert complete
    part = finished_part(message.message_to_primitive())
    assert part.digest.hexdigest() == data_set_digest(Path(part.name))
    assert (part.error, Path(part.name).parent, Path(part.name).suffix) == (None, incoming, ".part")
    found = dcmread(part.name)
    assert found.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert (found.SOPInstanceUID, found.PixelData) == (film.SOPInstanceUID, film.PixelData)
    part.discard()
    assert list(incoming.iterdir()) == []


def test_a_data_set_that_broke_off_is_found_at_its_association(incoming: Path) -> None:
    message, complete = decoded(fragments(films.chest())[:-5])
    assert not complete
    part = unfinished_part(association(message))
    assert part is not None
    part.discard()
    assert list(incoming.iterdir()) == []


def test_an_association_without_a_data_set_has_no_part() -> None:
    assert unfinished_part(association()) is None
    assert unfinished_part(association(C_STORE_RQ())) is None


def test_after_the_handler_pynetdicom_closes_the_part_and_takes_its_name_away() -> None:
    source = inspect.getsource(StorageServiceClass.SCP)
    assert "req._dataset_file.close()" in source
    assert "os.unlink(req._dataset_file.name)" in source


def test_pynetdicom_uses_of_a_temporary_file_what_a_part_has() -> None:
    source = inspect.getsource(dimse_messages.DIMSEMessage.decode_msg)
    assert "NamedTemporaryFile(delete=False" in source
    for used in ("self._data_set_file.name", "self._data_set_file.write(", "self._data_set_file.file.flush()"):
        assert used in source


def test_pynetdicom_receives_through_what_is_replaced() -> None:
    assert list(inspect.signature(transport.AssociationSocket.recv).parameters) == ["self", "nr_bytes"]
    assert "self._create_association()" in inspect.getsource(transport.RequestHandler.handle)
    assert "self.socket.recv(" in inspect.getsource(transport.AssociationSocket.recv)


@pytest.fixture
def full(incoming: Path) -> Iterator[Part]:
    """A part on a disk that has no room."""
    part = Part(incoming)
    part.stream.close()
    with Path("/dev/full").open("r+b", buffering=0) as part.stream:
        yield part
        part.close()


def test_a_full_disk_is_remembered_and_the_rest_is_taken_in(full: Part) -> None:
    assert full.error is None
    assert full.write(bytes(3 << 20)) == 3 << 20
    assert full.error is not None
    assert full.error.strerror == "No space left on device"
    first = full.error
    assert full.write(b"more") == 4
    assert full.error is first


def test_a_write_that_is_cut_short_goes_on_where_it_stopped(incoming: Path) -> None:
    part = Part(incoming)
    part.stream.close()
    part.stream = Trickle(part.name, "w")
    assert part.write(b"abcdefg") == 7
    part.close()
    assert Path(part.name).read_bytes() == b"abcdefg"


class Trickle(FileIO):
    """A file that takes two bytes at a time."""

    def write(self, data: Any, /) -> int:
        return super().write(bytes(data[:2]))


def test_a_part_that_cannot_be_made_takes_the_bytes_in_and_says_why(tmp_path: Path) -> None:
    part = Part(tmp_path / "missing")
    assert part.write(b"bytes") == 5
    part.discard()
    assert isinstance(part.error, FileNotFoundError)


def test_a_part_is_not_begun_where_there_is_no_room(incoming: Path) -> None:
    part = Part(incoming, lambda: True)
    assert part.write(bytes(100)) == 100
    part.discard()
    assert part.error is not None
    assert part.error.errno == errno.ENOSPC
    assert list(incoming.iterdir()) == []


def test_a_part_that_grows_is_given_up_before_the_disk_is_full(incoming: Path) -> None:
    room = iter([False, False, True])
    part = Part(incoming, lambda: next(room))
    for _ in range(32):
        part.write(bytes(1 << 20))
    assert part.error is not None
    assert part.error.errno == errno.ENOSPC
    assert Path(part.name).stat().st_size == 7 << 20, "the rest is not written"
    part.discard()


def test_an_object_without_end_is_given_up(incoming: Path) -> None:
    part = Part(incoming)
    part._size = reception.LARGEST
    part.write(bytes(8 << 20))
    assert part.error is not None
    assert part.error.errno == errno.EFBIG
    assert Path(part.name).stat().st_size == 0
    part.discard()


def test_what_was_written_is_begun_with_and_the_part_is_whole(incoming: Path) -> None:
    part, content = Part(incoming), os.urandom(5 << 20)
    assert begin_write_back(part.stream.fileno(), 0, 1)
    for start in range(0, len(content), 300_000):
        part.write(content[start : start + 300_000])
    assert Path(part.name).read_bytes() == content
    part.discard()


def test_what_is_no_file_of_a_disk_is_not_begun_with(full: Part) -> None:
    assert not begin_write_back(full.stream.fileno(), 0, 1)
