"""What a power cut leaves of a folder, worked out from the shim's journal of what was written and what was synced.

The strictest disk that POSIX allows: bytes are there after the fsync of their file, names after the fsync of their
folder, and nothing else is. `luck` lets more survive, as it mostly does: some of the unsynced writes, a few of them
torn between two sectors, and unsynced names up to some moment in the order in which they were made, as file systems
with a journal keep them.
"""

import os
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from random import Random
from typing import NamedTuple

_ENTRY = struct.Struct("<IIIIQQQ")
_SECTOR = 512


class Entry(NamedTuple):
    """One call that a process of the node made; `position` is that of its end in the journal.

    `kind` is one letter: c create, w write, t truncate, s sync, r rename, u unlink, d mkdir, n send.
    """

    position: int
    kind: str
    path: str
    other: str
    data: bytes
    inode: int
    offset: int
    since: int


def entries(journal: Path) -> Iterator[Entry]:
    """The calls in the order in which they were made, but for one that was being noted when its process died."""
    content = journal.read_bytes()
    start = 0
    while start + _ENTRY.size <= len(content):
        kind, path, other, data, inode, offset, since = _ENTRY.unpack_from(content, start)
        first = start + _ENTRY.size
        end = first + path + other + data
        if end > len(content):
            return
        names = content[first : end - data].decode()
        yield Entry(end, chr(kind), names[:path], names[path:], content[end - data : end], inode, offset, since)
        start = end


@dataclass
class _File:
    """`synced` bytes are on the disk; `pending` writes and truncations (position, offset, bytes or None) may be."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, int, bytes | None]] = field(default_factory=list)

    def sync(self, since: int) -> None:
        for position, offset, data in self.pending:
            if position <= since:
                _apply(self.synced, offset, data)
        self.pending = [one for one in self.pending if one[0] > since]


class _Name(NamedTuple):
    """A name appears in a folder, or goes: `file` is None."""

    position: int
    path: str
    file: "_File | None"


@dataclass
class Platter:
    """A folder as the running processes see it (`names`), and as the disk holds it."""

    names: dict[str, _File] = field(default_factory=dict)
    _synced: dict[str, _File] = field(default_factory=dict)
    _pending: list[_Name] = field(default_factory=list)
    _folders: set[str] = field(default_factory=lambda: {"."})
    _synced_folders: set[str] = field(default_factory=lambda: {"."})
    _inodes: dict[int, _File] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Path) -> "Platter":
        """A folder that has lain still: all of it is on the disk."""
        platter = cls()
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_dir():
                platter._folders.add(name)
                platter._synced_folders.add(name)
            else:
                file = _File(bytearray(path.read_bytes()))
                platter.names[name] = platter._synced[name] = platter._inodes[path.stat().st_ino] = file
        return platter

    def play(self, entry: Entry) -> None:
        """Take in one call."""
        match entry.kind:
            case "c":
                self._create(entry)
            case "w":
                self._file(entry).pending.append((entry.position, entry.offset, entry.data))
            case "t":
                self._file(entry).pending.append((entry.position, entry.offset, None))
            case "r":
                self._pending.append(_Name(entry.position, entry.path, None))
                self._point(entry.position, entry.other, self.names.pop(entry.path))
            case "u":
                del self.names[entry.path]
                self._pending.append(_Name(entry.position, entry.path, None))
            case "d":
                self._folders.add(entry.path)
            case "s" if entry.path in self._folders:
                self._sync_folder(entry.path, entry.since)
            case "s":
                self._file(entry).sync(entry.since)

    def rebuild(self, root: Path, luck: Random | None = None) -> None:
        """Make `root` what is left now, by bad luck or by some."""
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(mode=0o700, parents=True)
        left, folders = dict(self._synced), set(self._synced_folders)
        if luck and self._pending:
            until = luck.choice(self._pending).position
            folders |= self._folders
            for name in self._pending:
                if name.position <= until:
                    _set(left, name)
        for folder in sorted(folders):
            if _reachable(folder, folders):
                (root / folder).mkdir(mode=0o700, exist_ok=True)
        for path, file in left.items():
            if _reachable(path, folders):
                (root / path).write_bytes(_content(file, luck))
                (root / path).chmod(0o600)  # as the node makes all of its files

    def _create(self, entry: Entry) -> None:
        file = self.names.get(entry.path)
        if file is None or self._inodes.get(entry.inode) is not file:
            file = self._inodes[entry.inode] = _File()
            self._point(entry.position, entry.path, file)
        elif entry.since:
            file.pending.append((entry.position, 0, None))

    def _point(self, position: int, path: str, file: _File) -> None:
        self.names[path] = file
        self._pending.append(_Name(position, path, file))

    def _file(self, entry: Entry) -> _File:
        return self._inodes[entry.inode]

    def _sync_folder(self, folder: str, since: int) -> None:
        mine = [one for one in self._pending if one.position <= since and _parent(one.path) == folder]
        for name in mine:
            _set(self._synced, name)
        self._pending = [one for one in self._pending if one not in mine]
        self._synced_folders |= {one for one in self._folders if _parent(one) == folder and one != "."}


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    if data is not None:
        content[offset : offset + len(data)] = data


def _content(file: _File, luck: Random | None) -> bytes:
    content = bytearray(file.synced)
    for _, offset, data in file.pending if luck else ():
        if luck and luck.random() < 0.5:
            torn = luck.random() < 0.2 and data is not None
            _apply(content, offset, data[: luck.randrange(0, len(data) + 1, _SECTOR)] if torn and data else data)
    return bytes(content)


def _set(names: dict[str, _File], name: _Name) -> None:
    if name.file is None:
        names.pop(name.path, None)
    else:
        names[name.path] = name.file


def _parent(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _reachable(path: str, folders: set[str]) -> bool:
    return all(str(parent) in folders for parent in PurePosixPath(path).parents)


def power_cut(root: Path, journal: Path, before: Platter, luck: Random | None = None) -> Platter:
    """Leave of `root` what a power cut at the end of the journal would; the processes must be dead.

    `before` is what was there when the journal began, which begins anew. Gives what is there now.
    """
    for entry in entries(journal):
        before.play(entry)
    before.rebuild(root, luck)
    os.truncate(journal, 0)
    return Platter.of(root)
