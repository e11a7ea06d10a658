"""What the network sees and what people are shown."""

import copy
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from pydicom import uid

from cxr_node.errors import Permanent
from cxr_node.imaging import decode, film, pixel_digest, prepare, prepare_grey, read_picture, render
from tests.films import change, chest, encode, inverted

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "dicom"
SIZE = 96


def _prepare(dataset: pydicom.Dataset) -> film.Prepared:
    return prepare(decode(dataset), dataset, SIZE)


def test_prepared_films_fill_the_range() -> None:
    prepared = _prepare(chest(1))
    assert prepared.shape == (SIZE, SIZE)
    assert prepared.dtype == np.float32
    assert (prepared.min(), prepared.max()) == (0, 1)


def test_monochrome1_looks_the_same() -> None:
    one, two = inverted(chest(1)), chest(1)
    assert np.abs(_prepare(one) - _prepare(two)).max() < 0.01
    assert np.abs(render(decode(one), one).astype(int) - render(decode(two), two)).max() <= 2


def test_the_photometric_interpretation_alone_inverts() -> None:
    twin = change(chest(1), PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")
    assert np.abs(_prepare(twin) + _prepare(chest(1)) - 1).max() < 0.02


def test_windowed_and_unwindowed_films_look_alike() -> None:
    bare = chest(1, WindowCenter=None, WindowWidth=None)
    assert np.abs(_prepare(bare) - _prepare(chest(1))).mean() < 0.05


def test_a_picture_is_prepared_as_a_film() -> None:
    dataset = chest(1)
    picture = render(decode(dataset), dataset)
    assert np.abs(prepare_grey(picture, SIZE) - _prepare(dataset)).max() < 0.02


def test_resizing_first_moves_hardly_a_pixel() -> None:
    dataset = chest(1)
    stored = decode(dataset)
    whole = film._display(stored, np.ones(stored.shape, dtype=bool), dataset)
    late = film._stretched(film._area(whole, (SIZE, SIZE)), np.ones((SIZE, SIZE), dtype=bool))
    assert np.abs(late - _prepare(dataset)).max() < 4 / 255


@pytest.mark.parametrize("limit", [None, 4090])
def test_padding_does_not_count(limit: int | None) -> None:
    dataset = chest(1, WindowCenter=None, WindowWidth=None)
    stored = np.frombuffer(dataset.PixelData, "<u2").reshape(dataset.Rows, dataset.Columns)
    framed = np.pad(np.minimum(stored, 4000), 40, constant_values=4095)
    padded = change(copy.deepcopy(dataset), Rows=framed.shape[0], Columns=framed.shape[1], PixelData=framed.tobytes())
    padded.add_new("PixelPaddingValue", "US", 4095)
    if limit is not None:
        padded.add_new("PixelPaddingRangeLimit", "US", limit)
    shown = render(decode(padded), padded)
    bare = change(copy.deepcopy(dataset), PixelData=np.minimum(stored, 4000).tobytes())
    assert shown[:40].max() == 0
    assert np.array_equal(shown[40:-40, 40:-40], render(decode(bare), bare))
    assert _prepare(padded)[0].max() == 0


def test_padding_of_signed_pixels_given_as_unsigned() -> None:
    values = np.linspace(-1000, 1000, 4096).reshape(64, 64).astype(np.int16)
    values[:16] = -2000
    dataset = chest(1, Rows=64, Columns=64, BitsStored=16, HighBit=15, PixelRepresentation=1, WindowCenter=None)
    dataset.PixelData = values.tobytes()
    dataset.add_new("PixelPaddingValue", "US", 65536 - 2000)
    shown = render(decode(dataset), dataset)
    assert shown[:16].max() == 0
    assert shown[-1, -1] == 255


def test_a_film_all_of_padding_is_shown_as_it_is() -> None:
    dataset = chest(1)
    dataset.add_new("PixelPaddingValue", "US", 0)
    dataset.add_new("PixelPaddingRangeLimit", "US", 65535)
    assert render(decode(dataset), dataset).max() > 200


@pytest.mark.parametrize(
    ("attributes", "shape"),
    [
        ({"PixelSpacing": [0.2, 0.1]}, (256, 112)),
        ({"PixelSpacing": [0.1, 0.2]}, (128, 224)),
        ({"PixelSpacing": None, "ImagerPixelSpacing": [0.2, 0.1]}, (256, 112)),
        ({"PixelSpacing": None, "ImagerPixelSpacing": None, "PixelAspectRatio": [2, 1]}, (256, 112)),
        ({"PixelSpacing": ["0.000", "0.000"], "ImagerPixelSpacing": None}, (256, 224)),
        ({"PixelSpacing": [0.1, 99], "ImagerPixelSpacing": None}, (256, 224)),
        ({"PixelSpacing": None, "ImagerPixelSpacing": None}, (256, 224)),
    ],
)
def test_pixels_are_shown_square(attributes: dict[str, object], shape: tuple[int, int]) -> None:
    dataset = chest(1, **attributes)
    assert render(decode(dataset), dataset).shape == shape


def test_renderings_are_shrunk_and_never_enlarged() -> None:
    dataset = chest(1)
    assert render(decode(dataset), dataset, longest_side=64).shape == (64, 56)
    assert render(decode(dataset), dataset, longest_side=5000).shape == (256, 224)


def test_the_digest_is_of_values_and_their_meaning() -> None:
    dataset = chest(1)
    digest = pixel_digest(decode(dataset), dataset)
    assert digest == pixel_digest(decode(encode(dataset, uid.JPEGLSLossless)), encode(dataset, uid.JPEGLSLossless))
    assert digest == pixel_digest(decode(dataset), change(chest(1), PatientID="another", StudyDescription="other"))
    for meaning in (
        {"RescaleSlope": 2},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"BitsStored": 13},
    ):
        assert digest != pixel_digest(decode(dataset), change(chest(1), **meaning))
    other = decode(dataset).copy()
    other[0, 0] ^= 1
    assert digest != pixel_digest(other, dataset)
    assert digest != pixel_digest(decode(dataset).reshape(-1, 2), dataset)


