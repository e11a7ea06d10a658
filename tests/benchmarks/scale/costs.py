"""What every step costs: figures read from where they were measured or set, and assumptions, each with its ground."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

FILE = Path(__file__).with_name("costs.toml")
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number in the unit that its name ends with, and where it is from, or on what ground it is assumed."""

    name: str
    value: float
    source: str
    assumed: bool


def load(file: Path = FILE, root: Path = ROOT) -> dict[str, Figure]:
    """Every figure of `file` by name.

    Raises:
        ValueError: a figure has no ground, or what it is read from does not stand where it says, below `root`.
    """
    return {name: _figure(name, said, file, root) for name, said in tomllib.loads(file.read_text("utf-8")).items()}


def _figure(name: str, said: Mapping[str, object], file: Path, root: Path) -> Figure:
    match said:
        case {"file": str(source), "find": str(pattern), **rest} if rest.keys() <= {"section"}:
            part = str(rest.get("section", ""))
            text = _section((root / source).read_text("utf-8"), part)
            found = re.search(pattern, text)
            if not found:
                raise ValueError(
                    f"{name}: nothing in {source}, {part or 'all of it'}, matches {pattern!r}. Run that benchmark "
                    f"again with --write, or correct {file}."
                )
            return Figure(name, float(found[1]), f"{source}, {part}" if part else source, assumed=False)
        case {"value": int(value) | float(value), "why": str(why), **rest} if not rest and why and value > 0:
            return Figure(name, float(value), why, assumed=True)
    raise ValueError(f"{name} in {file}: give `file` and `find`, or a `value` above 0 and `why`; it has {dict(said)}")


def _section(text: str, name: str) -> str:
    """What stands between the marks of a section, if there is one; all of it for no name."""
    found = re.search(rf"<!-- {name} -->(.*?)<!-- /{name} -->", text, re.DOTALL) if name else None
    return found[1] if found else "" if name else text


@dataclass(frozen=True, slots=True)
class Costs:
    """What a node spends, in seconds on one core: on a film, and on a study's documents.

    `analyse` is everything from the response to the place in the worklist but the network, waiting for the disk
    included. `network` is the network on one core. `beside` is what else a film takes of the cores while nobody waits
    for it: drawing it for people, above all. `change` is what a hub spends on a change of a workitem.
    """

    receive: float
    analyse: float
    network: float
    beside: float
    sr: float
    heatmap: float
    change: float
    page: float
    cores: int

    @property
    def documents(self) -> float:
        return self.sr + self.heatmap

    def of_study(self, films: float) -> float:
        """Seconds of a core for a study of so many films."""
        return films * (self.receive + self.analyse + self.network + self.beside) + self.documents


def costs(figures: Mapping[str, Figure]) -> Costs:
    """Raises ValueError where the measured figures contradict each other."""
    value = {name: figure.value for name, figure in figures.items()}
    found = Costs(
        receive=1 / value["films_received_per_second"],
        analyse=(value["ranked_ms"] - value["network_then_ms"]) / 1000,
        network=value["network_ms"] / 1000,
        beside=0.0,
        sr=(value["sr_stored_ms"] - value["ranked_ms"]) / 1000,
        heatmap=(value["heatmap_stored_ms"] - value["sr_stored_ms"]) / 1000,
        change=value["change_ms"] / 1000,
        page=value["page_ms"] / 1000,
        cores=int(value["cores"]),
    )
    if min(found.analyse, found.sr, found.heatmap) <= 0:
        raise ValueError("a later moment of a study comes before an earlier one: measure `latency` and `stages` again")
    rest = found.cores / value["studies_per_second"] - found.of_study(1)  # with both cores taken all the time
    return replace(found, beside=max(0.0, rest))
