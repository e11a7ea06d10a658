"""A small archive: a storage SCP that keeps what it gets as files, for the demonstration and the tests."""

import re
import threading
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pynetdicom import AE, _config, evt
from pynetdicom.transport import ThreadedAssociationServer

from cxr_node.dimse import contexts
from cxr_node.dimse.reception import finished_part
from cxr_node.domain.clock import Clock
from cxr_node.errors import ConfigError

_UID = re.compile(r"[0-9.]{1,64}")
_MISMATCH = 0xA900


@dataclass(frozen=True, slots=True)
class Kept:
    """An object that came: its file, and when its last byte was here, in seconds since 1970 UTC."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    arrived_at: float
    path: Path


class Archive:
    """Answers C-ECHO, and takes every class that the node takes; each object is a Part 10 file in `folder`.

    It is no archive to trust: nothing is synced, and an object that comes again replaces its file.
    """

    def __init__(
        self, folder: Path, ae_title: str, host: str = "127.0.0.1", port: int = 0, clock: Clock = time.time
    ) -> None:
        self._folder, self._where, self._clock = folder, (host, port), clock
        self._ae = AE(ae_title=ae_title)
        self._server: ThreadedAssociationServer | None = None
        self._kept: list[Kept] = []
        self._lock = threading.Lock()

    def start(self) -> None:
        """Returns when the port answers; port 0 is any free one. Raises ConfigError when it cannot be had."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._server = self._ae.start_server(
                self._where,
                block=False,
                contexts=contexts.offered(),
                evt_handlers=[(evt.EVT_C_STORE, self._store)],
            )
        except OSError as error:
            host, port = self._where
            raise ConfigError(f"the archive cannot listen on {host} port {port}: {error.strerror}") from error

    def stop(self) -> None:
        """Take no more; associations that are still open are aborted."""
        if self._server is not None:
            self._server.shutdown()
            self._ae.shutdown()  # a server ends without its associations, and their threads outlive the process
            self._server = None

    @property
    def port(self) -> int:
        return int(self._server.server_address[1]) if self._server else self._where[1]

    @property
    def kept(self) -> tuple[Kept, ...]:
        """What came, in the order of arrival."""
        with self._lock:
            return tuple(self._kept)

    def _store(self, event: evt.Event) -> int:
        arrived_at = self._clock()
        request: Any = event.request
        content, uid = _part_10(event), str(request.AffectedSOPInstanceUID)
        if not _UID.fullmatch(uid):
            return _MISMATCH
        path = self._folder / f"{uid}.dcm"
        path.write_bytes(content)
        header = dcmread(BytesIO(content), specific_tags=["StudyInstanceUID"], stop_before_pixels=True)
        study = str(header.get("StudyInstanceUID", ""))
        with self._lock:
            self._kept.append(Kept(str(request.AffectedSOPClassUID), uid, study, arrived_at, path))
        return 0x0000


def _part_10(event: evt.Event) -> bytes:
    """The object's bytes as they were sent; beside a listener of this process they stand in one of its parts."""
    if not _config.STORE_RECV_CHUNKED_DATASET:
        return event.encoded_dataset()
    part = finished_part(event.request)
    try:
        return Path(part.name).read_bytes()
    finally:
        part.discard()
