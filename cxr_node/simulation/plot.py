"""The plot: which share of the studies is reported within how long, in both orders. One SVG that needs nothing else."""

import math
from collections.abc import Iterator
from html import escape

import numpy as np
from numpy.typing import NDArray

from cxr_node.simulation.runs import EDGES, ORDERS, Outcome

_WIDTH, _HEIGHT = 980, 480
_PANEL, _TALL = 390, 270
_TOP, _LEFT, _GAP = 96, 64, 74
_COLOUR = {"arrival": "#767676", "node": "#0b5cad"}
_DASH = {"arrival": ' stroke-dasharray="7 4"', "node": ""}
_SAID = {"arrival": "first in, first out", "node": "the node's order"}
_TICKS = {
    0.1: "6 s", 1: "1 min", 2: "2", 5: "5", 10: "10", 20: "20", 60: "1 h", 120: "2", 240: "4", 480: "8", 1440: "1 d",
    2880: "2", 7200: "5", 14400: "10", 43200: "30",
}  # fmt: skip

Floats = NDArray[np.float64]


def drawing(outcome: Outcome, model: str) -> str:
    """The SVG. Time is logarithmic; the line of the maximum wait is where a study becomes overdue."""
    low, high = _range(outcome)
    site = outcome.site
    said = (
        f"{site.studies_per_day:g} studies a day, {site.prevalence:.1%} critical, {site.readers} reading, busy "
        f"{site.load:.0%}; sensitivity {site.sensitivity:.3g}, specificity {site.specificity:.3g}; "
        f"{len(outcome.runs)} runs of {site.days} days"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="DejaVu Sans, Arial, sans-serif" font-size="13" fill="#222">',
        f"<title>Report turnaround by reading order: {escape(said)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        _text(_LEFT, 30, "Share of the studies reported within a time", size=18, weight="bold"),
        _text(_LEFT, 52, said, fill="#555"),
        _text(_LEFT, _HEIGHT - 12, f"Model: {model}", size=11, fill="#555"),
    ]
    for column, (group, title) in enumerate((("critical", "Critical studies"), ("other", "Other studies"))):
        panel = _Panel(_LEFT + column * (_PANEL + _GAP), low, high)
        parts += panel.frame(title, site.max_wait_minutes)
        for order in ORDERS:
            parts += panel.curve(outcome.reported(order, group), order)
        parts += panel.key(outcome, group)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _range(outcome: Outcome) -> tuple[float, float]:
    """From where to where time goes: what all but a hundredth at the short end need, and the longest."""
    shares = [outcome.reported(order, "all") for order in ORDERS]
    if np.isnan(shares).any():
        return 1.0, 1440.0
    short = min(_reached(each, 0.01) for each in shares)
    return short, max(2 * short, *(_reached(each, 1.0) for each in shares))


def _reached(shares: Floats, share: float) -> float:
    """In minutes: the first of `EDGES` within which so many are reported."""
    return float(EDGES[min(int(np.searchsorted(shares, share)), len(EDGES) - 1)])


class _Panel:
    """One pair of axes: minutes from `low` to `high`, and a share of 0..1."""

    def __init__(self, left: float, low: float, high: float) -> None:
        self._left, self._low, self._high = left, low, high

    def _x(self, minutes: float) -> float:
        return self._left + _PANEL * math.log(minutes / self._low) / math.log(self._high / self._low)

    def _y(self, share: float) -> float:
        return _TOP + _TALL * (1 - share)

    def _inside(self, minutes: float) -> bool:
        return self._low <= minutes <= self._high

    def frame(self, title: str, maximum: float) -> Iterator[str]:
        """Title, grid, labels of the axes, and the maximum wait."""
        right, bottom = self._left + _PANEL, self._y(0)
        yield _text(self._left, _TOP - 12, title, size=14, weight="bold")
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            y = self._y(share)
            yield _line(self._left, y, right, y, "#e2e2e2")
            yield _text(self._left - 8, y + 4, f"{share:.0%}", anchor="end", size=12)
        for minutes, label in _TICKS.items():
            if self._inside(minutes):
                yield _line(self._x(minutes), bottom, self._x(minutes), bottom + 5, "#555")
                yield _text(self._x(minutes), bottom + 20, label, anchor="middle", size=12)
        if self._inside(maximum):
            yield _line(self._x(maximum), _TOP, self._x(maximum), bottom, "#a33", dash=' stroke-dasharray="2 3"')
            yield _text(self._x(maximum) + 4, bottom - 8, "overdue", size=11, fill="#a33")

    def curve(self, shares: Floats, order: str) -> Iterator[str]:
        """The line of an order; none where no study came."""
        points = [
            f"{self._x(minutes):.1f},{self._y(share):.1f}"
            for minutes, share in zip(EDGES.tolist(), shares.tolist(), strict=True)
            if self._inside(minutes) and not math.isnan(share)
        ]
        if points:
            yield (
                f'<polyline points="{" ".join(points)}" fill="none" stroke="{_COLOUR[order]}" stroke-width="2.5"'
                f"{_DASH[order]}/>"
            )

    def key(self, outcome: Outcome, group: str) -> Iterator[str]:
        """Which line is which, and its mean and longest."""
        figures = outcome.summary()["turnaround_minutes"]
        for row, order in enumerate(ORDERS):
            y = self._y(0) + 44 + 20 * row
            mean, longest = figures[order][group]["mean"], figures[order][group]["max"]
            what = f": mean {mean['value']:.0f} min, longest {longest['value']:.0f} min" if mean else ": no study"
            yield _line(self._left, y - 4, self._left + 30, y - 4, _COLOUR[order], width=2.5, dash=_DASH[order])
            yield _text(self._left + 38, y, _SAID[order] + what)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1, dash: str = "") -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width:g}"{dash}/>'


def _text(
    x: float, y: float, text: str, *, size: int = 13, anchor: str = "start", weight: str = "normal", fill: str = "#222"
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{fill}"'
    return f"<text {place}>{escape(text)}</text>"
