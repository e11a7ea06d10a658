"""The figures as one page with plots, which needs nothing beside it."""

import base64
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from tests.benchmarks import goals
from tests.benchmarks.figures import Figure, Part, table

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 1080px; margin: 2em auto; padding: 0 1em }
h2 { margin-top: 2.2em; border-bottom: 1px solid #ddd } h3 { margin: 1.6em 0 .4em; font-size: 1em }
table { border-collapse: collapse; margin: .6em 0; font-size: 13px } td, th { padding: .25em .7em; text-align: right }
th { text-align: right; vertical-align: bottom; border-bottom: 2px solid #888 } td { border-bottom: 1px solid #e4e4e4 }
td:first-child, th:first-child, .goals td, .goals th { text-align: left }
.met td:last-child { color: #176117 } .missed td:last-child { color: #a11313; font-weight: bold }
img { max-width: 100%; display: block; margin: .8em 0 } nav a { margin-right: 1em } .told { color: #555 }
"""
_COLOURS = ("#0b5cad", "#e08a1e", "#5b8c3a", "#a3457f", "#767676", "#3aa0a0")
_BAR, _WIDE = 0.24, 10.0  # inches
_LOGARITHMIC = 50.0  # from this ratio of the longest bar to the shortest on


def page(parts: Mapping[str, Part], told: Sequence[Mapping[str, Any]]) -> str:
    """HTML. `told` says of each figure when, on what and by which command it was taken."""
    taken = {each["part"]: each for each in told}
    links = " ".join(f'<a href="#{name}">{escape(part.title)}</a>' for name, part in parts.items())
    body = [f"<h1>cxr_node: benchmarks</h1><nav>{links}</nav>", "<h2>Goals</h2>", *_goals(parts, told)]
    for name, part in parts.items():
        body += [f'<h2 id="{name}">{escape(part.title)}</h2>', f'<p class="told">{escape(_taken(taken[name]))}</p>']
        for group, figures in part.groups().items():
            body += [f"<h3>{escape(group)}</h3>" if group else "", *_table(figures)]
            alike = [[each for each in figures if each.unit == unit] for unit in _units(figures)]
            body += [_plot(each) for each in alike if len(each) > 1]
        body += [f"<p>{escape(note)}</p>" for note in part.notes]
    head = f'<meta charset="utf-8"><title>cxr_node: benchmarks</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>\n'


def _taken(told: Mapping[str, Any]) -> str:
    on = told["machine"]
    return (
        f"{told['command']} ({told['scale']}), {told['date']}; {on['processor']}, {on['cores']} cores, "
        f"{on['memory_gib']} GiB, {on['system']}, Python {on['python']}; load {on['load']:g} at its end"
    )


def _goals(parts: Mapping[str, Part], told: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield f"<p>{escape(goals.caution(told))}</p>"
    yield '<table class="goals"><tr><th>goal<th>wanted<th>measured<th>spread<th></tr>'
    for row in goals.verdicts(parts):
        kind = row[-1].split(",")[0]
        yield f'<tr class="{kind.replace(" ", "-")}">{"".join(f"<td>{escape(cell)}" for cell in row)}</tr>'
    yield "</table>"


def _table(figures: Sequence[Figure]) -> Iterator[str]:
    heads, rows = table(figures)
    yield f"<table><tr><th>{''.join(f'<th>{escape(head)}' for head in heads)}</tr>"
    for row in rows:
        yield f"<tr>{''.join(f'<td>{escape(cell)}' for cell in row)}</tr>"
    yield "</table>"


def _units(figures: Sequence[Figure]) -> list[str]:
    return list(dict.fromkeys(figure.unit for figure in figures))


def _plot(figures: Sequence[Figure]) -> str:
    """Bars of one unit: medians, with the range, or the 95th and 99th percentile where the slow ones matter."""
    rows, columns = (list(dict.fromkeys(getattr(each, name) for each in figures)) for name in ("row", "column"))
    with mpl.rc_context({"svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif"}):
        drawing = Drawing(figsize=(_WIDE, 0.9 + _BAR * len(rows) * (len(columns) + 0.6)), layout="constrained")
        axes = drawing.add_subplot()
        for figure in figures:
            _bar(axes, figure, rows.index(figure.row), columns.index(figure.column), len(columns))
        axes.set_yticks(range(len(rows)), rows)
        axes.invert_yaxis()
        _scale(axes, figures)
        if len(columns) > 1:
            handles = [mpl.patches.Patch(color=_colour(number), label=name) for number, name in enumerate(columns)]
            drawing.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
        picture = io.BytesIO()
        drawing.savefig(picture, format="svg")
    alt = escape(f"{', '.join(columns)} by {', '.join(rows)}, {figures[0].unit}", quote=True)
    return f'<img alt="{alt}" src="data:image/svg+xml;base64,{base64.b64encode(picture.getvalue()).decode()}">'


def _bar(axes: Axes, figure: Figure, row: int, column: int, columns: int) -> None:
    high = 0.8 / columns
    place = row - 0.4 + high * (column + 0.5)
    axes.barh(place, figure.median, high * 0.9, color=_colour(column), label=figure.column)
    if figure.tail:
        _, *slow = figure.percentiles
        axes.plot([figure.median, *slow], [place] * 3, color="#222", linewidth=0.8, marker="|", markersize=5)
    elif len(figure.samples) > 1:
        axes.plot(figure.range, [place] * 2, color="#222", linewidth=0.8, marker="|", markersize=4)


def _scale(axes: Axes, figures: Sequence[Figure]) -> None:
    medians = [figure.median for figure in figures if figure.median > 0]
    axes.set_xlabel("times as much" if figures[0].unit == "x" else figures[0].unit)
    if medians and max(medians) / min(medians) > _LOGARITHMIC:
        axes.set_xscale("log")
        axes.set_xlim(left=10 ** math.floor(math.log10(min(medians))))
    elif figures[0].unit == "x":
        axes.axvline(1.0, color="#222", linewidth=0.8, linestyle=":")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(axis="x", color="#e4e4e4")
    axes.set_axisbelow(True)


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]
