"""Decoding: every transfer syntax gives the stored values back, and every bad film is refused with a reason."""

import contextlib
import copy
import io
import shutil
import struct
import tracemalloc
import warnings
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder

from cxr_node.domain.eligibility import MAXIMUM_PIXELS
from cxr_node.errors import CxrNodeError, Ineligible, Permanent
from cxr_node.imaging import codestream, decode, pixel_digest, prepare, render
from cxr_node.imaging.rle import decode as decode_rle
from tests.films import LOSSY, NEEDS_DCMTK, SYNTAXES, change, chest, encode

LOSS = {uid.JPEGBaseline8Bit: 0.01, uid.JPEG2000: 0.01, uid.JPEGLSNearLossless: 0.0005, uid.JPEGExtended12Bit: 0.01}
"""The mean difference that the tests' lossy encoders may make, as a share of the range."""


def _marks(syntax: uid.UID) -> Any:
    missing = pytest.mark.skipif(shutil.which("dcmcjpeg") is None, reason="dcmtk is not installed")
    return pytest.param(
        syntax, id=uid.UID(syntax).keyword, marks=[pytest.mark.peers, missing] if syntax in NEEDS_DCMTK else []
    )


@pytest.mark.parametrize("syntax", [_marks(syntax) for syntax in SYNTAXES])
def test_decodes(syntax: uid.UID) -> None:
    film = chest(1)
    stored = np.frombuffer(film.PixelData, "<u2").reshape(film.Rows, film.Columns)
    found = decode(encode(film, syntax))
    expected, whole = (stored >> 4, 255) if syntax == uid.JPEGBaseline8Bit else (stored, 4095)
    assert np.abs(found.astype(int) - expected).mean() <= whole * LOSS.get(syntax, 0)
    assert (syntax in LOSS) == (syntax in LOSSY)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.JPEG2000Lossless, uid.RLELossless])
@pytest.mark.parametrize("bits", [12, 16])
def test_signed_values(syntax: uid.UID, bits: int) -> None:
    values = np.linspace(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, 64 * 48).reshape(64, 48).astype(np.int16)
    film = chest(1, Rows=64, Columns=48, BitsStored=bits, HighBit=bits - 1, PixelRepresentation=1)
    film.PixelData = values.tobytes()
    assert np.array_equal(decode(encode(film, syntax)), values)


def test_bits_above_the_stored_ones_are_removed() -> None:
    film = chest(1)
    stored = np.frombuffer(film.PixelData, "<u2").reshape(film.Rows, film.Columns)
    overlaid = change(copy.deepcopy(film), PixelData=(stored | 0x8000).tobytes())
    assert np.array_equal(decode(overlaid), stored)
    shifted = change(copy.deepcopy(film), PixelData=(stored << 2 | 3).tobytes(), HighBit=13)
    assert np.array_equal(decode(shifted), stored)


def test_unused_bits_of_signed_values_do_not_count() -> None:
    values = np.array([[-5, 4], [-2048, 2047]], np.int16)
    film = chest(1, Rows=2, Columns=2, PixelRepresentation=1, PixelData=(values & 0x0FFF).tobytes())
    assert np.array_equal(decode(film), values)


def test_eight_bit_film() -> None:
    values = np.arange(64 * 32, dtype=np.uint8).reshape(64, 32)
    film = chest(1, Rows=64, Columns=32, BitsAllocated=8, BitsStored=8, HighBit=7, PixelData=values.tobytes())
    assert np.array_equal(decode(film), values)


BAD: list[tuple[str, type[CxrNodeError], str, dict[str, Any]]] = [
    ("no pixel data", Permanent, "NO_PIXEL_DATA", {"PixelData": None}),
    ("empty pixel data", Permanent, "NO_PIXEL_DATA", {"PixelData": b""}),
    ("short pixel data", Permanent, "SHORT_PIXEL_DATA", {"PixelData": b"\0\1" * 100}),
    ("no rows", Permanent, "BAD_HEADER", {"Rows": None}),
    ("no rows at all", Permanent, "BAD_HEADER", {"Rows": 0}),
    ("no columns", Permanent, "BAD_HEADER", {"Columns": None}),
    ("no bits allocated", Permanent, "BAD_HEADER", {"BitsAllocated": None}),
    ("32 bits", Permanent, "BAD_HEADER", {"BitsAllocated": 32}),
    ("more bits stored than allocated", Permanent, "BAD_HEADER", {"BitsStored": 17}),
    ("high bit below the stored bits", Permanent, "BAD_HEADER", {"HighBit": 3}),
    ("no pixel representation", Permanent, "BAD_HEADER", {"PixelRepresentation": None}),
    ("no photometric interpretation", Permanent, "BAD_HEADER", {"PhotometricInterpretation": None}),
    ("too many pixels", Permanent, "TOO_LARGE", {"Rows": 60000, "Columns": 60000}),
    ("several frames", Ineligible, "MULTI_FRAME", {"NumberOfFrames": 2}),
    ("colour", Ineligible, "COLOUR", {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}),
    ("palette", Ineligible, "COLOUR", {"PhotometricInterpretation": "PALETTE COLOR"}),
    ("blank", Ineligible, "BLANK", {"PixelData": bytes(2 * 256 * 224)}),
]


