"""Lossless and 12-bit JPEG against dcmtk, which has other code for them: not one sample may differ."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.dataset import FileDataset

from cxr_node.errors import Permanent
from cxr_node.imaging import decode
from tests.films import chest, write

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(shutil.which("dcmcjpeg") is None, reason="dcmtk is not installed"),
]

ROWS, COLUMNS = 131, 97  # neither fills its last block of 8 x 8


def film(bits: int, *, signed: bool = False) -> FileDataset:
    """Half a smooth picture, half noise of all values that so many bits have."""
    random, size = np.random.default_rng(bits), 8 if bits <= 8 else 16
    values = np.linspace(0, 2**bits - 1, ROWS * COLUMNS).reshape(ROWS, COLUMNS).astype(np.uint16)
    values[:, COLUMNS // 2 :] = random.integers(0, 2**bits, (ROWS, COLUMNS - COLUMNS // 2))
    if signed:
        values = values.astype(np.int32) - 2 ** (bits - 1)
    made = chest(1, Rows=ROWS, Columns=COLUMNS, BitsStored=bits, HighBit=bits - 1, PixelRepresentation=int(signed))
    made.BitsAllocated, made.PixelData = size, values.astype(f"<{'i' if signed else 'u'}{size // 8}").tobytes()
    return made


def dcmtk(folder: Path, tool: str, made: FileDataset, *options: str) -> FileDataset:
    """What `dcmcjpeg` or `dcmdjpeg` makes of a film."""
    made_of, made_to = write(made, folder / "from.dcm"), folder / "to.dcm"
    subprocess.run([tool, *options, made_of, made_to], check=True, capture_output=True)
    return pydicom.dcmread(made_to)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 15, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_lossless_gives_every_sample_back(tmp_path: Path, bits: int, signed: bool) -> None:
    made = film(bits, signed=signed)
    expected = decode(made)
    for predictor in range(1, 8):
        encoded = dcmtk(
            tmp_path, "dcmcjpeg", made, "--encode-lossless", "--selection-value", str(predictor), "--uid-never"
        )
        assert np.array_equal(decode(encoded), expected), predictor
    assert np.array_equal(decode(dcmtk(tmp_path, "dcmcjpeg", made, "--encode-lossless-sv1", "--uid-never")), expected)


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("quality", ["60", "95"])
def test_extended_gives_what_dcmtk_gives(tmp_path: Path, bits: int, quality: str) -> None:
    encoded = dcmtk(tmp_path, "dcmcjpeg", film(bits), "--encode-extended", "--quality", quality)
    expected = dcmtk(tmp_path, "dcmdjpeg", encoded).pixel_array
    assert encoded.file_meta.TransferSyntaxUID == uid.JPEGExtended12Bit
    assert np.array_equal(decode(encoded), expected)


def test_samples_that_are_wider_than_the_header_says(tmp_path: Path) -> None:
    encoded = dcmtk(tmp_path, "dcmcjpeg", film(12), "--encode-lossless-sv1")
    encoded.BitsAllocated = encoded.BitsStored = 8
    encoded.HighBit = 7
    with pytest.raises(Permanent) as caught:
        decode(encoded)
    assert caught.value.code == "UNDECODABLE"
