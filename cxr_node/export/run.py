"""`cxr-node export --deidentified`: films and results into a folder that may leave the site.

    DIR/films/PATIENT/INSTANCE.dcm      one file a film, written whole or not at all
    DIR/manifest.csv                    as the training reads it; written last, so that it stands for a finished export
    DIR/left_out.csv                    what did not leave, and why

Who was who stands in the data folder alone. What leaves is recorded in the audit trail before it does.
"""

import csv
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pydicom.dataset import FileDataset

from cxr_node.domain.clock import Clock, moment
from cxr_node.domain.pseudonym import Pseudonyms
from cxr_node.errors import CxrNodeError, Permanent
from cxr_node.export import profile
from cxr_node.export.deidentify import Alias, alias_of, deidentified, uid_of
from cxr_node.imaging import decode
from cxr_node.imaging.part10 import read_film
from cxr_node.spool import Spool
from cxr_node.stages.stage import attempt
from cxr_node.store import events, exports
from cxr_node.store.db import Store
from cxr_node.store.exports import Judged

_MANIFEST = (
    "path", "source", "patient_id", "label", "view", "split", "study", "width", "height", "model", "version", "finding",
    "probability",
)  # fmt: skip
_LEFT_OUT = ("patient_id", "study", "instance", "code", "reason")
_MAPPING = (
    "patient_id", "study", "instance", "days", "original_patient_id", "original_issuer", "original_study",
    "original_instance",
)  # fmt: skip
_UNLABELLED = "unknown"  # what a film shows a reader says, not the model that is to learn from it
_SPLITS = ((70, "train"), (85, "val"), (100, "test"))

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an export came to."""

    films: int
    studies: int
    left_out: int
    mapping: Path


@dataclass
class Export:
    """One export into the empty folder `out`; `by` is who asked for it, and `mappings` where it is kept who was who."""

    store: Store
    spool: Spool
    names: Pseudonyms
    out: Path
    mappings: Path
    by: str
    clock: Clock
    _manifest: list[Row] = field(default_factory=list)
    _left_out: list[Row] = field(default_factory=list)

    def found(self, since: float, wanted: Collection[str]) -> list[str]:
        """The studies with films that came at `since` (seconds since 1970 UTC) or later, of those `wanted` or of all.

        Raises Permanent("STUDY_UNKNOWN").
        """
        with self.store.reading() as tx:
            found = exports.studies_judged(tx, since, wanted)
        if missing := set(wanted) - set(found):
            raise Permanent("STUDY_UNKNOWN", f"{len(missing)} of the studies given have no film that was analysed")
        return found

    def run(self, studies: Iterable[str]) -> Outcome:
        """Export the films of studies. Raises Permanent("EXPORT_FOLDER")."""
        _require_empty(self.out, self.mappings)
        self.out.mkdir(parents=True, exist_ok=True)
        self.mappings.mkdir(mode=0o700, parents=True, exist_ok=True)
        mapping = self.mappings / f"{moment(self.clock()):%Y%m%dT%H%M%S%fZ}.csv"
        with _table(mapping, _MAPPING) as who:
            for study in studies:
                self._study(study, who)
        _write(self.out / "left_out.csv", _LEFT_OUT, self._left_out)
        _write(self.out / "manifest.csv", _MANIFEST, self._manifest)
        return Outcome(len(self._manifest), len({row["study"] for row in self._manifest}), len(self._left_out), mapping)

    def _study(self, study: str, who: Callable[[Row], None]) -> None:
        with self.store.reading() as tx:
            films = exports.judged(tx, study)
        ready: list[tuple[Judged, Alias, FileDataset]] = []
        for judged in films:
            header = judged.film.arrival.header
            alias = alias_of(self.names, header.patient_id, header.issuer_of_patient_id, study)
            made = attempt(partial(self._deidentified, alias), judged)
            if isinstance(made, FileDataset):
                ready.append((judged, alias, made))
                who(self._mapped(judged, alias))
            else:
                self._left_out.append(self._named(judged, alias) | _why(made))
        if ready:
            self._record(study, [judged for judged, _, _ in ready])
        for judged, alias, made in ready:
            self._manifest.append(self._write(judged, alias, made))

    def _deidentified(self, alias: Alias, judged: Judged) -> FileDataset:
        film = read_film(self.spool.path(judged.film.arrival.path))
        return deidentified(film, decode(film), alias, self.names)

    def _record(self, study: str, films: list[Judged]) -> None:
        header = films[0].film.arrival.header
        classes = Counter(judged.film.arrival.header.sop_class_uid for judged in films)
        with self.store.transaction() as tx:
            events.append(
                tx, self.clock(), "export.made", study, by=self.by, folder=str(self.out.resolve()), classes=classes,
                patient_id=header.patient_id, issuer_of_patient_id=header.issuer_of_patient_id,
                accession_number=header.accession_number,
            )  # fmt: skip

    def _write(self, judged: Judged, alias: Alias, film: FileDataset) -> Row:
        """The film's file, whole or not at all; its line of the manifest."""
        named = self._named(judged, alias)
        path = self.out / "films" / alias.patient_id / f"{named['instance']}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        film.save_as(part, enforce_file_format=True)
        part.replace(path)
        view = judged.film.arrival.header.view_position or ""
        return {
            "path": str(path.relative_to(self.out)),
            "source": f"cxr_node_{self.names.digest('export source', letters=6)}",
            "patient_id": alias.patient_id,
            "label": _UNLABELLED,
            "view": view if view in profile.WORDS["ViewPosition"] else "unknown",
            "split": split_of(self.names, alias.patient_id),
            "study": named["study"],
            "width": film.Columns,
            "height": film.Rows,
            "model": judged.model,
            "version": judged.version,
            "finding": judged.finding,
            "probability": judged.probability,
        }

    def _named(self, judged: Judged, alias: Alias) -> Row:
        header = judged.film.arrival.header
        return {
            "patient_id": alias.patient_id,
            "study": uid_of(self.names, header.study_instance_uid),
            "instance": uid_of(self.names, header.sop_instance_uid),
        }

    def _mapped(self, judged: Judged, alias: Alias) -> Row:
        header = judged.film.arrival.header
        return self._named(judged, alias) | {
            "days": alias.shift.days,
            "original_patient_id": header.patient_id,
            "original_issuer": header.issuer_of_patient_id,
            "original_study": header.study_instance_uid,
            "original_instance": header.sop_instance_uid,
        }


