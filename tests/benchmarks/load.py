"""Films to send, none of them sent before; dcmtk's storescu, a process of its own, sends them."""

import os
import subprocess
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless

from cxr_node.demo.phantom import project
from tests.benchmarks.rig import STORESCU, Receiver
from tests.films import chest

SYNTAXES = {"uncompressed": ExplicitVRLittleEndian, "JPEG-LS": JPEGLSLossless, "JPEG 2000": JPEG2000Lossless}
_PROPOSE = {"uncompressed": "-xe", "JPEG-LS": "-xt", "JPEG 2000": "-xv"}
_QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
_HEAD = 16 << 10  # bytes in which all UIDs stand
_FIRST = 100_000_000  # a component of a UID begins with no zero, and all are of one length


class Films:
    """DX films of 16 bits of one size in one syntax, in `folder`. Each is another film of another study."""

    def __init__(self, folder: Path, size: tuple[int, int], syntax: str = "uncompressed") -> None:
        folder.mkdir(parents=True)
        self.syntax = syntax
        self._folder, self._made = folder, 0
        film = chest(1, pixels=project(rows=size[0], columns=size[1], seed=1))
        if syntax == "uncompressed":
            film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        else:
            film.compress(SYNTAXES[syntax], generate_instance_uid=False)
        self._template = _encoded(film)
        head = dcmread(BytesIO(self._template), stop_before_pixels=True)
        self._uids = [str(head[name].value) for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")]

    def make(self, count: int) -> list[Path]:
        """So many new films; they take the place of those of before."""
        return [self._write(self._folder / f"{number}.dcm") for number in range(count)]

    @property
    def megabytes(self) -> float:
        return len(self._template) / 1e6

    def study(self, path: Path) -> str:
        """The study of a film that was made."""
        return str(dcmread(path, stop_before_pixels=True).StudyInstanceUID)

    def _write(self, path: Path) -> Path:
        self._made += 1
        head = self._template[:_HEAD]
        for uid in self._uids:
            head = head.replace(uid.encode(), f"{uid[:-9]}{_FIRST + self._made}".encode())
        with path.open("wb") as stream:
            stream.write(head)
            stream.write(memoryview(self._template)[_HEAD:])
        return path


def _encoded(film: Dataset) -> bytes:
    for place, keyword in enumerate(("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"), start=1):
        setattr(film, keyword, f"2.25.{os.getpid()}.{time.time_ns()}.{place}.{_FIRST}")
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    buffer = BytesIO()
    film.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def sender(receiver: Receiver, films: Sequence[Path], syntax: str = "uncompressed") -> "subprocess.Popen[bytes]":
    """Begin to send films over one association."""
    where = ["-aec", receiver.ae_title, "127.0.0.1", str(receiver.port)]
    return subprocess.Popen(
        [STORESCU, _PROPOSE[syntax], *where, *map(str, films)], env=os.environ | {"TCP_NODELAY": "1"}, **_QUIET
    )


def send(receiver: Receiver, films: Sequence[Path], associations: int, syntax: str = "uncompressed") -> float:
    """Send all films, dealt over so many simultaneous associations; the seconds until all were acknowledged."""
    began = time.perf_counter()
    senders = [sender(receiver, films[start::associations], syntax) for start in range(associations)]
    if any([each.wait() for each in senders]):  # noqa: C419 - each is waited for
        raise RuntimeError(f"{receiver.name} did not take every film")
    return time.perf_counter() - began
