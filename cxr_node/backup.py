"""The state of a node as one file, made while it runs, and put back where none runs.

A tar archive: the database as it was at one moment, the keys, then the files that it speaks of, and last a manifest
with the SHA-256 of each. A film's row follows its file, so that files copied after the database are all there.
What was put back is looked over before it gets its place; an archive that is cut off or was changed is refused.
"""

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import cxr_node
from cxr_node import lease
from cxr_node.config import Config
from cxr_node.domain.clock import iso
from cxr_node.durable import sync
from cxr_node.errors import ConfigError, Permanent
from cxr_node.lock import only_one
from cxr_node.plan import database_of
from cxr_node.store.copying import copy
from cxr_node.store.db import examine

DATABASE = "cxr-node.sqlite"
MANIFEST = "manifest.json"
_KEYS = ("pseudonym.key", "web.key")
_ALWAYS, _FILMS = ("outbox", "quarantine"), ("films", "pictures")
_CHUNK = 1 << 20
_EXAMINE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Backup:
    """What an archive holds: when it was made (ISO 8601), by which release, with films or without, files and bytes."""

    made: str
    release: str
    films: bool
    files: int
    size: int


def make(config: Config, target: Path, now: float, *, films: bool = True) -> Backup:
    """Write an archive, whole or not at all, readable by its owner alone. Raises Permanent("BACKUP"), and as
    `lease.require_here`."""
    data, database = config.node.data_dir, database_of(config)
    lease.require_here(data, config.pair.name)
    if not database.is_file():
        raise Permanent("BACKUP", f"there is no database {database}: the node makes it when it is first started")
    if target.exists():
        raise Permanent("BACKUP", f"{target} exists; give another name")
    part = target.with_name(f"{target.name}.part")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as folder:
            snapshot = Path(folder) / DATABASE
            copy(database, snapshot)
            with os.fdopen(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as stream:
                found = _write(stream, data, snapshot, iso(now), films=films)
                stream.flush()
                os.fsync(stream.fileno())
        part.replace(target)
    except OSError as error:
        raise Permanent("BACKUP", f"cannot write {target}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    return found


def _write(stream: IO[bytes], data: Path, snapshot: Path, made: str, *, films: bool) -> Backup:
    digests: dict[str, str] = {}
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, snapshot, DATABASE, digests)
        for path in _files(data, films=films):
            _add(archive, path, str(path.relative_to(data)), digests)
        about: dict[str, Any] = {"made": made, "release": cxr_node.__version__, "films": films, "files": digests}
        manifest = json.dumps(about, indent=1, sort_keys=True).encode()
        member = tarfile.TarInfo(MANIFEST)
        member.size, member.mode = len(manifest), 0o600
        archive.addfile(member, io.BytesIO(manifest))
    return Backup(made, cxr_node.__version__, films, len(digests), stream.tell())


def _files(data: Path, *, films: bool) -> Iterator[Path]:
    yield from (data / name for name in _KEYS if (data / name).is_file())
    for folder in (*_ALWAYS, *(_FILMS if films else ())):
        yield from sorted(path for path in (data / folder).rglob("*") if path.is_file())


def _add(archive: tarfile.TarFile, path: Path, name: str, digests: dict[str, str]) -> None:
    """A file that is removed meanwhile (retention) is left out: the database knows of it or will."""
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        return
    with stream:
        member = tarfile.TarInfo(name)
        member.size, member.mode = os.fstat(stream.fileno()).st_size, 0o600
        counted = _Counted(stream)
        archive.addfile(member, counted)
        digests[name] = counted.digest.hexdigest()


class _Counted:
    """Reads, and knows the digest of what was read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self.digest = stream, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.digest.update(data)
        return data


def restore(config: Config, source: Path) -> Backup:
    """Put an archive in the place of a node's state. The folder must hold no database, and no node may run on it.

    Raises Permanent("BACKUP") for a damaged archive, ConfigError where a node runs, Permanent("RESTORE_FOLDER") where
    there is a database; then nothing has changed.
    """
    data = config.node.data_dir
    try:
        with only_one(data):
            occupied = [name for name in (DATABASE, *_ALWAYS, *_FILMS) if _holds(data / name)]
            if occupied:
                raise Permanent(
                    "RESTORE_FOLDER",
                    f"{data.resolve()} already has {', '.join(occupied)}; move what is in it away first, so that "
                    "nothing is mixed or lost",
                )
            with tempfile.TemporaryDirectory(dir=data, prefix=".restore-") as folder:
                found = _unpack(source, Path(folder))
                examine(Path(folder) / DATABASE, _EXAMINE_SECONDS)
                _settle(Path(folder), data)
            return found
    except ConfigError as error:
        raise ConfigError(f"{error.message}; a backup is put back where no node runs") from error
    except (OSError, tarfile.TarError, KeyError, ValueError) as error:
        raise Permanent("BACKUP", f"{source} cannot be put back: {error}") from error


def _holds(path: Path) -> bool:
    return path.is_file() or (path.is_dir() and any(each.is_file() for each in path.rglob("*")))


def _unpack(source: Path, folder: Path) -> Backup:
    digests: dict[str, str] = {}
    about: dict[str, Any] | None = None
    with tarfile.open(source, mode="r:") as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is None or not _inside(member.name):
                raise ValueError(f"{member.name!r} does not belong into a backup")
            if member.name == MANIFEST:
                about = json.load(stream)
            else:
                digests[member.name] = _extract(stream, folder / member.name)
    if about is None:
        raise ValueError("it is cut off: its manifest is missing")
    if about["files"] != digests or DATABASE not in digests:
        wrong = [
            name for name in sorted(about["files"].keys() | digests) if about["files"].get(name) != digests.get(name)
        ]
        raise ValueError(f"{len(wrong)} files are not as they were written, such as {wrong[:1]}")
    return Backup(about["made"], about["release"], about["films"], len(digests), source.stat().st_size)


def _inside(name: str) -> bool:
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts


def _extract(stream: IO[bytes], target: Path) -> str:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with os.fdopen(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out:
        while data := stream.read(_CHUNK):
            digest.update(data)
            out.write(data)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def _settle(folder: Path, data: Path) -> None:
    """The database comes last: with it the folder counts as a node's."""
    names = sorted((path.name for path in folder.iterdir()), key=lambda name: name == DATABASE)
    for name in names:
        if (data / name).is_dir():
            shutil.rmtree(data / name)  # holds no file: looked at above
        (folder / name).replace(data / name)
    sync(data)
