"""`cxr-node demo`: a node, a throw-away archive and a modality that sends films; it ends by itself."""

import signal
import time
import webbrowser
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import mkdtemp

import click
from pydicom import dcmread

from cxr_node.demo.films import Film, demo_films, films_from
from cxr_node.demo.node import CALLING, Node
from cxr_node.demo.outcome import Arrival, Outcome, gather, latency_table, reading_table
from cxr_node.demo.sheet import write_sheet
from cxr_node.dimse import sender
from cxr_node.dimse.archive import Archive
from cxr_node.errors import Permanent, Transient
from cxr_node.plan import open_store
from cxr_node.store import jobs, studies

ARCHIVE = "ARCHIVE"
SETTLE_SECONDS = 1.0
_FINISH_SECONDS, _FINISH_SECONDS_PER_FILM = 120.0, 10.0
_POLL_SECONDS = 0.1


def play(films: Path | None, out: Path, *, show: bool) -> int:
    """Play the built-in films, or those of a folder, through a node; 0 when every study came to its end.

    The contact sheet is written to `out`, all the rest into a new folder in it. `show` opens the sheet. Nothing is left
    running, whatever happens. Raises Permanent: NO_FILMS, DEMO_NODE, DEMO_UNFINISHED; the sentence says where to look.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix=f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-", dir=out))
    with _terminable(), ExitStack() as stack:
        archive = Archive(folder / "archive", ARCHIVE)
        stack.callback(archive.stop)
        archive.start()
        node = Node(folder, ARCHIVE, archive.port, SETTLE_SECONDS)
        stack.callback(node.stop)
        node.start()
        click.echo(f"A node starts on port {node.port}, an archive on port {archive.port}. Meanwhile, the films:")
        prepared = _prepare(films, folder / "films")
        click.echo(f"The node is ready: {node.wait_ready()}. The modality sends:")
        arrivals = _send(node, prepared)
        _wait(node, len(prepared))
        with closing(open_store(node.config, create=False)) as store:
            outcomes = gather(node.config, store, time.time(), arrivals, archive.kept)
    _require_complete(outcomes, node)
    sheet = out / "contact-sheet.png"
    write_sheet(outcomes, sheet)
    _tell(outcomes, node, folder, sheet, phantoms=films is None)
    if show:
        webbrowser.open(sheet.as_uri())
    return 0


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM and a closed terminal end the demonstration as Ctrl-C does, so that it cleans up."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # SIGINT too: a shell gives it to background jobs ignored
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _prepare(directory: Path | None, folder: Path) -> list[tuple[str, Path]]:
    """The films, title and file; those that are made for the occasion are written to `folder`."""

    def note(sentence: str) -> None:
        click.echo(f"  note: {sentence}")

    chosen = demo_films(datetime.now().astimezone(), note) if directory is None else films_from(directory, note)
    prepared = []
    for number, film in enumerate(chosen, start=1):
        click.echo(f"  {number:>2}  {film.title}")
        prepared.append((film.title, _as_file(film, folder / f"{number:02d}.dcm")))
    if not prepared:
        raise Permanent("NO_FILMS", f"there are no films in {directory}")
    return prepared


def _as_file(film: Film, path: Path) -> Path:
    if isinstance(film.content, Path):
        return film.content
    path.parent.mkdir(exist_ok=True)
    film.content.save_as(path, enforce_file_format=True)
    return path


def _send(node: Node, films: list[tuple[str, Path]]) -> dict[str, Arrival]:
    """One association a film, as a modality does; the studies that the node took, by Study Instance UID."""
    arrivals: dict[str, Arrival] = {}
    with closing(open_store(node.config, create=False)) as store:
        for number, (title, path) in enumerate(films, start=1):
            began = time.monotonic()
            try:
                study = _store(node, path)
            except (Permanent, Transient) as error:
                node.require_running()
                click.echo(f"  {number:>2}  {title}: not taken: {error.message}")
                continue
            answered_at, seconds = time.time(), time.monotonic() - began
            with store.reading() as tx:
                kept = bool(studies.of_study(tx, study))
            click.echo(f"  {number:>2}  {title}: {'stored' if kept else 'taken and dropped, no film'}, {seconds:.2f} s")
            if kept:
                first = arrivals.get(study) or Arrival(len(arrivals) + 1, title, (), answered_at)
                arrivals[study] = replace(first, films=(*first.films, path), answered_at=answered_at)
    if not arrivals:
        raise Permanent("NO_FILMS", f"the node took none of the films; its log is {node.log}")
    return arrivals


def _store(node: Node, path: Path) -> str:
    """C-STORE a file; its Study Instance UID. Raises Permanent or Transient when it was not taken."""
    header = dcmread(path, specific_tags=["StudyInstanceUID"], stop_before_pixels=True)
    if any(keyword not in header.file_meta for keyword in ("MediaStorageSOPClassUID", "TransferSyntaxUID")):
        raise Permanent("NO_FILE_META", "its File Meta Information does not say what it is (PS3.10 7.1)")
    sender.send(node.peer, CALLING, path)
    return str(header.get("StudyInstanceUID", ""))


def _wait(node: Node, films: int) -> None:
    """Until the node has nothing left to do, or the time is over."""
    until = time.monotonic() + _FINISH_SECONDS + films * _FINISH_SECONDS_PER_FILM
    with closing(open_store(node.config, create=False)) as store:
        while time.monotonic() < until:
            node.require_running()
            with store.reading() as tx:
                queues = jobs.counts(tx)
            if not any(queue["ready"] or queue["running"] for queue in queues.values()):
                return
            time.sleep(_POLL_SECONDS)


def _require_complete(outcomes: list[Outcome], node: Node) -> None:
    unfinished = [f"{each.arrival.title} ({each.entry['state']})" for each in outcomes if not each.complete]
    if unfinished:
        raise Permanent(
            "DEMO_UNFINISHED",
            f"these studies did not come to their end, with report and heat map in the archive: "
            f"{', '.join(unfinished)}. The node's log is {node.log}",
        )


def _tell(outcomes: list[Outcome], node: Node, folder: Path, sheet: Path, *, phantoms: bool) -> None:
    click.echo(f"\nReading order\n\n{reading_table(outcomes)}\n")
    if phantoms:
        click.echo("Phantoms are computed and the model knows real films: what it says of them is shown as it is.\n")
    click.echo(f"Time after the answer to the last C-STORE\n\n{latency_table(outcomes)}\n")
    click.echo(f"Until a study settles, {SETTLE_SECONDS:g} s is the wait for further films (in service 120 s).\n")
    for what, path in (
        ("contact sheet", sheet),
        ("SR and SC", folder / "archive"),
        ("configuration", node.file),
        ("log", node.log),
    ):
        click.echo(f"{what:<14} {path}")
