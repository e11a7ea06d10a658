"""An X-ray machine that never gives up: small films, each of a new patient, sent with dcmtk's storescu."""

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import FileDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from cxr_node.domain.uid import derive_uid
from tests.films import chest, encode, write
from tests.node import Node

STORESCU = "/usr/bin/storescu"
_ACKNOWLEDGED = "Received Store Response (Success)"
_PROPOSE = {  # storescu's option for a transfer syntax
    ExplicitVRLittleEndian: "-xe",
    JPEGLSLossless: "-xt",
    JPEG2000Lossless: "-xv",
    RLELossless: "-xr",
    JPEGLosslessSV1: "-xs",
}
_AGAIN_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Shot:
    """A film on disk, and the option of storescu that proposes its transfer syntax."""

    study: str
    path: Path
    propose: str


class Modality:
    """Takes turns among the transfer syntaxes; films are kept in `folder` only until they are acknowledged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._films = [
            (encode(chest(number), syntax), option) for number, (syntax, option) in enumerate(_PROPOSE.items())
        ]
        self._run = os.urandom(8).hex()  # films of an earlier run are other films

    def shoot(self, number: int) -> Shot:
        """Film `number`, a study of its own."""
        film, option = self._films[number % len(self._films)]
        _rename(film, self._run, number)
        return Shot(str(film.StudyInstanceUID), write(film, self._folder / f"{number:06d}.dcm"), option)

    def send(self, shot: Shot, node: Node, tries_on: Callable[[], bool] = lambda: True) -> int:
        """Send a film until the node takes responsibility for it; how many times it was sent.

        `tries_on` is asked before each further try. Raises RuntimeError when it says no.
        """
        sent = 1
        while not _acknowledged(shot, node):
            if not tries_on():
                raise RuntimeError("a film was not acknowledged")
            time.sleep(_AGAIN_SECONDS)
            sent += 1
        shot.path.unlink()
        return sent


def _acknowledged(shot: Shot, node: Node) -> bool:
    """What storescu says of the answer counts, not its exit status: the node may die before the release."""
    command = [STORESCU, "-v", "-R", shot.propose, "-to", "30", "-ta", "30", "-td", "60", "-aec", "CXR_NODE"]
    sent = subprocess.run(
        [*command, "127.0.0.1", str(node.port), shot.path],
        env=os.environ | {"TCP_NODELAY": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return _ACKNOWLEDGED in sent.stdout + sent.stderr


def _rename(film: FileDataset, run: str, number: int) -> None:
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(film, keyword, derive_uid("2.25", [keyword, run, str(number)]))
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    film.PatientID = film.AccessionNumber = f"SOAK{number:06d}"
