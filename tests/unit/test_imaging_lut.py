"""The greyscale pipeline against its definition and against pydicom's."""

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from cxr_node.imaging.lut import display_table, is_inverted, lookup_table, modality, values_of_interest, window

STORED = np.arange(4096)


def _header(**attributes: object) -> pydicom.Dataset:
    dataset = pydicom.Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored, dataset.BitsAllocated, dataset.PixelRepresentation = 12, 16, 0
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def _table(descriptor: list[int], data: object, vr: str = "US") -> pydicom.Sequence:
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", "US", descriptor)
    item.add_new("LUTData", vr, data)
    return pydicom.Sequence([item])


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID", None])
@pytest.mark.parametrize(("centre", "width"), [(2048, 4096), (1000, 500), (100.5, 33.25), (2048, 2)])
@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (0.5, -100)])
def test_windows_as_pydicom(function: str | None, centre: float, width: float, slope: float, intercept: float) -> None:
    header = _header(WindowCenter=centre, WindowWidth=width, RescaleSlope=slope, RescaleIntercept=intercept)
    if function is not None:
        header.VOILUTFunction = function
    with np.errstate(over="ignore"):
        expected = apply_voi_lut(apply_modality_lut(STORED, header), header)
    low = intercept
    high = 4095 * slope + intercept
    found = values_of_interest(modality(STORED.astype(float), header), header)
    assert found is not None
    assert np.abs(found - (expected - low) / (high - low)).max() < 1e-6


def test_a_window_of_one_is_a_step() -> None:
    shown = window(np.array([9.0, 10.0, 11.0]), centre=10, width=1)
    assert shown.tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("vr", ["US", "OW"])
def test_tables_as_pydicom(vr: str) -> None:
    entries = (np.linspace(0, 1, 1000) ** 2 * 4095).astype("<u2")
    data = entries.tobytes() if vr == "OW" else entries.tolist()
    header = _header(VOILUTSequence=_table([1000, 500, 12], data, vr))
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    expected = apply_voi_lut(STORED.astype(np.uint16), header)
    found = values_of_interest(STORED.astype(float), header)
    assert found is not None
    assert np.abs(found - expected / 4095).max() < 1e-9


def test_a_table_of_eight_bit_entries_packed_in_words() -> None:
    table = lookup_table(_table([256, 0, 8], bytes(range(256)), "OW")[0])
    assert table is not None
    assert table.apply(np.array([0.0, 7.0, 300.0])).tolist() == [0, 7, 255]


def test_a_modality_table_comes_before_the_window() -> None:
    header = _header(ModalityLUTSequence=_table([4096, 0, 12], (4095 - STORED).tolist()))
    assert modality(STORED.astype(float), header).tolist() == (4095 - STORED).tolist()


@pytest.mark.parametrize(
    "broken", [[0, 0, 12], [100, 0, 12], [4096, 0, 2], [4096, 0]], ids=["65536", "short", "bits", "two"]
)
def test_tables_that_do_not_agree_with_their_descriptor_are_ignored(broken: list[int]) -> None:
    data = list(range(50)) if broken[0] == 100 else list(range(4096))
    assert lookup_table(_table(broken, data)[0]) is None


def test_the_first_of_several_windows_counts() -> None:
    several = _header(WindowCenter=[1000, 3000], WindowWidth=[500, 100])
    one = _header(WindowCenter=1000, WindowWidth=500)
    values = STORED.astype(float)
    assert np.array_equal(values_of_interest(values, several), values_of_interest(values, one))


@pytest.mark.parametrize(("centre", "width"), [("1000", "0"), ("1000", "-5"), ("1000", None), (None, "500")])
def test_windows_that_are_none(centre: str | None, width: str | None) -> None:
    assert values_of_interest(STORED.astype(float), _header(WindowCenter=centre, WindowWidth=width)) is None


def test_a_window_written_as_text_falls_back() -> None:
    header = _header()
    header.add_new("WindowCenter", "LO", "middle")
    header.add_new("WindowWidth", "LO", "wide")
    table = display_table(header, 0, 4095, STORED)
    assert table[0] == 0
    assert table[-1] == 1


def test_a_window_that_shows_nothing_is_ignored() -> None:
    blind = display_table(_header(WindowCenter=60000, WindowWidth=10), 0, 4095, STORED)
    assert np.array_equal(blind, display_table(_header(), 0, 4095, STORED))


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME1", "", True),
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", True),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME2", "", False),
    ],
)
def test_sense(photometric: str, shape: str, inverted: bool) -> None:
    header = _header(PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    assert is_inverted(header) is inverted
    table = display_table(header, 0, 4095, STORED)
    assert bool(table[0] > table[-1]) is inverted
