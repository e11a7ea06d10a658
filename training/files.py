"""Files that are written whole or not at all, with a sentence where the disk is full."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cxr_node.errors import Transient


def write_whole(path: Path, write: Callable[[Any], object]) -> None:
    """Let `write` fill a file that takes the place of `path` only once it is whole.

    Raises:
        Transient: CHECKPOINT: it could not be written; what was there before is still there.
    """
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as stream:
            write(stream)
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch turns what its writer meets into a RuntimeError
        part.unlink(missing_ok=True)
        kept = "; the one before is still there" if path.exists() else ""
        raise Transient(
            "CHECKPOINT", f"{path} could not be written ({_reason(error)}){kept}. Free space and go on with --resume."
        ) from error


def _reason(error: BaseException) -> str:
    cause = error.__cause__ or error.__context__ or error
    return (cause.strerror if isinstance(cause, OSError) else str(cause).splitlines()[0]) or type(cause).__name__


def write_text(path: Path, text: str) -> None:
    """Write a result; raises as `write_bytes`."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a result, in a folder that is made where there is none.

    Raises:
        Transient: OUTPUT: it could not be written; what was there before is still there.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        if part.is_file():
            part.unlink()
        raise Transient("OUTPUT", f"{path} could not be written: {error.strerror}.") from error
