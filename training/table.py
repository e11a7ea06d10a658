"""The reproduction table: each system's figure in its document and ours, and what to know before comparing them."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cxr_node.errors import ConfigError
from training.data import read_manifest
from training.recipe import Recipe
from training.reproduce import published_by, run_of
from training.run import Conditions, Run

SMOKE = 10
"""A run of less than one in so many of the document's epochs shows no figure."""

_FOLDERS = re.compile(r"(?<![\w.~:/-])/\S*/")
"""Where files lie on one machine is nobody's concern on the page."""


@dataclass(frozen=True, slots=True)
class Row:
    """One system. `ours` is accuracy with its 95 % interval, None where there is no figure to show, which `notes` say.

    `epochs` are those done and those of the recipe, `minutes` what they took, `done` the day (ISO 8601).
    """

    recipe: str
    document: str
    system: str
    theirs: float | None
    on: str
    ours: dict[str, float] | None
    data: str
    differs: str
    weights: str
    epochs: tuple[int, int]
    minutes: float
    done: str
    notes: tuple[str, ...]
    command: str

    @property
    def come_to(self) -> bool:
        """Whether a run came to anything, be it one epoch."""
        return bool(self.done or self.epochs[0])


def rows(wanted: Mapping[str, Recipe], runs: Path, failed: Mapping[str, str]) -> list[Row]:
    """A row for each recipe, whatever became of it."""
    return [_row(name, recipe, runs, failed.get(name, "")) for name, recipe in wanted.items()]


def earlier(path: Path) -> dict[str, Row]:
    """The rows of a table that `as_json` made, by recipe; none where there is no file.

    Raises:
        ConfigError: the file is no such table.
    """
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["rows"]
        table = [Row(**row | {"epochs": tuple(row["epochs"]), "notes": tuple(row["notes"])}) for row in found]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ConfigError(
            f"{path} is no table of `cxr-train reproduce` ({error}); move it away, or name another folder with --out."
        ) from error
    return {row.recipe: row for row in table}


def joined(table: Iterable[Row], before: Mapping[str, Row], order: Iterable[str]) -> list[Row]:
    """The table in this order, with the rows of one before for systems that it has not, or whose runs are elsewhere.

    A row that came to nothing before makes room for what is known now of why.
    """
    rows = {row.recipe: row for row in table}
    elsewhere = {name: row for name, row in before.items() if row.come_to and not (name in rows and rows[name].come_to)}
    found = dict(before) | rows | elsewhere
    return [found[name] for name in order if name in found]


def markdown(table: list[Row], facts: Mapping[str, str]) -> str:
    """The page: how it was made, the table, then for each system how it differs from its document."""
    head = "| document | system | document's accuracy | ours (95 % interval) | weights | epochs | minutes | notes |"
    lines = [
        "# Reproduction of the five documents",
        "",
        "Accuracy on test films. A row with less than a tenth of the document's epochs is a smoke run and shows no",
        "figure of ours; nothing is left out. Intervals are from 2,000 resamples of the patients.",
        "",
        *(f"- {name}: {value}" for name, value in facts.items()),
        "",
        head,
        "| --- | --- | ---: | ---: | --- | ---: | ---: | --- |",
    ]
    for row in table:
        theirs = "none given" if row.theirs is None else f"{row.theirs:.4g}"
        epochs = f"{row.epochs[0]} / {row.epochs[1]}"
        cells = (row.document, row.system, theirs, _figure(row.ours), row.weights, epochs, f"{row.minutes:.0f}")
        lines.append(f"| {' | '.join(cells)} | {'; '.join(row.notes)} |")
    lines += ["", "## Data, and how each run differs from its document", ""]
    for row in table:
        lines.append(
            f"- **{row.document}, {row.system}** (`{row.recipe}`{', ' + row.done if row.done else ''}): {row.data}"
        )
        lines.append(f"  Document: {row.on}. {row.differs} Command: `{row.command}`.")
    return "\n".join(lines) + "\n"


def as_json(table: list[Row], facts: Mapping[str, str]) -> dict[str, Any]:
    """The same for programs."""
    return {"facts": dict(facts), "rows": [asdict(row) for row in table]}


