"""De-identified films before dciodvfy: what was a sound object still is one, and what was not is no worse."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import uid
from pydicom.dataset import FileDataset

from cxr_node.domain.pseudonym import Pseudonyms
from cxr_node.export.deidentify import alias_of, deidentified
from cxr_node.imaging import decode
from tests.films import chest, encode, inverted, write

pytestmark = pytest.mark.peers

NAMES = Pseudonyms(b"k" * 32)
FILMS: dict[str, Callable[[], FileDataset]] = {
    "digital": chest,
    "computed": lambda: chest(SOPClassUID=uid.ComputedRadiographyImageStorage, Modality="CR"),
    "secondary capture": lambda: chest(SOPClassUID=uid.SecondaryCaptureImageStorage, ConversionType="WSD"),
    "lossy": lambda: encode(chest(), uid.JPEG2000),
    "inverted": lambda: inverted(chest()),
    "without a patient": lambda: chest(PatientID="", PatientName="", StudyDate="", StudyTime=""),
}


def errors(path: Path) -> set[str]:
    done = subprocess.run(["/usr/bin/dciodvfy", path], capture_output=True, text=True, check=False)
    return {line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")}


@pytest.mark.parametrize("name", FILMS)
def test_no_new_errors(tmp_path: Path, name: str) -> None:
    film = FILMS[name]()
    alias = alias_of(NAMES, film.PatientID, None, str(film.StudyInstanceUID))
    before = errors(write(film, tmp_path / "before.dcm"))
    after = errors(write(deidentified(film, decode(film), alias, NAMES), tmp_path / "after.dcm"))
    assert after <= before