@pytest.mark.parametrize(("kind", "code", "attributes"), [pytest.param(*row[1:], id=row[0]) for row in BAD])
def test_refuses(kind: type[CxrNodeError], code: str, attributes: dict[str, Any]) -> None:
    with pytest.raises(kind) as caught:
        decode(chest(1, **attributes))
    assert caught.value.code == code
    assert caught.value.message.endswith(".")


def test_refuses_rows_written_as_text() -> None:
    film = chest(1, Rows=None)
    film.add_new("Rows", "LO", "256")
    with pytest.raises(Permanent, match="Rows is not a whole number"):
        decode(film)


def test_refuses_a_film_without_transfer_syntax() -> None:
    film = chest(1)
    del film.file_meta.TransferSyntaxUID
    with pytest.raises(Permanent, match="names no transfer syntax"):
        decode(film)


def test_refuses_an_unknown_transfer_syntax() -> None:
    film = chest(1)
    film.file_meta.TransferSyntaxUID = uid.MPEG2MPML
    with pytest.raises(Permanent) as caught:
        decode(film)
    assert caught.value.code == "TRANSFER_SYNTAX"


@pytest.mark.parametrize(
    "syntax", [uid.JPEGBaseline8Bit, uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.RLELossless, uid.JPEGLosslessSV1]
)
@pytest.mark.parametrize("frame", [b"\xff\xd8\xff\xff", b"\0" * 64, b"no image at all, but bytes"])
def test_refuses_what_does_not_decode(syntax: uid.UID, frame: bytes) -> None:
    film = chest(1, PixelData=encapsulate([frame]))
    film.file_meta.TransferSyntaxUID = syntax
    with pytest.raises(Permanent) as caught:
        decode(film)
    assert caught.value.code == "UNDECODABLE"


@pytest.mark.parametrize("syntax", [uid.JPEGBaseline8Bit, uid.JPEGLSLossless, uid.JPEG2000Lossless])
def test_refuses_a_compressed_film_of_another_size_before_decoding(syntax: uid.UID) -> None:
    film = change(encode(chest(1), syntax), Rows=64)
    with pytest.raises(Permanent, match="is 256 x 224 with 1 components; the header says 64 x 224 with one") as caught:
        decode(film)
    assert caught.value.code == "PIXEL_SIZE"


@pytest.mark.parametrize("syntax", [uid.JPEGBaseline8Bit, uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.RLELossless])
def test_truncated_compressed_film_never_escapes_the_taxonomy(syntax: uid.UID) -> None:
    film = encode(chest(1), syntax)
    whole = pydicom.encaps.get_frame(film.PixelData, 0, number_of_frames=1)
    for length in (3, 20, 60, len(whole) // 2):
        film.PixelData = encapsulate([whole[:length]])
        try:
            decode(film)
        except CxrNodeError as error:
            assert error.code in ("UNDECODABLE", "PIXEL_SIZE", "BLANK")


@pytest.mark.parametrize("syntax", [_marks(syntax) for syntax in SYNTAXES if uid.UID(syntax).is_encapsulated])
def test_half_a_film_is_not_taken_for_a_whole_one(syntax: uid.UID) -> None:
    film = encode(chest(1), syntax)
    whole = pydicom.encaps.get_frame(film.PixelData, 0, number_of_frames=1)
    for length in (len(whole) // 2, len(whole) - 200, len(whole.rstrip(b"\0")) - 2):
        film.PixelData = encapsulate([whole[:length]])
        with pytest.raises(Permanent) as caught:
            decode(film)
        assert caught.value.code == "UNDECODABLE"
        own_check = syntax not in (uid.RLELossless, uid.JPEG2000Lossless, uid.JPEG2000)
        assert ("is cut off" in caught.value.message) == own_check


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.JPEGLSLossless])
def test_damaged_bytes_never_escape_the_taxonomy(syntax: uid.UID) -> None:
    values = np.linspace(0, 4095, 32 * 32).reshape(32, 32).astype(np.uint16)
    whole = io.BytesIO()
    encode(chest(1, pixels=values), syntax).save_as(whole, enforce_file_format=True)
    random = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(whole.getvalue())
        for place in random.integers(132, len(damaged), 3):
            damaged[place] = random.integers(0, 256)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # reading is not what is tried here
            try:
                dataset = pydicom.dcmread(io.BytesIO(damaged))
            except Exception:  # noqa: BLE001, S112  # whatever pydicom raises: what it cannot read is not decoded
                continue
        with contextlib.suppress(CxrNodeError):
            stored = decode(dataset)
            prepare(stored, dataset, 32)
            render(stored, dataset)
            pixel_digest(stored, dataset)


def test_the_limit_stands_above_every_detector() -> None:
    assert MAXIMUM_PIXELS >= 5 * 4_500 * 4_400