def _row(name: str, recipe: Recipe, runs: Path, failure: str) -> Row:
    published, run = published_by(name, recipe), run_of(name, recipe, runs)
    begun = [each for each in (run, *_before(recipe, runs)) if each.begun]
    results = run.results() if run.evaluated else None
    smoke = any(SMOKE * each.epochs_done < each.conditions().recipe_epochs for each in begun)
    notes = ([_FOLDERS.sub("", failure)] if failure else []) + (_cuts(run.conditions()) if run.begun else [])
    if results is None:
        notes = notes if failure else [*notes, _why_not(recipe, run)]
    elif smoke:
        notes.append("smoke run: less than a tenth of the document's epochs")
    else:
        notes += _of_results(results)
    return Row(
        recipe=name,
        document=published.document,
        system=published.system,
        theirs=published.figure,
        on=published.on,
        ours=results["accuracy"] if results and not smoke else None,
        data=_data(run, results),
        differs=published.differs,
        weights=_weights(recipe, run),
        epochs=(run.epochs_done, recipe.fit.all_epochs),
        minutes=sum(entry["seconds"] for entry in run.history()) / 60,
        done=_day(run),
        notes=tuple(notes),
        command=_command(name, run),
    )


def _why_not(recipe: Recipe, run: Run) -> str:
    """Why a system that nothing went wrong with has no results."""
    if not run.begun and recipe.stand_in and not recipe.stand_in.sources:
        return f"the document's films are not at hand: {recipe.stand_in.says}"
    return "not finished yet" if run.begun else "not trained yet"


def _before(recipe: Recipe, runs: Path) -> list[Run]:
    """The runs that this one goes on from, or gets its films from."""
    names = (recipe.starts_from, recipe.cascade.first if recipe.cascade else "")
    return [Run(runs / name) for name in names if name]


def _cuts(conditions: Conditions) -> list[str]:
    """How the run differs from its recipe, and from what the page says of all."""
    cuts = []
    if conditions.limit:
        cuts.append(f"reduced: at most {conditions.limit} films of each split to train and validate with")
    if conditions.variants:
        cuts.append(f"random changes of each film drawn from {conditions.variants}, whose features were computed once")
    if conditions.stand_in:
        cuts.append("other data than the document's (below)")
    if conditions.device:
        cuts.append(f"on {conditions.device}")
    return cuts


def _of_results(results: Mapping[str, Any]) -> list[str]:
    """What the figure is to be read beside."""
    first = next(iter(results["questions"].values()))
    majority = first["majority"]
    notes = [majority["note"]] if majority["note"] else []
    notes.append(f"calling every film {majority['class']} gives {majority['accuracy']:.3f}")
    if first["resampled"] != "patients":
        notes.append(f"interval by {first['resampled']}")
    return notes


def _weights(recipe: Recipe, run: Run) -> str:
    if recipe.starts_from:
        return f"from {recipe.starts_from}"
    if not run.begun:
        return "public" if recipe.weights_sha256 else "none"
    if run.conditions().weights:
        return "pretrained (ImageNet)"
    if not run.conditions().from_scratch:
        return "none, as in the document"
    return "from scratch, frozen at random values" if recipe.frozen else "from scratch"


def _data(run: Run, results: Mapping[str, Any] | None) -> str:
    """Which films, of which source, in which split."""
    if not run.splits.is_file():
        return "No film was read."
    used = Counter((film.split, film.source) for film in read_manifest(run.splits))
    parts = []
    for split, name in (("train", "Trained on"), ("val", "validated on")):
        sources = [f"{count} of {source}" for (of, source), count in sorted(used.items()) if of == split]
        parts.append(f"{name} {', '.join(sources)}")
    if results:
        counts = results["data"]["by_source_and_label"]
        shown = ", ".join(f"{count} {label}" for label, count in counts.items())
        parts.append(f"tested on {results['data']['films']} films ({shown})")
    return f"{'; '.join(parts)}; no patient in two splits. {run.conditions().stand_in}".strip()


def _command(name: str, run: Run) -> str:
    """What trains and evaluates the system so."""
    options = ""
    if run.begun:
        cut = run.conditions()
        epochs = cut.epochs if cut.epochs < cut.recipe_epochs else None
        given = (("limit", cut.limit), ("epochs", epochs), ("variants", cut.variants))
        options = "".join(f" --{option} {value}" for option, value in given if value is not None)
    return f"cxr-train reproduce {name}{options}"


def _day(run: Run) -> str:
    """When the last step that it has was done."""
    for step in (run.outcome, run.weights):
        if step.is_file():
            return datetime.fromtimestamp(step.stat().st_mtime, UTC).date().isoformat()
    return ""


def _figure(ours: Mapping[str, float] | None) -> str:
    return "none" if ours is None else f"{ours['value']:.4f} ({ours['low']:.4f} to {ours['high']:.4f})"