def split_of(names: Pseudonyms, patient: str) -> str:
    """The part of the data that a patient belongs to, in every export of this node the same."""
    place = names.number("export split", patient) % 100
    return next(name for below, name in _SPLITS if place < below)


def _require_empty(out: Path, mappings: Path) -> None:
    if out.resolve().is_relative_to(mappings.parent.resolve()):
        raise Permanent("EXPORT_FOLDER", f"{out} lies in the node's own data folder; give another")
    if out.exists() and not (out.is_dir() and next(out.iterdir(), None) is None):
        raise Permanent("EXPORT_FOLDER", f"{out} is not an empty folder; give another, or remove what an export left")


def _why(failure: Exception) -> Row:
    """As a library may quote a film, only the node's own sentences are passed on."""
    if isinstance(failure, CxrNodeError):
        return {"code": failure.code, "reason": failure.message}
    return {"code": "BUG", "reason": f"internal error ({type(failure).__name__})"}


@contextmanager
def _table(path: Path, columns: tuple[str, ...]) -> Iterator[Callable[[Row], None]]:
    """A new table for its owner alone; each row is on its way to the disk when it was written."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()

        def write(row: Mapping[str, Any]) -> None:
            writer.writerow(row)
            stream.flush()

        yield write
        os.fsync(stream.fileno())


def _write(path: Path, columns: tuple[str, ...], rows: list[Row]) -> None:
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)
