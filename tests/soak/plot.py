"""The samples of a run as a picture: one small panel for each thing, all over the same time."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tests.soak.samples import WARM_UP, Sample, column

_COLOURS = {"serve": "#1f6f8b", "infer": "#c8553d", "work": "#588157", "decoder": "#8a5fa8", "": "#333333"}
_PANELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("resident memory, MB", ("serve_memory", "infer_memory", "work_memory", "decoder_memory")),
    ("open files", ("serve_files", "infer_files", "work_files", "decoder_files")),
    ("threads", ("serve_threads", "infer_threads", "work_threads", "decoder_threads")),
    ("database, kB a study", ("database",)),
    ("jobs waiting or running", ("queued",)),
    ("from receipt to the last document, s", ("latency",)),
)
_WIDTH, _HEIGHT = 440, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 34, 24


def draw(samples: Sequence[Sample], path: Path, title: str) -> None:
    """Write the picture; the warm-up is shaded."""
    image = Image.new("RGB", (2 * _WIDTH, 30 + _HEIGHT * ((len(_PANELS) + 1) // 2)), "white")
    pen = ImageDraw.Draw(image)
    pen.text((12, 8), title, "black", ImageFont.load_default(14))
    for number, (name, columns) in enumerate(_PANELS):
        _panel(pen, (number % 2 * _WIDTH, 30 + number // 2 * _HEIGHT), name, columns, samples)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(32).save(path, optimize=True)


def _panel(
    pen: ImageDraw.ImageDraw, corner: tuple[int, int], name: str, columns: Sequence[str], samples: Sequence[Sample]
) -> None:
    left, top = corner[0] + _LEFT, corner[1] + _TOP
    right, bottom = corner[0] + _WIDTH - _RIGHT, corner[1] + _HEIGHT - _BOTTOM
    hours = [seconds / 3600 for seconds in column(samples, "seconds")]
    highest = 1.15 * max(max(column(samples, each)) for each in columns) or 1.0
    small = ImageFont.load_default(11)
    pen.rectangle((left, top, left + (right - left) * WARM_UP, bottom), "#eeeeee")
    pen.rectangle((left, top, right, bottom), outline="#999999")
    pen.text((left, top - 16), name, "black", small)
    for share in (0.0, 0.5, 1.0):
        pen.text((left - 5, bottom - share * (bottom - top)), f"{share * highest:.4g}", "#555555", small, anchor="rm")
        pen.text(
            (left + share * (right - left), bottom + 4), f"{share * hours[-1]:.2g} h", "#555555", small, anchor="ma"
        )
    for number, each in enumerate(columns):
        role = each.partition("_")[0] if "_" in each else ""
        points = [
            (left + (right - left) * when / hours[-1], bottom - (bottom - top) * value / highest)
            for when, value in zip(hours, column(samples, each), strict=True)
        ]
        pen.line(points, _COLOURS[role], 1)
        if role:
            pen.text((right - 168 + 42 * number, top - 16), role, _COLOURS[role], small)
