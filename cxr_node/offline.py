"""`cxr-node analyze`: films in files, judged as the node judges them, without a node.

For each film a picture; for a DICOM film also the structured report and the heat map, as the node writes them in shadow
mode; for all of them results.csv, results.json and a page to look through.
"""

import csv
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from cxr_node.analyst import Analyst, Result
from cxr_node.config import Config
from cxr_node.errors import Permanent
from cxr_node.gallery import write_index
from cxr_node.imaging import PICTURES
from cxr_node.lineup import by_finding
from cxr_node.plan import Plan

DICOM = frozenset({".dcm", ".dicom"})


def analyze(config: Config, paths: Sequence[Path], out: Path, name: str | None, explain: str | None) -> int:
    """Analyse files, and the films in folders, into the folder `out`; 1 when a file or a model failed, else 0.

    `name` and `explain` take the place of what the configuration says.

    Raises ConfigError when the model is not there, Permanent (NO_FILMS) when there is nothing to analyse, UsageError
    for films that lie where the results would.
    """
    files = find_films(paths, out)
    if not files:
        raise Permanent("NO_FILMS", "there is no DICOM, PNG or JPEG file in what was given")
    config = by_finding(config, None)  # before the name is another: a prevalence is of what the named model finds
    model = config.model if name is None else config.model.model_copy(update={"name": name, "version": "latest"})
    report = config.report if explain is None else config.report.model_copy(update={"explain": explain})
    analyst = Analyst(Plan.of(config.model_copy(update={"model": model, "report": report})), out)
    out.mkdir(parents=True, exist_ok=True)
    named = list(zip(files, names(files), strict=True))
    results: list[Result] = []
    with click.progressbar(length=len(files), label="films", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        for start in range(0, len(named), config.inference.batch_size):
            batch = named[start : start + config.inference.batch_size]
            results += analyst.judge(batch)
            bar.update(len(batch))
    for called, reason in analyst.lacking.items():
        click.echo(f"{called} judges nothing: {reason}", err=True)
    write_results(results, out)
    write_index(results, out, config.node.language)
    return _say(results, out) or int(bool(analyst.lacking))


def find_films(paths: Sequence[Path], out: Path) -> list[Path]:
    """The files given, and of the folders given what is a film by its name or its first bytes; each of them once.

    Hidden files, DICOMDIR and what lies in `out` are passed over. Raises UsageError when a path itself lies in `out`.
    """
    results = _real(out)
    found: dict[Path, Path] = {}
    for path in paths:
        if _real(path).is_relative_to(results):
            raise click.UsageError(f"{path} lies in the folder for the results; give another --out")
        for file in _films_in(path) if path.is_dir() else [path]:
            if not _real(file).is_relative_to(results):
                found.setdefault(_real(file), file)
    return list(found.values())


def _real(path: Path) -> Path:
    """Where a path leads; one that leads nowhere is itself (`Path.resolve` fails at a circle of links)."""
    return Path(os.path.realpath(path))


def _films_in(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.rglob("*")) if _is_there(file) and _is_film(file, folder)]


def _is_there(file: Path) -> bool:
    """Whether it is a file, or a link to none; sockets and pipes, which may never end, are passed over."""
    return file.is_file() or (file.is_symlink() and not file.exists())


def _is_film(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    if hidden or file.name.upper() == "DICOMDIR":
        return False
    if file.suffix.lower() in PICTURES | DICOM:
        return True
    try:
        with file.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return True  # it is told with the others that cannot be read, and they do not keep the rest from being done


def names(files: Sequence[Path]) -> list[str]:
    """What the results of each file are called: as the file itself, with a number where another has that name.

    Names that differ only in case count as the same, since some file systems take them so.
    """
    given: dict[str, str] = {}
    for file in files:
        own = file.stem if file.suffix.lower() in PICTURES | DICOM else file.name
        name, number = own, 1
        while name.casefold() in given:
            number += 1
            name = f"{own}-{number}"
        given[name.casefold()] = name
    return list(given.values())


def write_results(results: Sequence[Result], out: Path) -> None:
    """results.json, a list of objects, and results.csv, a line for each, with a column for each class."""
    rows = [asdict(result) for result in results]
    (out / "results.json").write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", "utf-8")
    classes = dict.fromkeys(name for row in rows for name in row["probabilities"] or ())
    flat = [_flat(row, list(classes)) for row in rows]
    with (out / "results.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, dict.fromkeys(name for row in flat for name in row))
        writer.writeheader()
        writer.writerows(flat)


def _flat(row: dict[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    """A result with a cell for each class in the place of the dictionary, two for a further model, one for flags."""
    cells: dict[str, Any] = {}
    for key, value in row.items():
        if key == "probabilities":
            cells |= {f"probabilities.{name}": (value or {}).get(name) for name in classes}
        elif key == "further":
            cells |= {
                f"further.{one['model']}.{part}": one[part] for one in value for part in ("positive", "probability")
            }
        elif key == "flags":
            cells[key] = " ".join(value)
        else:
            cells[key] = value
    return cells


def _say(results: Sequence[Result], out: Path) -> int:
    """Tell what came of it, and first which files could not be judged; the exit status."""
    counts = {
        state: sum(result.state == state for result in results) for state in ("analysed", "not_analysed", "error")
    }
    for result in results:
        if result.state == "error":
            click.echo(f"{result.file}: {result.reason}", err=True)
    click.echo(
        f"{counts['analysed']} analysed, {counts['not_analysed']} not analysed, {counts['error']} with errors; "
        f"see {out / 'index.html'} and results.csv beside it"
    )
    return 1 if counts["error"] else 0
