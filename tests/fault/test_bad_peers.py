"""Destinations that are away for an hour, unknown to the name service, mute or stuck; and a clock that jumps.

One node, all at once, since each has its own lane: what one of them does to the node would show in the others.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.fault.peer import Destination
from tests.fault.shim import Shim
from tests.films import chest
from tests.node import Node, wait_for

pytestmark = pytest.mark.fault

MINUTE, HOUR, DAY = 60, 3600, 86400


@contextmanager
def stuck(after: int) -> Iterator[dict[str, Any]]:
    """A peer that takes connections, lets a real one behind it answer, and from `after` bytes on reads nothing more.

    The connection stays open, half-way through whatever it was.
    """
    held: list[socket.socket] = []
    with Destination() as real, socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    ours, _ = server.accept()
                except OSError:
                    return
                behind = socket.create_connection(("127.0.0.1", real.port))
                held.extend((ours, behind))
                threading.Thread(target=pass_on, args=(behind, ours, 1 << 40), daemon=True).start()
                threading.Thread(target=pass_on, args=(ours, behind, after), daemon=True).start()

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        try:
            yield real.table | {"port": server.getsockname()[1]}
        finally:
            server.shutdown(socket.SHUT_RDWR)
            serving.join(10)  # what was taken last is held, too
            for each in held:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()


def pass_on(source: socket.socket, target: socket.socket, count: int) -> None:
    while count > 0:
        try:
            piece = source.recv(min(count, 4096))
            target.sendall(piece)
        except OSError:
            return
        if not piece:
            return
        count -= len(piece)


def test_an_hour_without_a_destination_beside_others_that_never_answer(tmp_path: Path, *, long: bool) -> None:
    shim, peer = Shim(tmp_path), Destination()
    films = [chest() for _ in range(3)]
    with stuck(0) as mute, stuck(3000) as halfway:
        destinations = [
            peer.table,
            peer.table | {"name": "unknown", "host": "no-such-host.invalid"},
            mute | {"name": "mute"},
            halfway | {"name": "halfway"},
        ]
        with Node(tmp_path, environment=shim.environment, destinations=destinations) as node:
            node.send(*films)
            for ahead in range(0, HOUR + 1, (10 if long else 30) * MINUTE):
                shim.turn_clock(ahead)
                tried = attempts(node)
                wait_for(lambda: attempts(node) >= tried + 2, what="a try")  # noqa: B023 - it is called in this round
            assert codes(node, "peer") == {"UNREACHABLE"}

            peer.start()

            wait_for(lambda: states(node, "peer") == {"sent"}, what="delivery")
            assert sorted(peer.taken.values()) == [1] * 6

            peer.stop()
            node.send(late := chest())
            wait_for(lambda: "UNREACHABLE" in codes(node, "peer"), what="a try")
            shim.turn_clock(-DAY)  # the next try is a day away, by this clock
            peer.start()
            wait_for(lambda: states(node, "peer") == {"sent"}, what="delivery after the clock was set back")
            node.send(early := chest())
            wait_for(lambda: len(peer.taken) == 10, what="delivery of what came since")
            shim.turn_clock(2 * DAY)
            node.send(last := chest())
            wait_for(lambda: len(peer.taken) == 12, what="delivery after the clock was set forward")

            wait_for(lambda: codes(node, "mute") & {"UNREACHABLE"}, what="the end of a wait")
            wait_for(lambda: codes(node, "halfway") & {"NO_ANSWER", "ASSOCIATION_LOST"}, what="the end of a wait")
            assert codes(node, "unknown") == {"UNREACHABLE"}
            assert states(node, "unknown") == states(node, "mute") == states(node, "halfway") == {"pending"}
            assert sorted(peer.taken.values()) == [1] * 12
            studies = [node.study(film.StudyInstanceUID) for film in (*films, late, early, last)]
            assert [[output["kind"] for output in study["outputs"]] for study in studies] == [["sr", "sc"]] * 6
            assert {entry["state"] for entry in node.worklist()} == {"analysed"}
            assert node.command("audit", "verify").returncode == 0


def attempts(node: Node) -> int:
    (row,) = node.rows("SELECT coalesce(sum(attempt), 0) AS n FROM job WHERE kind = 'deliver' AND target = 'peer'")
    return int(row["n"])


def codes(node: Node, destination: str) -> set[str]:
    """The codes of what kept documents from a destination."""
    told = "SELECT DISTINCT error_code AS code FROM job WHERE kind = 'deliver' AND target = ?"
    return {row["code"] for row in node.rows(told, destination)} - {None}


def states(node: Node, destination: str) -> set[str]:
    sent = "SELECT DISTINCT sent_at IS NOT NULL AS sent FROM delivery WHERE destination = ?"
    return {"sent" if row["sent"] else "pending" for row in node.rows(sent, destination)}