@pytest.mark.parametrize("shown", [{"WindowCenter": 7, "WindowWidth": 9}, {"VOILUTFunction": "SIGMOID"}])
def test_another_window_is_not_another_film(shown: dict[str, object]) -> None:
    dataset = chest(1)
    assert pixel_digest(decode(dataset), dataset) == pixel_digest(decode(dataset), change(chest(1), **shown))


def test_a_modality_table_counts_by_its_values_not_by_its_vr() -> None:
    words, stored = list(range(4096)), decode(chest(1))

    def digest(vr: str, data: object) -> str:
        item = pydicom.Dataset()
        item.add_new("LUTDescriptor", "US", [4096, 0, 12])
        item.add_new("LUTData", vr, data)
        return pixel_digest(stored, change(chest(1), ModalityLUTSequence=[item]))

    plain = digest("US", words)
    assert plain == digest("OW", np.array(words, "<u2").tobytes())
    assert plain != digest("US", words[::-1])
    assert plain != pixel_digest(stored, chest(1))


def test_reads_pictures(tmp_path: Path) -> None:
    picture = np.tile(np.arange(64, dtype=np.uint8), (32, 1))
    cv2.imwrite(str(tmp_path / "grey.png"), picture)
    assert np.array_equal(read_picture(tmp_path / "grey.png"), picture)


def test_refuses_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no picture")
    for name in ("empty.png", "text.png", "missing.png"):
        with pytest.raises(Permanent) as caught:
            read_picture(tmp_path / name)
        assert caught.value.code == "NO_PICTURE"


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared films are not here")
def test_real_twins_come_out_inverted() -> None:
    twins = [
        _prepare(pydicom.dcmread(SHARED / name))
        for name in ("rsna_cr_pa_16d7f894.dcm", "rsna_cr_pa_16d7f894_monochrome1_tag_DERIVED.dcm")
    ]
    assert np.abs(twins[0] + twins[1] - 1).max() < 0.01


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared films are not here")
def test_real_films_are_not_distorted_by_a_spacing_of_zero() -> None:
    dataset = pydicom.dcmread(SHARED / "nema_wg04_rg1_cr_pa_mono1_j2k.dcm")
    assert render(decode(dataset), dataset).shape == (1024, 964)
