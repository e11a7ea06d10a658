"""The greyscale pipeline of PS3.3 C.11 and PS3.4 N.2, folded into one table from stored to display values.

Modality (rescale or table), values of interest (table or window), then the sense of the photometric interpretation.
"""

import numpy as np
import pydicom
from numpy.typing import NDArray

from cxr_node.imaging.header import first_item, numbers, read, text

Floats = NDArray[np.float64]

PERCENTILES = (1.0, 99.0)
"""What is taken for black and white where the film names no usable window."""

LEAST_CONTRAST = 0.05
"""A window that leaves the middle 98 % of a film less of the display range than this shows nothing: it is ignored."""


def display_table(dataset: pydicom.Dataset, first: int, last: int, sample: NDArray[np.integer]) -> NDArray[np.float32]:
    """Display values (0 black, 1 white) of the stored values `first`..`last`; index with `stored - first`.

    `sample` holds stored values of the film without its padding, in any shape: it decides black and white where the
    header does not, and whether the header's window shows anything.
    """
    values = modality(np.arange(first, last + 1, dtype=np.float64), dataset)
    sampled = sample.ravel() - first
    shown = values_of_interest(values, dataset)
    if shown is None or np.diff(np.percentile(shown[sampled], PERCENTILES))[0] < LEAST_CONTRAST:
        shown = stretch(values, values[sampled])
    if is_inverted(dataset):
        shown = 1 - shown
    return shown.astype(np.float32)


def stretch(values: Floats, sample: Floats) -> Floats:
    """Values with the percentiles of `sample` moved to 0 and 1, and clipped; all zero where they coincide."""
    black, white = np.percentile(sample, PERCENTILES)
    if white <= black:
        return np.zeros_like(values)
    return np.asarray(np.clip((values - black) / (white - black), 0, 1))


def is_inverted(dataset: pydicom.Dataset) -> bool:
    """Whether low values are white: MONOCHROME1 (C.7.6.3.1.2), which a DX film also says as INVERSE (C.8.11.3)."""
    photometric = text(dataset, "PhotometricInterpretation")
    return photometric == "MONOCHROME1" or text(dataset, "PresentationLUTShape") == "INVERSE"


def modality(stored: Floats, dataset: pydicom.Dataset) -> Floats:
    """Stored values through the Modality LUT Sequence, or slope and intercept (C.11.1); unchanged without either."""
    table = lookup_table(first_item(dataset, "ModalityLUTSequence"))
    if table is not None:
        return table.apply(stored)
    slope, intercept = numbers(dataset, "RescaleSlope"), numbers(dataset, "RescaleIntercept")
    if not slope or not intercept or slope[0] == 0:
        return stored
    return stored * slope[0] + intercept[0]


def values_of_interest(values: Floats, dataset: pydicom.Dataset) -> Floats | None:
    """Modality values to 0..1 by the first VOI LUT or else the first window (C.11.2); None without a usable one."""
    table = lookup_table(first_item(dataset, "VOILUTSequence"))
    if table is not None:
        return table.apply(values) / table.maximum
    centre, width = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    if not centre or not width or width[0] <= 0:
        return None
    return window(values, centre[0], width[0], text(dataset, "VOILUTFunction"))


def window(values: Floats, centre: float, width: float, function: str = "LINEAR") -> Floats:
    """Values to 0..1 by LINEAR, LINEAR_EXACT or SIGMOID (C.11.2.1.2, C.11.2.1.3); a width above zero."""
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -500, 500))))
    if function != "LINEAR_EXACT":  # LINEAR counts the steps between whole numbers
        centre, width = centre - 0.5, width - 1
    slope = 1 / max(width, 1e-9)
    return np.asarray(np.clip((values - centre) * slope + 0.5, 0, 1))


class LookupTable:
    """One LUT of the header: `data` are its entries, of which the first belongs to the input value `first`."""

    def __init__(self, first: int, bits: int, data: Floats) -> None:
        self.first = first
        self.data = data
        self.maximum = float(2**bits - 1)

    def apply(self, values: Floats) -> Floats:
        """The entry of each value, the nearest one for values outside the table (C.11.1.1.1, C.11.2.1.1)."""
        index = np.clip(np.rint(values).astype(np.int64) - self.first, 0, len(self.data) - 1)
        return np.asarray(self.data[index])


def lookup_table(item: pydicom.Dataset | None) -> LookupTable | None:
    """The table of a LUT sequence item; None where it has none, or its descriptor and data do not agree."""
    descriptor = numbers(item, "LUTDescriptor") if item is not None else ()
    if item is None or len(descriptor) != 3:
        return None
    entries, first, bits = (int(each) for each in descriptor)
    entries = entries or 2**16
    data = _entries(item, entries)
    if data is None or not 8 <= bits <= 16 or data.max() > 2**bits - 1:
        return None
    return LookupTable(first, bits, data)


def _entries(item: pydicom.Dataset, count: int) -> Floats | None:
    data = read(item, "LUTData")
    if isinstance(data, bytes):  # OW: 16-bit words, or 8-bit entries packed two to a word
        packed = len(data) < 2 * count
        values = np.frombuffer(data[: len(data) // 2 * 2], np.uint8 if packed else np.dtype("<u2")).astype(np.float64)
    else:
        values = np.asarray(numbers(item, "LUTData"))
    return values[:count] if 0 < count <= len(values) else None
