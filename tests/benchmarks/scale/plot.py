"""The picture of docs/scale.md: how waiting grows with hospitals, and how a centre catches up."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl

from tests.benchmarks.scale.scenarios import Scales, percentile

mpl.use("agg")

from matplotlib import pyplot as plt

_COLOURS = ("#c8553d", "#1f6f8b", "#588157")
_PARTS = (0.2, 0.5, 0.8, 1.0, 1.2, 1.5, 2.0)


def draw(scales: Scales, hospitals: int, path: Path) -> None:
    """Write the picture (PNG): to the left regions up to twice as large, to the right one of so many hospitals."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), dpi=100, layout="constrained")
    sizes = sorted({max(1, round(hospitals * part)) for part in _PARTS})
    _by_size(scales, sizes, left)
    _catching_up(scales, hospitals, right)
    figure.suptitle("A simulation, fed with the figures of one node", fontsize=10, color="#777777")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def _by_size(scales: Scales, sizes: Sequence[int], panel: "plt.Axes") -> None:
    """A line for each number of machines, with a line to the centre so wide that they alone count."""
    line = scales.figures["centre_megabits"]
    wide = replace(scales, figures={**scales.figures, line.name: replace(line, value=10 * line.value)})
    for count, colour in zip((1, 2), _COLOURS, strict=False):
        ranked = [percentile(wide.peak(size, wide.layout(machines=count)).ranked, 99) for size in sizes]
        panel.plot(sizes, ranked, "o-", color=colour, label=f"ranked, {count} machine{'s' if count > 1 else ''}")
    told = [percentile(scales.peak(size, scales.layout(machines=2)).acknowledged, 99) for size in sizes]
    panel.plot(sizes, told, "s:", color="#777777", label=f"acknowledged, line of {line.value:g} Mbit/s")
    panel.axhline(scales.value("ranked_within_seconds"), color="#aaaaaa", linestyle="--", linewidth=1)
    panel.set(
        yscale="log", xlabel="hospitals that send their films to one centre", ylabel="seconds",
        title="The peak hour: 99 of 100 films within",
    )  # fmt: skip
    panel.legend(frameon=False, loc="upper left", fontsize=9)


def _catching_up(scales: Scales, hospitals: int, panel: "plt.Axes") -> None:
    for dark, colour in zip((0, 1, max(1, hospitals // 10)), _COLOURS[::-1], strict=True):
        waits = scales.after_a_day(hospitals, scales.layout(machines=2), dark)
        minutes = [when / 60 for when, _ in waits.open]
        label = f"{dark} had no line for a day" if dark else "an ordinary hour"
        panel.plot(minutes, [1 + count for _, count in waits.open], color=colour, label=label, linewidth=1.2)
    panel.set(
        yscale="log", xlabel="minutes after the line came back", ylabel="films, plus one",
        title=f"{hospitals:,} hospitals, 2 machines: films without a place",
    )  # fmt: skip
    panel.legend(frameon=False)
