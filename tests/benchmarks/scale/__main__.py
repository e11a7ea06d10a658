"""`python -m tests.benchmarks.scale [--hospitals N,N,...] [--seed N] [--write]`: what docs/scale.md shows.

A few minutes for the four sizes. The same seed and figures give the same tables, to the letter.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import click

from tests.benchmarks.scale import page
from tests.benchmarks.scale.costs import load
from tests.benchmarks.scale.plot import draw
from tests.benchmarks.scale.scenarios import Scales

DOCUMENT = Path(__file__).parents[3] / "docs" / "scale.md"
PICTURE = DOCUMENT.parent / "images" / "scale.png"


@click.command()
@click.option("--hospitals", default="1,10,100,1000", show_default=True, help="Sizes, with commas between them.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed, the same studies.")
@click.option("--write", is_flag=True, help="Put the tables into docs/scale.md and make its picture.")
def main(hospitals: str, seed: int, write: bool) -> None:
    """Simulate regions of hospitals from what was measured on one node."""
    sizes = _sizes(hospitals)
    scales = Scales(load(), seed)
    made = f"`python -m tests.benchmarks.scale --hospitals {hospitals} --seed {seed}`: a simulation."
    for name, lines in _parts(scales, sizes):
        click.echo(f"\n## {name}\n")
        found = []
        for line in lines:
            click.echo(line)
            found.append(line)
        if write:
            _write(name, page.section(name, found, made))
    if write:
        draw(scales, max(sizes), PICTURE)
        click.echo(f"written: {DOCUMENT}, {PICTURE}")


def _sizes(said: str) -> list[int]:
    """Raises BadParameter."""
    found = [int(part) for part in said.split(",") if part.isdecimal() and 1 <= int(part) <= 2000]
    if not found or len(found) != len(said.split(",")):
        raise click.BadParameter(
            f"{said!r}: give numbers of hospitals from 1 to 2000, as 1,10,100", param_hint="hospitals"
        )
    return found


def _parts(scales: Scales, sizes: list[int]) -> Iterator[tuple[str, Iterator[str]]]:
    yield "figures", page.figures(scales)
    yield "at_each", page.at_each(scales, sizes)
    needed = {size: scales.machines(size) for size in sizes}
    yield "in_a_centre", page.in_a_centre(scales, needed)
    yield "moved", page.moved(scales)
    yield "with_a_pool", page.with_a_pool(scales, sizes)
    yield "offline", page.offline(scales, needed)
    yield "at_the_hub", page.at_the_hub(scales, sizes)
    yield "million", page.million(scales, needed)
    yield "years", page.years(scales)


def _write(name: str, text: str) -> None:
    """Raises UsageError where the page has no such part."""
    place = re.compile(f"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
    before = DOCUMENT.read_text("utf-8")
    if not place.search(before):
        raise click.UsageError(
            f"{DOCUMENT} has no part {name}: put <!-- {name} --> and <!-- /{name} --> where it belongs"
        )
    DOCUMENT.write_text(place.sub(lambda _: text, before), "utf-8")


if __name__ == "__main__":
    main()
