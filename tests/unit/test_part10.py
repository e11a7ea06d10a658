"""Reading what came: deflated data sets, which may be far larger than they look."""

import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from cxr_node.errors import Permanent
from cxr_node.imaging.part10 import read_complete, read_film, read_film_header
from tests import films


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return films.write(films.encode(films.chest(1), DeflatedExplicitVRLittleEndian), tmp_path / "film.dcm")


def data_set(film: Path) -> int:
    """Where the data set begins: after the File Meta, whose length is its first element."""
    return 144 + int.from_bytes(film.read_bytes()[140:144], "little")


def deflate(pieces: Iterator[bytes]) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return b"".join([deflater.compress(piece) for piece in pieces] + [deflater.flush()])


def replace(film: Path, pieces: Iterator[bytes]) -> None:
    film.write_bytes(film.read_bytes()[: data_set(film)] + deflate(pieces))


def plain(film: Path) -> bytes:
    return zlib.decompress(film.read_bytes()[data_set(film) :], -zlib.MAX_WBITS)


def test_a_deflated_film_is_the_film(film: Path) -> None:
    found, sent = read_film(film), films.chest(1)
    assert np.array_equal(found.pixel_array, sent.pixel_array)
    for one in (found, read_complete(film), read_film_header(film)):
        assert one.PatientName == sent.PatientName
        assert one.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    assert "PixelData" not in read_complete(film)


@pytest.mark.parametrize("zeros", [bytes(1_000_000), b"\x09\x00\x02\x10UN\x00\x00\x00\x00\x00\x80" + bytes(1_000_000)])
def test_a_bomb_is_refused_before_it_goes_off(film: Path, zeros: bytes) -> None:
    head = plain(film)[:200]
    replace(film, iter([head, zeros, *[bytes(1_000_000)] * 600]))
    assert film.stat().st_size < 1_000_000
    tracemalloc.start()
    with pytest.raises(Permanent) as refused:
        read_complete(film)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.code == "UNPARSEABLE"
    assert peak < 64_000_000


def test_a_header_that_does_not_end_is_refused(film: Path) -> None:
    whole = plain(film)
    pixels = whole.index(b"\xe0\x7f\x10\x00")
    endless = b"\xe1\x7f\x10\x10UN\x00\x00\x00\x00\x00\x04" + bytes(1 << 26)
    replace(film, iter([whole[:pixels], endless]))
    with pytest.raises(Permanent):
        read_complete(film)


def test_a_deflated_film_that_ends_in_the_middle_is_refused(film: Path) -> None:
    film.write_bytes(film.read_bytes()[:-1000])
    with pytest.raises(Permanent) as refused:
        read_complete(film)
    assert refused.value.code == "UNPARSEABLE"


def test_deflated_pixel_data_that_are_too_short_are_refused(film: Path) -> None:
    replace(film, iter([plain(film)[:-1000]]))
    with pytest.raises(Permanent) as refused:
        read_complete(film)
    assert refused.value.code == "TRUNCATED"


@pytest.mark.parametrize("undefined", [False, True])
def test_a_big_endian_film_is_whole_until_its_end_is_cut_off(tmp_path: Path, undefined: bool) -> None:
    film = films.chest(1)
    film["ViewCodeSequence"].is_undefined_length = undefined
    film.ViewCodeSequence[0].is_undefined_length_sequence_item = undefined
    film.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    path = tmp_path / "film.dcm"
    dcmwrite(path, film, implicit_vr=False, little_endian=False, force_encoding=True)
    whole = path.read_bytes()
    assert (b"\xff\xfe\xe0\xdd" in whole) == undefined
    assert read_complete(path).PatientName == film.PatientName
    for end in (len(whole) - 1, whole.index(b"postero-anterior")):
        path.write_bytes(whole[:end])
        with pytest.raises(Permanent) as refused:
            read_complete(path)
        assert refused.value.code in ("TRUNCATED", "UNPARSEABLE"), (
            "the latter where pydicom does not take it for shorter"
        )
