"""Films that are received and cannot be judged: acknowledged, kept, and shown with what was wrong."""

import struct
from collections.abc import Callable

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import FileDataset
from pydicom.encaps import get_frame

from tests.fault.damage import compressed
from tests.films import chest, encode
from tests.node import Node

pytestmark = pytest.mark.fault


def spoiled(syntax: str) -> FileDataset:
    """A film that was compressed well, and then lost everything after the first quarter of its frame."""
    film = encode(chest(), syntax)
    frame = get_frame(film.PixelData, 0, number_of_frames=1)
    return compressed(frame[: len(frame) // 4], syntax)


def claims_to_be_huge() -> FileDataset:
    """A JPEG 2000 codestream that says 20000 x 20000 under a header that says something small."""
    frame = b"\xff\x4f\xff\x51" + struct.pack(">HH8IH", 47, 0, 20000, 20000, 0, 0, 20000, 20000, 0, 0, 1)
    return compressed(frame + bytes(64), uid.JPEG2000Lossless)


def without_pixels() -> FileDataset:
    film = chest()
    del film.PixelData
    return film


def colour() -> FileDataset:
    film = chest(SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    film.PixelData = film.PixelData * 3
    return film


FILMS: dict[str, tuple[Callable[[], FileDataset], str]] = {
    "zero-length pixel data": (lambda: chest(PixelData=b""), "NO_PIXEL_DATA"),
    "no pixel data": (without_pixels, "NO_PIXEL_DATA"),
    "fewer pixels than rows x columns": (lambda: chest(Rows=300), "SHORT_PIXEL_DATA"),
    "JPEG 2000 that is noise": (lambda: compressed(b"\x13\x37" * 500, uid.JPEG2000Lossless), "UNDECODABLE"),
    "JPEG-LS that is noise": (lambda: compressed(b"\x13\x37" * 500, uid.JPEGLSLossless), "UNDECODABLE"),
    "JPEG that is noise": (lambda: compressed(b"\x13\x37" * 500, uid.JPEGBaseline8Bit), "UNDECODABLE"),
    "lossless JPEG that is noise": (lambda: compressed(b"\x13\x37" * 500, uid.JPEGLosslessSV1), "UNDECODABLE"),
    "RLE that is noise": (lambda: compressed(b"\x13\x37" * 500, uid.RLELossless), "UNDECODABLE"),
    "spoiled JPEG-LS": (lambda: spoiled(uid.JPEGLSLossless), "UNDECODABLE"),
    "spoiled lossless JPEG": (lambda: spoiled(uid.JPEGLosslessSV1), "UNDECODABLE"),
    "spoiled RLE": (lambda: spoiled(uid.RLELossless), "UNDECODABLE"),
    "a codestream of 20000 x 20000": (claims_to_be_huge, "PIXEL_SIZE"),
    "several frames": (lambda: chest(NumberOfFrames=2), "MULTI_FRAME"),
    "colour": (colour, "COLOUR"),
    "all zero": (lambda: chest(pixels=np.zeros((256, 224), np.uint16)), "BLANK"),
    "32 bits": (lambda: chest(BitsAllocated=32, BitsStored=32, HighBit=31), "BAD_HEADER"),
    "no photometric interpretation": (lambda: chest(PhotometricInterpretation=None), "BAD_HEADER"),
}


@pytest.mark.parametrize(("make", "code"), FILMS.values(), ids=FILMS.keys())
def test_a_film_that_cannot_be_judged(standing: Node, make: Callable[[], FileDataset], code: str) -> None:
    film = make()

    standing.send(film)

    (study,) = standing.wait_final(film.StudyInstanceUID)
    ended = [event for event in study["events"] if event["event"] in ("job.failed", "job.skipped")]
    assert [event["code"] for event in ended] == [code]
    (entry,) = [one for one in standing.worklist() if one["study_instance_uid"] == film.StudyInstanceUID]
    assert (entry["state"], entry["tier"], entry["reason"]) == ("not_analysed", "none", ended[0]["reason"])
    assert not study["outputs"]
    assert (standing.data / study["instances"][0]["path"]).is_file()


REFUSED: dict[str, tuple[Callable[[], FileDataset], str]] = {
    "1 x 1": (lambda: chest(pixels=np.ones((1, 1), np.uint16)), "TOO_FEW_PIXELS"),
    "a header of 20000 x 20000": (lambda: chest(Rows=20000, Columns=20000), "TOO_MANY_PIXELS"),
    "no rows": (lambda: chest(Rows=None), "NO_SIZE"),
    "a lateral": (lambda: chest(ViewPosition="LL"), "VIEW"),
}


@pytest.mark.parametrize(("make", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_a_film_that_its_header_refuses(standing: Node, make: Callable[[], FileDataset], code: str) -> None:
    film = make()

    standing.send(film)

    (study,) = standing.wait_final(film.StudyInstanceUID)
    assert study["instances"][0]["refusal"]["code"] == code
    (entry,) = [one for one in standing.worklist() if one["study_instance_uid"] == film.StudyInstanceUID]
    assert (entry["state"], entry["reason"]) == ("not_analysed", study["instances"][0]["refusal"]["reason"])
    assert not study["outputs"]


def test_a_bad_film_does_not_hold_up_good_ones(standing: Node) -> None:
    films = [make() for make, _ in FILMS.values()] + [chest() for _ in range(6)]
    films.sort(key=lambda film: film.SOPInstanceUID)

    for film in films:
        standing.send(film)

    studies = standing.wait_final(*(film.StudyInstanceUID for film in films))
    assert sum(len(study["outputs"]) == 2 for study in studies) == 6
