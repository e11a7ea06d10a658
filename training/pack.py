"""A data set made small, to carry to another machine: pictures of one size as JPEG, and their manifest."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from cxr_node.errors import ConfigError, Transient
from training.data import Film, write_manifest
from training.pictures import prepared_film
from training.preparation import PrepareRecipe

QUALITY = 90


def pack(films: Sequence[Film], out: Path, size: int, most: int) -> str:
    """Write films as the node prepares them, (size, size), with a manifest.csv; says what was written.

    `most` is how many bytes the set may have.

    Raises:
        ConfigError: the folder is not empty, there is no film, or they do not fit: then nothing is left behind.
        Transient: PACK: the disk is full or may not be written.
    """
    if not films:
        raise ConfigError("There is no film to pack.")
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty; name another folder.")
    written: list[Film] = []
    total = 0
    try:
        (out / "films").mkdir(parents=True, exist_ok=True)
        for number, film in enumerate(films):
            data = _jpeg(film, size)
            total += len(data)
            if total > most:
                _remove(out)
                raise ConfigError(
                    f"Only {number} of {len(films)} films of {size} pixels fit into {most / 2**20:g} MiB; take a "
                    "smaller --size, or some sources alone with --only."
                )
            path = out / "films" / f"{number:06}.jpg"
            path.write_bytes(data)
            written.append(replace(film, path=path))
        write_manifest(written, out / "manifest.csv")
    except OSError as error:
        raise Transient("PACK", f"{out} could not be written: {error.strerror}.") from error
    return f"{out}: {len(written)} films of {size} x {size} pixels, {total / 2**20:.1f} MiB."


def _jpeg(film: Film, size: int) -> bytes:
    grey = np.rint(prepared_film(film, size, PrepareRecipe()) * 255).astype(np.uint8)
    return bytes(cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1])


def _remove(out: Path) -> None:
    for path in (out / "films").iterdir():
        path.unlink()
    (out / "films").rmdir()
