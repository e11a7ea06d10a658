"""What the network sees and what people are shown, made from stored values or from an 8-bit picture.

Both shrink first and then look up: on real films that moves hardly a pixel, and a film of 15 MB costs 13 ms, not 100.
"""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray

from cxr_node.errors import Permanent
from cxr_node.imaging.header import first_item, numbers, text
from cxr_node.imaging.lut import display_table, lookup_table, stretch
from cxr_node.imaging.pixels import Stored
from cxr_node.message import Message

Prepared = NDArray[np.float32]
"""A film as the network sees it: (size, size), 0 black to 1 white."""

PICTURES = frozenset({".png", ".jpg", ".jpeg"})
"""What the names of picture files end with."""

_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")
_WIDEST_ASPECT = 4.0

_MEANING_NUMBERS = (
    "BitsStored",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
)
_MEANING_TEXTS = ("PhotometricInterpretation", "PresentationLUTShape")


def prepare(stored: Stored, dataset: pydicom.Dataset, size: int) -> Prepared:
    """The film as the network sees it: squashed to a square, in display values, then stretched over 0..1.

    The aspect ratio is given up on purpose: half of the films that the networks learn from have lost theirs.
    """
    shrunk, film = _resize(stored, dataset, (size, size))
    shown = _display(shrunk, film, dataset)
    return _stretched(shown, film)


def prepare_grey(picture: NDArray[np.uint8], size: int) -> Prepared:
    """An 8-bit greyscale picture (h, w), 0 black, as `prepare` gives a DICOM film."""
    shrunk = _area(picture, (size, size))
    return _stretched((shrunk / np.float32(255)).astype(np.float32), np.ones(shrunk.shape, dtype=bool))


def resized(prepared: Prepared, size: int) -> Prepared:
    """A prepared film at another size, (size, size), as if it had been prepared at it."""
    return np.asarray(_area(prepared, (size, size)), dtype=np.float32)


def render(
    stored: Stored, dataset: pydicom.Dataset, longest_side: int = 1024, *, inverted: bool = False
) -> NDArray[np.uint8]:
    """The film for people: 0 black to 255 white, (h, w), square pixels, never enlarged.

    `inverted`: with black for white, where the header has it the wrong way round.
    """
    shrunk, film = _resize(stored, dataset, _square_pixels(stored.shape, dataset, longest_side))
    shown = _display(shrunk, film, dataset)
    return np.asarray(np.rint(np.where(film, 1 - shown if inverted else shown, 0) * 255), dtype=np.uint8)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """A PNG or JPEG file as 8-bit grey values (h, w).

    Raises:
        Permanent: NO_PICTURE: the file is missing or no picture.
        OSError: it cannot be read.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except FileNotFoundError as error:
        raise Permanent(
            "NO_PICTURE", Message("{path} cannot be read: {error}.", path=path, error=error.strerror)
        ) from error
    picture = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    if picture is None:
        raise Permanent("NO_PICTURE", Message("{path} is not a picture that can be decoded.", path=path))
    return picture.astype(np.uint8, copy=False)


def pixel_digest(stored: Stored, dataset: pydicom.Dataset) -> str:
    """SHA-256 (hex) of the pixel values and of the attributes that say what they mean.

    Independent of the transfer syntax, the bits allocated, every attribute about the patient or the study, and of the
    window or VOI LUT: another way to show the same film does not make it another one.
    """
    kind = "<i2" if stored.dtype.kind == "i" else "<u2"
    digest = hashlib.sha256(f"{stored.shape}{kind}".encode())
    for keyword in _MEANING_NUMBERS:
        digest.update(f"|{keyword}={numbers(dataset, keyword)}".encode())
    for keyword in _MEANING_TEXTS:
        digest.update(f"|{keyword}={text(dataset, keyword)}".encode())
    if table := lookup_table(first_item(dataset, "ModalityLUTSequence")):  # its values, in whatever VR they came
        digest.update(f"|ModalityLUT={table.first},{table.maximum},{table.data.tolist()}".encode())
    digest.update(np.ascontiguousarray(stored, dtype=kind).data)
    return digest.hexdigest()


def _display(shrunk: Stored, film: NDArray[np.bool_], dataset: pydicom.Dataset) -> Prepared:
    first, last = int(shrunk.min()), int(shrunk.max())
    table = display_table(dataset, first, last, shrunk[film].astype(np.int32))
    return table[shrunk.astype(np.int32) - first]


def _stretched(shown: Prepared, film: NDArray[np.bool_]) -> Prepared:
    values = shown.astype(np.float64)
    return np.where(film, stretch(values, values[film]), 0).astype(np.float32)


def _resize(stored: Stored, dataset: pydicom.Dataset, size: tuple[int, int]) -> tuple[Stored, NDArray[np.bool_]]:
    """The film at (h, w) and where it is film, not padding; a pixel mixed of both keeps its film's value."""
    padding = _padding(stored, dataset)
    if padding is None:
        return _area(stored, size), np.ones(size, dtype=bool)
    share = _area((~padding).astype(np.float32), size)
    masked = np.where(padding, 0, stored).astype(np.float32)
    mean = np.divide(_area(masked, size), share, out=np.zeros_like(share), where=share > 0)
    return np.rint(mean).astype(np.int32), share >= 0.5


def _area(image: Stored, size: tuple[int, int]) -> Stored:
    """Shrink to (h, w) by averaging areas; bilinear where a side grows."""
    height, width = size
    if image.shape == size:
        return image
    native = image.astype(np.int16) if image.dtype == np.int8 else image
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(native), (width, height), interpolation=method))


def _padding(stored: Stored, dataset: pydicom.Dataset) -> NDArray[np.bool_] | None:
    """Where the pixels are padding (PS3.3 C.7.5.1.1.2), None where none are, or all would be."""
    value = numbers(dataset, "PixelPaddingValue")
    if not value:
        return None
    limit = numbers(dataset, "PixelPaddingRangeLimit") or value
    low, high = sorted(_as_stored(each, stored) for each in (value[0], limit[0]))
    mask = (stored >= low) & (stored <= high)
    covered = np.count_nonzero(mask)
    return mask if 0 < covered < stored.size else None


def _as_stored(value: float, stored: Stored) -> int:
    """A padding value read with the other signedness, brought to that of the pixels (its VR is US or SS)."""
    if stored.dtype.kind == "i" and value >= 2**15:
        return int(value) - 2**16
    return int(value) + 2**16 if stored.dtype.kind == "u" and value < 0 else int(value)


def _square_pixels(shape: tuple[int, ...], dataset: pydicom.Dataset, longest_side: int) -> tuple[int, int]:
    """(h, w) that show the film undistorted, within its own size and `longest_side`."""
    vertical, horizontal = _pixel_sides(dataset)
    largest = max(vertical, horizontal)
    height, width = shape[0] * vertical / largest, shape[1] * horizontal / largest
    scale = min(1.0, longest_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _pixel_sides(dataset: pydicom.Dataset) -> tuple[float, float]:
    """Height and width of a pixel, in whatever unit; the first attribute that makes sense (PS3.3 10.7.1.1, C.7.6.3)."""
    for keyword in _SPACINGS:
        sides = numbers(dataset, keyword)
        if len(sides) == 2 and min(sides) > 0 and max(sides) <= _WIDEST_ASPECT * min(sides):
            return sides[0], sides[1]
    return 1.0, 1.0
