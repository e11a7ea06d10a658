"""The table of results: a folder of Parquet files, each written whole, which readers take for one."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from cxr_node.durable import sync
from cxr_node.errors import Permanent
from cxr_node.message import Message

State = Literal["analysed", "not_analysed", "set_aside", "left"]
"""`not_analysed`: sound, and not one for the model. `set_aside`: damaged, or it killed or hung who read it. `left`: the
machine or the source failed; it is no row of the table, so that the next run tries it again."""
_TEXTS: Final = ("source", "sha256", "sop_instance_uid", "study_instance_uid", "series_instance_uid", "state", "code",
                 "reason", "model", "version", "model_digest", "gate", "finding", "severity")  # fmt: skip
SCHEMA: Final = pa.schema(
    [
        *((name, pa.string()) for name in _TEXTS),
        ("flags", pa.list_(pa.string())),
        ("positive", pa.bool_()),
        ("probability", pa.float64()),
        ("probabilities", pa.map_(pa.string(), pa.float64())),
        ("seconds", pa.float64()),
        ("run", pa.int32()),
    ]
)
"""The columns of the table, as docs/operations.md describes them."""
FOLDER: Final = "films.parquet"
"""What the table is called where its manifest lies."""
_PARTS: Final = "part-*.parquet"
_HALF: Final = ".half"
"""What the name of a file ends with while it is written; it begins with a point then, so that no reader takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the table says of one film; the columns of an analysis are None where there is none.

    `source` is where it lies in the source, `sha256` that of its file. `probability` (0..1) is that of `finding`, which
    sets `positive` and `severity` by the site's thresholds; `probabilities` has every class. `flags` are the gate's.
    `code` and `reason` say why it was not analysed. `seconds`: its reading, and its share of its batch. No column names
    the patient: whoever may know finds who it is by the study, at the PACS.
    """

    source: str
    sha256: str
    sop_instance_uid: str | None
    study_instance_uid: str | None
    series_instance_uid: str | None
    state: State
    code: str | None = None
    reason: str | None = None
    model: str
    version: str
    model_digest: str
    gate: str | None
    flags: list[str] = field(default_factory=list)
    finding: str | None = None
    positive: bool | None = None
    probability: float | None = None
    probabilities: dict[str, float] | None = None
    severity: str | None = None
    seconds: float


class Table:
    """The results in a folder, which is made. One process writes at a time; what a killed one left half is not read.

    `done` has the `source` of every row, `counts` rows by state and code. Raises Permanent("TABLE") where a file of it
    is damaged.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._last = folder, 0
        self.done: set[str] = set()
        self.counts: Counter[tuple[State, str]] = Counter()
        for half in folder.glob(f".*{_HALF}"):
            half.unlink()
        for part in sorted(folder.glob(_PARTS)):
            self._last = int(part.stem.rpartition("-")[2])
            self._count(_read(part, ["source", "state", "code"]))

    def add(self, rows: Sequence[Row], run: int) -> int:
        """Write rows of a run into one file, whole or not at all; how many.

        A film that is there already, or that is left for the next run, gets none.
        """
        fresh = {row.source: row for row in rows if row.source not in self.done and row.state != "left"}
        if fresh:
            self._last += 1
            table = packed(list(fresh.values()), run)
            durably(self._folder / f"part-{self._last:06}.parquet", lambda path: pq.write_table(table, path))
            self._count(table)
        return len(fresh)

    def _count(self, table: pa.Table) -> None:
        self.done.update(table["source"].to_pylist())
        codes = [code or "" for code in table["code"].to_pylist()]
        self.counts.update(zip(table["state"].to_pylist(), codes, strict=True))


def positives(folder: Path) -> frozenset[str]:
    """The studies of a table of results with a positive film, and the `source` of each film of theirs.

    Raises Permanent("TABLE") where there is no table, or a file of it is damaged.
    """
    parts = sorted(folder.glob(_PARTS))
    if not parts:
        raise Permanent("TABLE", Message("{folder} has no table of results", folder=folder))
    studies = {study for study, _, positive in _judged(parts) if positive}
    return frozenset(studies | {source for study, source, _ in _judged(parts) if study in studies})


def packed(rows: Sequence[Row], run: int = 0) -> pa.Table:
    """Rows as Arrow has them, of a run by its number."""
    return pa.Table.from_pylist([_plain(row) | {"run": run} for row in rows], schema=SCHEMA)


def unpacked(table: pa.Table) -> list[Row]:
    """The inverse of `packed`, but for the run."""
    found = table.drop_columns(["run"]).to_pylist()
    return [Row(**one | {"probabilities": one["probabilities"] and dict(one["probabilities"])}) for one in found]


def durably(path: Path, write: Callable[[Path], object]) -> None:
    """A file that is there whole, on the disk, or not at all. `write` makes it, at the path that it is given."""
    half = path.with_name(f".{path.name}{_HALF}")
    write(half)
    sync(half)
    half.replace(path)
    sync(path.parent)


def _plain(row: Row) -> dict[str, object]:
    return asdict(row) | {"probabilities": None if row.probabilities is None else list(row.probabilities.items())}


def _judged(parts: Iterable[Path]) -> Iterator[tuple[str, str, bool]]:
    """Study, source, and whether it is positive, of each film that was analysed or could have been."""
    for part in parts:
        table = _read(part, ["study_instance_uid", "source", "positive"])
        yield from (
            (study.as_py(), source.as_py(), bool(positive.as_py()))
            for study, source, positive in zip(*table.columns, strict=True)
            if study.is_valid
        )


def _read(part: Path, columns: list[str]) -> pa.Table:
    try:
        return pq.read_table(part, columns=columns)
    except (pa.ArrowException, OSError) as error:
        why = Message("{path} is damaged: remove it, and its films are judged again", path=part)
        raise Permanent("TABLE", why) from error
