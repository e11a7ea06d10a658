"""One page for people: the film, what the model looked at, and its outputs as bars; drawn by ReportLab as PDF."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader, simpleSplit
from reportlab.pdfgen.canvas import Canvas

from cxr_node.documents.picture import Picture

_WIDTH, _HEIGHT = A4
_MARGIN: Final = 42.0
_GAP: Final = 14.0
_FONT, _BOLD = "Helvetica", "Helvetica-Bold"
_INK, _SOFT, _TRACK, _WARNING, _BAR = (
    (0.1, 0.1, 0.12),
    (0.38, 0.38, 0.42),
    (0.88, 0.88, 0.9),
    (0.62, 0.3, 0.0),
    (0.2, 0.4, 0.62),
)
_LONGEST_SIDE: Final = 900  # pixels of a picture on the page: 250 a printed inch
_QUALITY: Final = 92
_TALL, _LESS_TALL = 330.0, 230.0  # points, of a picture beside few remarks, and beside many
_FEW: Final = 8
_SIZES: Final = (10.0, 9.0, 8.0, 7.0)
"""Of remarks, in points: the largest that fits."""
_LEAST_GAP: Final = 14.0
_ENCODING: Final = "cp1252"  # what the standard fonts of PDF have


@dataclass(frozen=True, slots=True)
class Bar:
    """One output of the model, `share` in 0..1."""

    name: str
    number: str
    share: float


@dataclass(frozen=True, slots=True)
class Page:
    """What stands on the page, from the top: `pictures` with a caption each, side by side.

    Where the page has no room for every remark, `more` (with a place for their `count`) stands for the last ones.
    """

    title: str
    identity: tuple[str, ...]
    headline: str
    details: tuple[str, ...]
    pictures: tuple[tuple[str, Picture], ...]
    bars: tuple[Bar, ...]
    remarks: tuple[str, ...]
    more: str
    warning: str
    language: str


def printable(text: str) -> str:
    """The text, where the standard fonts of PDF have all of its letters; else nothing."""
    try:
        text.encode(_ENCODING)
    except UnicodeEncodeError:
        return ""
    return text


def draw_page(page: Page) -> bytes:
    """The page as a PDF file of one A4 page; the same page gives the same bytes."""
    buffer = BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=1, lang=page.language)
    canvas.setTitle(page.title)
    top = _line(canvas, page.title, _HEIGHT - _MARGIN - 8, 15, bold=True)
    for text in page.identity:
        top = _text(canvas, text, top, 10)
    top = _line(canvas, page.headline, top - 12, 14, bold=True)
    for text in page.details:
        top = _text(canvas, text, top, 10, _SOFT)
    top = _pictures(canvas, page.pictures, top - 6, _TALL if len(page.remarks) <= _FEW else _LESS_TALL)
    for bar in page.bars:
        top = _bar(canvas, bar, top)
    _remarks(canvas, page, top)
    _line(canvas, page.warning, _MARGIN, 11, _WARNING, bold=True)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _line(
    canvas: Canvas,
    text: str,
    top: float,
    size: float,
    colour: tuple[float, float, float] = _INK,
    *,
    bold: bool = False,
) -> float:
    """One line, smaller if it exceeds the page; where the next begins, in points from the bottom."""
    font = _BOLD if bold else _FONT
    reach = canvas.stringWidth(text, font, size)
    fit = min(size, size * (_WIDTH - 2 * _MARGIN) / reach) if reach else size
    canvas.setFont(font, fit)
    canvas.setFillColorRGB(*colour)
    canvas.drawString(_MARGIN, top, text)
    return top - 1.45 * size


def _text(canvas: Canvas, text: str, top: float, size: float, colour: tuple[float, float, float] = _INK) -> float:
    """A text in as many lines as it needs."""
    for line in simpleSplit(text, _FONT, size, _WIDTH - 2 * _MARGIN):
        top = _line(canvas, line, top, size, colour)
    return top


def _remarks(canvas: Canvas, page: Page, top: float) -> None:
    """The remarks, in smaller letters where they are many; those that still do not fit are counted."""
    room = top - _MARGIN - _LEAST_GAP
    size = next((size for size in _SIZES if _height(page.remarks, size) <= room), _SIZES[-1])
    shown, count = page.remarks, len(page.remarks)
    while count and _height(shown, size) > room:
        count -= 1
        shown = (*page.remarks[:count], page.more.format(count=len(page.remarks) - count))
    for text in shown:
        top = _text(canvas, text, top - 2, size)


def _height(texts: Sequence[str], size: float) -> float:
    """How much of the page remarks take, in points."""
    lines = [len(simpleSplit(text, _FONT, size, _WIDTH - 2 * _MARGIN)) for text in texts]
    return 1.45 * size * sum(lines) + 2 * len(texts)


def _pictures(canvas: Canvas, pictures: Sequence[tuple[str, Picture]], top: float, tallest: float) -> float:
    """The pictures beside each other, each with its caption below it; a single one is as large as one of two."""
    width = (_WIDTH - 2 * _MARGIN - _GAP) / 2
    lowest = top
    for index, (caption, picture) in enumerate(pictures):
        height = min(width * picture.shape[0] / picture.shape[1], tallest)
        shown = height * picture.shape[1] / picture.shape[0]
        left = _MARGIN + index * (width + _GAP)
        canvas.drawImage(ImageReader(_jpeg(picture)), left, top - height, shown, height)
        canvas.setFont(_FONT, 9)
        canvas.setFillColorRGB(*_SOFT)
        canvas.drawString(left, top - height - 12, caption)
        lowest = min(lowest, top - height - 32)
    return lowest


def _jpeg(picture: Picture) -> BytesIO:
    """The picture as the page holds it; with every pixel as it is, a page would be a megabyte and more."""
    image, stream = Image.fromarray(picture), BytesIO()
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    image.save(stream, "JPEG", quality=_QUALITY)
    stream.seek(0)
    return stream


def _bar(canvas: Canvas, bar: Bar, top: float) -> float:
    left, width = _MARGIN + 190, _WIDTH - 2 * _MARGIN - 190 - 60
    canvas.setFont(_FONT, 10)
    canvas.setFillColorRGB(*_INK)
    canvas.drawString(_MARGIN, top, bar.name)
    canvas.drawRightString(_WIDTH - _MARGIN, top, bar.number)
    for share, colour in ((1.0, _TRACK), (bar.share, _BAR)):
        canvas.setFillColorRGB(*colour)
        canvas.rect(left, top - 1, width * share, 9, stroke=0, fill=1)
    return top - 17
