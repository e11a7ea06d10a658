"""Whether the second of two nodes is there: as long as it stands by, it says so in the folder that both reach."""

from pathlib import Path
from typing import Final

from cxr_node.lease import LEASE

EVERY_SECONDS: Final = 5.0
_FILE: Final = "standby"
_GONE_SECONDS: Final = 30.0


def say(data_dir: Path, name: str) -> None:
    """This node stands by; to be said again every few seconds. Raises OSError."""
    path = data_dir / _FILE
    if _named(path) == name:
        path.touch()
    else:
        path.write_text(name, "utf-8")


def leave(data_dir: Path) -> None:
    """It does not any more."""
    (data_dir / _FILE).unlink(missing_ok=True)


def standing_by(data_dir: Path, works: str) -> str | None:
    """Who stands by for the node that `works`; None where nobody has said so for half a minute. Raises OSError.

    The clock is that of the folder: what the node that works writes there is compared with what the other one does.
    """
    path = data_dir / _FILE
    try:
        name, silent = _named(path), (data_dir / LEASE).stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return None
    return name if name and name != works and silent < _GONE_SECONDS else None


def _named(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
