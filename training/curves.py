"""Curves of loss and accuracy per epoch, as a picture that a browser shows."""

from collections.abc import Mapping, Sequence

WIDTH, HEIGHT, MARGIN = 420, 260, 48
PANELS = (("loss", "validation loss"), ("accuracy", "validation accuracy"))
COLOURS = ("#1f5fa8", "#c4451c")


def draw(history: Sequence[Mapping[str, float]]) -> str:
    """An SVG with two panels, loss and accuracy, training and validation in each; one point an epoch."""
    panels = "".join(_panel(history, names, index * WIDTH) for index, names in enumerate(PANELS))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * WIDTH}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n{panels}</svg>\n'
    )


def _panel(history: Sequence[Mapping[str, float]], names: tuple[str, str], left: int) -> str:
    values = [entry[name] for name in names for entry in history if name in entry]
    if not values:
        return ""
    top = 1.0 if "accuracy" in names else max(values) * 1.05 or 1.0
    across, down = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN
    x0, y0 = left + MARGIN, HEIGHT - MARGIN
    parts = [f'<path d="M{x0},{MARGIN}V{y0}H{x0 + across}" fill="none" stroke="#888"/>']
    parts += [_text(x0 - 6, y0, "0", "end"), _text(x0 - 6, MARGIN + 4, f"{top:.3g}", "end")]
    parts += [_text(x0 + across, y0 + 16, f"epoch {len(history)}", "end")]
    for index, (name, colour) in enumerate(zip(names, COLOURS, strict=True)):
        points = [
            (x0 + across * place / max(1, len(history) - 1), y0 - down * min(entry[name], top) / top)
            for place, entry in enumerate(history)
            if name in entry
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points]
        parts.append(_text(x0 + 8, 16 + 14 * index, name, "start", colour))
    return "\n".join(parts) + "\n"


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#444") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{colour}">{text}</text>'
