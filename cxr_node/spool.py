"""The files of the node: what was received, what is kept aside, what is to be sent.

A file appears under its final name only when its bytes are on the disk: written as a part, synced, renamed, and the
folder synced. Names derive from digests and derived UIDs, never from what a peer sent.
"""

import os
import shutil
import threading
from pathlib import Path
from typing import BinaryIO

from cxr_node.durable import sync
from cxr_node.errors import Transient
from cxr_node.message import Message


class Spool:
    """`root` holds incoming/ (parts), films/, pictures/, quarantine/ and outbox/, on one file system.

    `watermark` is the free space in bytes below which nothing more is accepted.
    """

    def __init__(self, root: Path, watermark: int) -> None:
        self.root = root
        self._watermark = watermark
        self.incoming, self.films, self.pictures = root / "incoming", root / "films", root / "pictures"
        self.quarantine, self.outbox = root / "quarantine", root / "outbox"

    def prepare(self) -> None:
        """Make the folders, durably, readable by the service alone; no film has to wait for its own."""
        for folder in (self.incoming, self.films, self.pictures, self.quarantine, self.outbox):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(256):
            (self.films / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
        sync(self.films)
        sync(self.root)

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.root).free

    def below_watermark(self) -> bool:
        return self.free_bytes() < self._watermark

    def keep_film(self, part: Path, stream: BinaryIO, digest: str) -> str:
        """Sync a received part and give it its name; its path relative to the root. `stream` is open on it."""
        return self._settle(part, stream, self.films / digest[:2] / f"{digest}.dcm")

    def keep_aside(self, part: Path, stream: BinaryIO, digest: str) -> str:
        """The same for bytes that could not be taken for a film."""
        return self._settle(part, stream, self.quarantine / f"{digest}.dcm")

    def write(self, target: Path, content: bytes) -> str:
        """Write a file of our own as durably; its path relative to the root."""
        part = self.incoming / f"{target.name}.{os.getpid()}-{threading.get_native_id()}.part"
        try:
            with part.open("wb") as stream:
                stream.write(content)
                stream.flush()
                return self._settle(part, stream, target)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise Transient(
                "DISK_FULL", Message("cannot write into {root}: {error}", root=self.root, error=error.strerror)
            ) from error

    def drop_parts(self) -> int:
        """Remove parts that a stopped node left half-written; how many there were."""
        parts = list(self.incoming.iterdir())
        for part in parts:
            part.unlink(missing_ok=True)
        return len(parts)

    def path(self, relative: str) -> Path:
        return self.root / relative

    def picture(self, digest: str) -> Path:
        """Where the picture that heat maps are drawn on stands."""
        return self.pictures / digest[:2] / f"{digest}.png"

    def _settle(self, part: Path, stream: BinaryIO, target: Path) -> str:
        os.fsync(stream.fileno())
        if not target.parent.is_dir():
            target.parent.mkdir(mode=0o700, exist_ok=True)
            sync(target.parent.parent)
        part.replace(target)
        sync(target.parent)
        return str(target.relative_to(self.root))
