"""Where films lie that are judged for a table: a folder, an object store, a DICOMweb server. Workers fetch them."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pyarrow import ArrowException, fs

from cxr_node.backfill.sources import Days, series_of, studies_of
from cxr_node.dicomweb import client
from cxr_node.dicomweb.client import Server, value_of
from cxr_node.errors import Ineligible, Permanent, Transient
from cxr_node.message import Message

_INSTANCE = "00080018"


class Place(Protocol):
    """It is sent to other machines, where it is to mean the same. `name` is what it is known by from run to run."""

    @property
    def name(self) -> str: ...

    def films(self) -> Iterator[str]:
        """The names of what may be films. Raises Transient, or Permanent("SOURCE")."""
        ...

    def local(self, film: str) -> AbstractContextManager[Path]:
        """A film as a file of this machine, while it is looked at. Raises Transient, Ineligible, or OSError."""
        ...


@dataclass(frozen=True, slots=True)
class Files:
    """Every file below a folder, which lies at the same path on every machine."""

    folder: Path

    @property
    def name(self) -> str:
        return f"folder {self.folder}"

    def films(self) -> Iterator[str]:
        """In their order."""
        found = sorted(str(each.relative_to(self.folder)) for each in self.folder.rglob("*") if each.is_file())
        if odd := sum(not _is_text(name) for name in found):
            why = Message(
                "the names of {count} files of {folder} are not UTF-8: rename them", count=odd, folder=self.folder
            )
            raise Permanent("SOURCE", why)
        yield from found

    def local(self, film: str) -> AbstractContextManager[Path]:
        return nullcontext(self.folder / film)


@dataclass(frozen=True, slots=True)
class Objects:
    """Every object below an address of a store that pyarrow knows, such as s3://bucket/films?region=eu-west-1.

    Who may read it is settled as the store's own tools do: by environment, files, or the machine's role. `shown` is the
    address without a login.
    """

    address: str = field(repr=False)
    shown: str

    @property
    def name(self) -> str:
        return f"objects {self.shown}"

    def films(self) -> Iterator[str]:
        """In their order."""
        with self._opened() as (store, root):
            found = store.get_file_info(fs.FileSelector(root, recursive=True))
            yield from sorted(
                each.path.removeprefix(root).lstrip("/") for each in found if each.type == fs.FileType.File
            )

    @contextmanager
    def local(self, film: str) -> Iterator[Path]:
        with _file() as path:
            with (
                self._opened() as (store, root),
                store.open_input_stream(f"{root}/{film}") as stream,
                path.open("wb") as to,
            ):
                shutil.copyfileobj(stream, to)
            yield path

    @contextmanager
    def _opened(self) -> Iterator[tuple[fs.FileSystem, str]]:
        """What is tried there raises Transient, and an address that is none Permanent("SOURCE")."""
        try:
            store, root = fs.FileSystem.from_uri(self.address)
        except (ArrowException, OSError) as error:
            why = Message("{address} is no address of an object store", address=self.shown)
            raise Permanent("SOURCE", why) from error
        try:
            yield store, root.rstrip("/")
        except (ArrowException, OSError) as error:
            kind = type(error).__name__
            raise Transient("SOURCE_AWAY", Message("the object store does not answer ({kind})", kind=kind)) from error


@dataclass(frozen=True, slots=True)
class Instances:
    """The images of these days of a DICOMweb server: QIDO-RS and WADO-RS. What a TLS context needs lies everywhere."""

    server: Server
    days: Days
    modalities: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"dicomweb {self.server.url}"

    def films(self) -> Iterator[str]:
        """The newest day first."""
        for study in studies_of(self.server, self.days, self.modalities):
            for series in series_of(self.server, study, self.modalities):
                path = f"studies/{study}/series/{series}/instances"
                for one in client.search(self.server, f"/{path}", {}):
                    yield from (f"{path}/{uid}" for uid in value_of(one, _INSTANCE))

    @contextmanager
    def local(self, film: str) -> Iterator[Path]:
        def write(chunks: Iterable[bytes]) -> None:
            with path.open("wb") as stream:
                stream.writelines(chunks)

        with _file() as path:
            if not client.retrieve(self.server, f"/{film}", write):
                raise Ineligible("FILE_MISSING", Message("the server does not have the film any more"))
            yield path


@contextmanager
def _file() -> Iterator[Path]:
    """In memory alone, so that nothing of it is left on a disk, whoever is killed. Our other processes can open it."""
    descriptor = os.memfd_create("film")
    try:
        yield Path(f"/proc/{os.getpid()}/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