@pytest.mark.parametrize("frame", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\x4f\xff\x51\0", b"\xff\xd8\xff\xd9"])
def test_codestreams_without_a_size(frame: bytes) -> None:
    assert codestream.claim(frame) is None


def compressed(frame: bytes, syntax: str) -> Any:
    """A film whose pixel data are this frame."""
    film = chest(1)
    film.file_meta.TransferSyntaxUID = syntax
    film.add_new("PixelData", "OB", encapsulate([frame]))
    return film


def j2k(components: int) -> bytes:
    film = chest(1)
    sizes = (film.Columns, film.Rows, 0, 0, film.Columns, film.Rows, 0, 0)
    return b"\xff\x4f\xff\x51" + struct.pack(">HH8IH", 47, 0, *sizes, components) + bytes(64)


def jpeg(marker: int, components: int) -> bytes:
    film = chest(1)
    return bytes([0xFF, 0xD8, 0xFF, marker]) + struct.pack(">HBHHB", 11, 12, film.Rows, film.Columns, components)


def rle(segment: bytes) -> bytes:
    return struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13) + segment + segment


BOMBS = {
    "JPEG 2000 of 16384 components": (j2k(16384), uid.JPEG2000Lossless, "16384 components"),
    "JPEG-LS of 255 components": (jpeg(0xF7, 255), uid.JPEGLSLossless, "255 components"),
    "JPEG of four components": (jpeg(0xC3, 4), uid.JPEGLosslessSV1, "4 components"),
    "RLE that repeats without end": (rle(b"\x81\x00" * 4_000_000), uid.RLELossless, "stands for more than"),
}


@pytest.mark.parametrize(("frame", "syntax", "said"), BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_before_it_goes_off(frame: bytes, syntax: str, said: str) -> None:
    film = compressed(frame, syntax)
    tracemalloc.start()
    with pytest.raises(Permanent, match=said) as caught:
        decode(film)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.code == "PIXEL_SIZE"
    assert peak < 4 * len(frame) + 4_000_000


@pytest.mark.parametrize(
    ("segment", "samples"),
    [(b"\x02abc", b"abc"), (b"\xffa", b"aa"), (b"\x81a", b"a" * 128), (b"\x00a\x80\xfea", b"aaaa")],
)
def test_what_rle_stands_for(segment: bytes, samples: bytes) -> None:
    found = decode_rle(rle(segment), 1, len(samples), 2)
    assert found.tobytes() == bytes(byte for byte in samples for _ in range(2))


@pytest.mark.parametrize(
    "frame",
    [
        rle(b"\x02abc")[:63],
        rle(b"\x01ab"),
        rle(b"\x03abc"),
        rle(b"\x80" * 9),
        struct.pack("<16I", 2, 64, 10**6, *[0] * 13) + b"\x02abc",
        struct.pack("<16I", 2, 2**32 - 1, 64, *[0] * 13) + b"\x02abc",
        struct.pack("<16I", 1, 64, *[0] * 14) + b"\x02abc",
        struct.pack("<16I", 2**31, *[64] * 15) + b"\x02abc",
    ],
)
def test_rle_that_is_damaged_is_refused(frame: bytes) -> None:
    with pytest.raises(ValueError, match=r"segment|header"):
        decode_rle(frame, 1, 3, 2)
    with pytest.raises(Permanent) as caught:
        decode(compressed(frame, uid.RLELossless))
    assert caught.value.code == "UNDECODABLE"


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("signed", [0, 1])
def test_rle_gives_what_pydicom_gives(bits: int, signed: int) -> None:
    values = np.random.default_rng(bits).integers(0, 2**bits, (63, 41)) // 3 * 3
    values[::2] = values[::2, :1]  # runs and literals
    film = chest(1, Rows=63, Columns=41, BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1)
    film.PixelRepresentation, film.PixelData = signed, values.astype(f"<u{bits // 8}").tobytes()
    film = encode(film, uid.RLELossless)
    expected, _ = get_decoder(uid.RLELossless).as_array(film, index=0, raw=True, decoding_plugin="pydicom")
    found = decode(film)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("bits", [8, 10, 12, 15, 16])
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("said_signed", [0, 1])
@pytest.mark.parametrize("reversible", [True, False])
def test_jpeg_2000_gives_what_pylibjpeg_gives(bits: int, signed: int, said_signed: int, reversible: bool) -> None:
    """Also where the header is wrong about the sign, as some are."""
    values = np.random.default_rng(bits).integers(0, 2**bits, (63, 41)) - signed * 2 ** (bits - 1)
    frame = imagecodecs.jpeg2k_encode(
        values.astype(np.int16 if signed else np.uint16),
        codecformat="j2k",
        bitspersample=bits,
        reversible=reversible,
        level=0 if reversible else 60,
    )
    film = chest(1, Rows=63, Columns=41, BitsStored=bits, HighBit=bits - 1, PixelRepresentation=said_signed)
    film.PixelData = encapsulate([frame])
    film.file_meta.TransferSyntaxUID = uid.JPEG2000
    expected, _ = get_decoder(uid.JPEG2000).as_array(film, index=0, raw=True, decoding_plugin="pylibjpeg")
    found = decode(film)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)
