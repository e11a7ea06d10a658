"""manifest.json beside a table of results: of what it is, by which model, what came of it, and every run."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from cxr_node.backfill.table import FOLDER, State, durably
from cxr_node.domain.clock import moment
from cxr_node.errors import Permanent
from cxr_node.message import Message

MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of a folder, for a table `of` something: source, model, gate, rules, thresholds.

    Raises Permanent("OUTPUT"): the folder has the results of something else, or what is there is no manifest.
    """

    folder: Path
    of: Mapping[str, Any]
    runs: list[dict[str, Any]]

    @classmethod
    def opened(cls, folder: Path, of: Mapping[str, Any]) -> Self:
        """That of a folder, made where there is none; the folder, too."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / MANIFEST
        plain = json.loads(json.dumps(of))
        if not path.exists():
            if (folder / FOLDER).exists():
                raise Permanent("OUTPUT", Message("{folder} has results and no manifest: give another", folder=folder))
            return cls(folder, plain, [])
        try:
            known = json.loads(path.read_bytes())
            differing = sorted(key for key in plain if known[key] != plain[key])
            runs = list(known["runs"])
        except (ValueError, LookupError, TypeError) as error:
            raise Permanent("OUTPUT", Message("{path} is no manifest of results", path=path)) from error
        if differing:
            why = Message(
                "{folder} has results of another {what}: give another folder", folder=folder, what=", ".join(differing)
            )
            raise Permanent("OUTPUT", why)
        return cls(folder, plain, runs)

    def begin(self, now: float, version: str, found: int, counts: Counter[tuple[State, str]]) -> int:
        """A run of a version of cxr_node begins, with so many films in the source; its number."""
        self.runs.append(
            {"run": len(self.runs) + 1, "cxr_node": version, "began": _told(now), "ended": None, "done": None}
        )
        self._write(found, 0, counts)
        return len(self.runs)

    def end(self, now: float, done: int, left: int, found: int, counts: Counter[tuple[State, str]]) -> None:
        """The run that began last has ended, with so many films done by it, and `left` for the next."""
        self.runs[-1] |= {"ended": _told(now), "done": done}
        self._write(found, left, counts)

    def _write(self, found: int, left: int, counts: Counter[tuple[State, str]]) -> None:
        by_code = {
            state: {code: n for (each, code), n in sorted(counts.items()) if each == state}
            for state in ("not_analysed", "set_aside")
        }
        told = {"found": found, "analysed": counts["analysed", ""], **by_code, "left": left}
        content = json.dumps({**self.of, "counts": told, "runs": self.runs}, indent=2, ensure_ascii=False) + "\n"
        durably(self.folder / MANIFEST, lambda path: path.write_text(content, "utf-8"))


def _told(now: float) -> str:
    return moment(now).isoformat(timespec="seconds")
