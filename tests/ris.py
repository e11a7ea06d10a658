"""A RIS that takes messages as a test wants it to, and a sender of messages: plain sockets, read by python-hl7.

with Ris() as ris:
    ris.behave = "AE"      # AA, AE, AR, silent, half, other, garbage, close; or a function of the message
    ris.heard              # the messages, in the order in which they came
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import hl7

from tests.node import free_port

VT, FS, CR = b"\x0b", b"\x1c", b"\r"
Behaviour = str | Callable[[str], str]


class Ris:
    def __init__(self, behave: Behaviour = "AA", *, port: int | None = None) -> None:
        self.behave, self.port = behave, port or free_port()
        self.heard: list[str] = []
        self.error = ""  # the text of ERR-8 in AE and AR
        self._closing = threading.Event()
        self._server: socket.socket | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        self._closing.clear()
        self._server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, args=(self._server,), daemon=True).start()
        return self

    def stop(self) -> None:
        self._closing.set()
        if self._server is not None:
            with suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
            self._server = None

    def table(self, **more: Any) -> dict[str, Any]:
        """As a [[worklist.hl7]] of a node."""
        return {"name": "ris", "host": "127.0.0.1", "port": self.port, **more}

    @property
    def messages(self) -> list[Any]:
        return [hl7.parse(text) for text in self.heard]

    @property
    def ids(self) -> list[str]:
        """The control ids of what came, in order."""
        return [text.split("\r", 1)[0].split("|")[9] for text in self.heard]

    def _serve(self, server: socket.socket) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self._take, args=(connection,), daemon=True).start()

    def _take(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while (message := received(connection)) is not None:
                text = message.decode("utf-8")
                self.heard.append(text)
                if not self._answer(connection, text):
                    return

    def _answer(self, connection: socket.socket, text: str) -> bool:
        how = self.behave(text) if callable(self.behave) else self.behave
        control_id = text.split("\r", 1)[0].split("|")[9]
        code, said_id = (how, control_id) if how in ("AA", "AE", "AR") else ("AA", control_id)
        if how == "other":
            said_id = "another"
        error = f"ERR||PID^1^3|204^Unknown key identifier^HL70357|E||||{self.error}\r" if code != "AA" else ""
        ack = f"MSH|^~\\&|RIS|HOSPITAL|||20260101||ACK|a1|P|2.5.1\rMSA|{code}|{said_id}\r{error}".encode()
        if how == "silent":
            self._closing.wait(30)
        elif how == "half":
            connection.sendall(VT + ack[: len(ack) // 2])
        elif how == "garbage":
            connection.sendall(VT + b"nonsense" + FS + CR)
        elif how != "close":
            connection.sendall(VT + ack + FS + CR)
            return True
        return False


def received(connection: socket.socket) -> bytes | None:
    """The next message of a connection; None when it ends."""
    held = b""
    while FS not in held:
        data = connection.recv(65536)
        if not data:
            return None
        held += data
    return held[held.index(VT) + 1 : held.index(FS)]


def say(port: int, *messages: str | bytes, connection: socket.socket | None = None) -> list[Any]:
    """Send messages over one connection, each when the one before is answered; their answers, by python-hl7."""
    if connection is None:
        with socket.create_connection(("127.0.0.1", port), 30) as own:
            return say(port, *messages, connection=own)
    answers = []
    for message in messages:
        connection.sendall(VT + (message if isinstance(message, bytes) else message.encode()) + FS + CR)
        answer = received(connection)
        assert answer is not None, "no answer"
        answers.append(hl7.parse(answer.decode()))
    return answers


def message(
    kind: str, control_id: str, *segments: str, charset: str = "UNICODE UTF-8", sender: str = "RIS|HOSPITAL"
) -> str:
    head = f"MSH|^~\\&|{sender}|NODE|HERE|20260101120000||{kind}|{control_id}|P|2.5.1||||||{charset}"
    return "\r".join([head, *segments]) + "\r"


def order(
    control_id: str,
    accession: str,
    priority: str = "S",
    *,
    control: str = "NW",
    patient: str = "",
    name: str = "Doe^Jane",
) -> str:
    """ORM^O01: an order at a priority, with the accession number in OBR-18."""
    pid = f"PID|||{patient}||{name}"
    obr = f"OBR|1|PL1||XCHEST^Chest PA^L{'|' * 14}{accession}{'|' * 9}^^^^^{priority}"
    return message("ORM^O01^ORM_O01", control_id, pid, f"ORC|{control}|PL1", obr)


def merge(control_id: str, prior: str, patient: str, name: str = "Doe^Jane", kind: str = "ADT^A40^ADT_A39") -> str:
    """ADT^A40 or A47: a patient's number becomes another."""
    return message(kind, control_id, "EVN|A40|20260101120000", f"PID|||{patient}||{name}||19600229|F", f"MRG|{prior}")


def update(control_id: str, patient: str, name: str) -> str:
    """ADT^A08: how a patient is called now."""
    return message("ADT^A08^ADT_A01", control_id, "EVN|A08|20260101120000", f"PID|||{patient}||{name}")


def report(control_id: str, accession: str, status: str = "F", *, patient: str = "") -> str:
    """ORU^R01: a report of a person, in a state of table 0123."""
    obr = f"OBR|1|PL1|FI1|XCHEST^Chest PA^L{'|' * 14}{accession}{'|' * 7}{status}"
    obx = f"OBX|1|TX|18782-3^Findings^LN||Nothing acute.||||||{status}"
    return message("ORU^R01^ORU_R01", control_id, f"PID|||{patient}||Doe^Jane", obr, obx)
