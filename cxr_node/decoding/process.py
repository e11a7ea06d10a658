"""A process that decodes: one film after the other, prepared for the network first and then drawn for people.

The pixels stay here from the one to the other, so that a film is decoded once, and is judged while it is drawn.
"""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

import structlog

from cxr_node import fence
from cxr_node.decoding import line
from cxr_node.errors import CxrNodeError
from cxr_node.imaging.decoded import DecodedFilm
from cxr_node.imaging.film import Prepared
from cxr_node.imaging.picture import encode_picture
from cxr_node.inference.memory import keep_freed_memory
from cxr_node.observe import log as logging
from cxr_node.spool import Spool
from cxr_node.stages.stage import attempt

log = structlog.get_logger()

_NO_WATERMARK = 0  # which is for what is received


def run() -> None:
    """The whole life of such a process: until the other end of its line is gone."""
    fence.end_with(os.getppid())  # also where it hangs in a decoder, and cannot see that the other end is gone
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started it
    with suppress(EOFError, OSError), Connection(int(os.environ.pop(line.VARIABLE))) as connection:
        settings = line.settings(connection)
        logging.configure(settings.level, settings.form, settings.file, role="decoder")
        keep_freed_memory()
        serve(connection, Decoder(Spool(settings.root, _NO_WATERMARK), settings.side))


def serve(connection: Connection, decoder: "Decoder") -> None:
    """Do as the other end says. Raises EOFError or OSError when it is gone."""
    while True:
        connection.send_bytes(line.READY)
        order = line.order(connection)
        found = attempt(decoder.prepare, order)
        if isinstance(found, Exception):
            line.answer(connection, found)
            if line.is_bug(found):
                log.error("film.broken", film=order.digest[:12], exc_info=found)
            continue
        film, prepared = found
        line.answer(connection, prepared)
        verdict = line.verdict(connection)
        if verdict.let_in:
            decoder.draw(order, film, inverted=verdict.inverted)


@dataclass(frozen=True, slots=True)
class Decoder:
    """What is done with a film; `side` as in `Settings`."""

    spool: Spool
    side: int

    def prepare(self, order: line.Order) -> tuple[DecodedFilm, Prepared]:
        """A film in memory, and as a network of `side` pixels sees it. Raises as `DecodedFilm.read` does."""
        film = DecodedFilm.read(self.spool.path(order.path))
        return film, film.prepare(self.side)

    def draw(self, order: line.Order, film: DecodedFilm, *, inverted: bool) -> None:
        """Leave the picture in the spool. Where the disk does not take it, who needs it draws it anew."""
        picture = encode_picture(film.render(inverted=inverted))
        try:
            self.spool.write(self.spool.picture(order.digest), picture)
        except CxrNodeError as error:
            log.warning("picture.unwritten", film=order.digest[:12], code=error.code, reason=error.message)
