"""How the bytes of an association are read: an adapter over pynetdicom's socket and the thread that reads it.

pynetdicom would read 4096 bytes at a time, could not serve more than a thousand files and sockets at once, and copies
each fragment of an object six times on its way to the disk.
"""

import contextlib
import errno
import math
import select
import socket
import ssl
import time
from typing import Any, NoReturn

import structlog
from pynetdicom.dul import DULServiceProvider
from pynetdicom.transport import AssociationSocket

from cxr_node.dimse.reception import Part, unfinished_part
from cxr_node.dimse.waking import Waker

log = structlog.get_logger()

_PIECE = 1 << 20
_HEADER = 6  # of a PDU: type, reserved, length (PS3.8 9.3)
_FRAGMENT_HEADER = 6  # of its fragment: length, context id, message control header (PS3.8 9.3.5.1 and E.2)
_P_DATA = 0x04
_COMMAND, _LAST = 0x01, 0x02
_LONGEST_DATA = 8 << 20
_LONGEST_OTHER = 256 << 10  # an A-ASSOCIATE-RQ of 128 contexts with every transfer syntax takes a tenth
_LONGEST_MESSAGE = 8 << 20  # what is no object is held in memory: a request for 5000 instances takes a tenth
_PAUSE = 20  # milliseconds; then pynetdicom looks after its timers and what is to be sent
_REST = 200  # milliseconds, with nothing to read or to send; the same for timers
_FOR_DATA = "Sta6"  # the state in which data is transferred (PS3.8 9.2)


class Connection(AssociationSocket):
    """The socket of one association: no limit on file numbers, large reads, and none longer than a PDU may be."""

    _longest = _HEADER
    _unread = b""
    waker: Waker

    @property
    def ready(self) -> bool:
        """As the original, whose select(2) knows the first 1024 files of a process only."""
        return self.more(0)

    def more(self, milliseconds: int) -> bool:
        """Whether there is something to read now, or will be in so many milliseconds.

        Before it waits, the peer is told what has come.
        """
        if self.socket is None or not self._is_connected:
            return False
        poll = select.poll()
        try:
            poll.register(self.socket, select.POLLIN)
        except (OSError, ValueError):
            self.event_queue.put("Evt17")
            return False
        if self._unread or (isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()) or poll.poll(0):
            return True
        if not milliseconds:
            return False
        self._acknowledge()
        return bool(poll.poll(milliseconds))

    def rest(self) -> None:
        """Wait a little for something to read, or until `waker` is woken."""
        self._acknowledge()
        with contextlib.suppress(OSError, ValueError):  # it is closed
            if self.socket is not None:
                self.waker.wait(self.socket, _REST)

    def recv(self, nr_bytes: int) -> bytearray:
        """As the original, in pieces of up to 1 MiB that are taken as they come, never ahead of what came.

        Raises OSError, which closes the connection, for a PDU or a message that is longer than any may be, or a PDU
        that trickles in.
        """
        if nr_bytes > self._longest:
            self._refuse(f"a PDU of {nr_bytes} bytes")
        if (held := self._held()) > _LONGEST_MESSAGE:
            self._refuse(f"a message of more than {held} bytes that is no object")
        received = self._exactly(nr_bytes)
        if len(received) == _HEADER:
            self._longest = self._longest_of(received[0])
        else:
            self._acknowledge()
        return received

    def take(self, part: Part) -> tuple[int, bool] | None:
        """Read a PDU that is one fragment of an object into its part: its context id, and whether it is the last.

        None for any other PDU, and at the end of the connection: what was read of it is read again by `recv`. Raises
        OSError as `recv` does.
        """
        head = self._begin()
        size = int.from_bytes(head[2:_HEADER]) - _FRAGMENT_HEADER
        alone = len(head) == _HEADER + _FRAGMENT_HEADER and int.from_bytes(head[6:10]) == size + 2
        if alone and head[0] == _P_DATA:
            if size > self._longest_of(_P_DATA):
                self._refuse(f"a PDU of {size} bytes")
            if not head[11] & _COMMAND:
                self._fill(part, size)
                return head[10], bool(head[11] & _LAST)
        self._unread = head
        return None

    def _begin(self) -> bytes:
        """The header of a PDU, with that of its first fragment where it has one; fewer bytes at the end."""
        assert self.socket is not None  # noqa: S101 - it was ready
        head = self._unread or self.socket.recv(_HEADER + _FRAGMENT_HEADER)
        self._unread = b""
        if len(head) < _HEADER:
            head += self._exactly(_HEADER - len(head))
        if len(head) >= _HEADER and head[0] == _P_DATA and int.from_bytes(head[2:_HEADER]) >= _FRAGMENT_HEADER:
            head += self._exactly(_HEADER + _FRAGMENT_HEADER - len(head))
        return head

    def _exactly(self, count: int) -> bytearray:
        """So many bytes; fewer where the connection ends."""
        until = self._until()
        received, self._unread = bytearray(self._unread[:count]), self._unread[count:]
        while self.socket is not None and len(received) < count:
            piece = self.socket.recv(min(count - len(received), _PIECE))
            if not piece:
                break
            received += piece
            _require_pace(until)
        return received

    def _fill(self, part: Part, size: int) -> None:
        until = self._until()
        while size:
            count = self.socket.recv_into(part.room(size)) if self.socket is not None else 0
            if not count:
                raise ConnectionResetError(errno.ECONNRESET, "closed within a PDU")
            part.filled(count)
            size -= count
            _require_pace(until)

    def _until(self) -> float:
        return time.monotonic() + (self.assoc.network_timeout or math.inf)

    def _acknowledge(self) -> None:
        """Tell the peer at once that a PDU is here.

        Many peers write command and data set one after the other, and their system (Nagle's algorithm, RFC 896) holds
        the second back until the first is acknowledged, which Linux delays by 40 ms (RFC 1122 4.2.3.2). It falls back
        to that by itself, so that it is told again and again.
        """
        if self.socket is not None:
            with contextlib.suppress(OSError):  # the peer is gone: the next read says so
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _shutdown_socket(self) -> None:
        """As the original, which leaves a socket open whose peer was faster."""
        self.waker.close()
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()

    def _refuse(self, what: str) -> NoReturn:
        log.warning("association.broken", calling=self.assoc.requestor.ae_title, reason=what)
        raise OSError(errno.EMSGSIZE, what)

    def _held(self) -> int:
        """Bytes of the message that is being received, as far as they are in memory; objects go to parts."""
        message = self.assoc.dimse.message
        buffers = (message.encoded_command_set, message.data_set) if message else ()
        return sum(buffer.tell() for buffer in buffers if buffer)

    def _longest_of(self, kind: int) -> int:
        """Data four times as long as was offered are let pass, since some peers do not look; memory stays bounded."""
        offered = self.assoc.acceptor.maximum_length or _LONGEST_DATA
        return min(4 * offered, _LONGEST_DATA) if kind == _P_DATA else _LONGEST_OTHER


class Reader(DULServiceProvider):
    """The thread that reads an association: an object goes from the socket to its part, and is copied once.

    All else, and the end of each object, is pynetdicom's.
    """

    def send_pdu(self, primitive: Any) -> None:
        """As the original, whose thread finds it when it looks next."""
        super().send_pdu(primitive)
        self._wake()

    def kill_dul(self) -> None:
        super().kill_dul()
        self._wake()

    def _wake(self) -> None:
        if isinstance(self.socket, Connection):
            self.socket.waker.wake()

    def _is_transport_event(self) -> bool:
        """As the original, which does not wait for something to read or to send."""
        if super()._is_transport_event():
            return True
        if self.event_queue.queue or self._kill_thread or not isinstance(self.socket, Connection):
            return False
        self.socket.rest()
        return not self._process_recv_primitive() and super()._is_transport_event()

    def _read_pdu_data(self) -> None:
        """As the original, which makes of each fragment a PDU, of that a primitive, and of that a message's piece."""
        part, connection = unfinished_part(self.assoc), self.socket
        if part is None or not isinstance(connection, Connection) or self.state_machine.current_state != _FOR_DATA:
            super()._read_pdu_data()
            return
        try:
            while taken := connection.take(part):
                context, last = taken
                if last:
                    self._end(context)
                    return
                self._idle_timer.restart()
                if self._kill_thread or self.to_provider_queue.qsize() or not connection.more(_PAUSE):
                    return
        except OSError as error:
            log.debug("connection.closed", reason=error.strerror)
            self.event_queue.put("Evt17")
            return
        super()._read_pdu_data()

    def _end(self, context: int) -> None:
        """Tell pynetdicom that the object is whole: by a fragment with nothing in it, the last."""
        item = (2).to_bytes(4) + bytes([context, _LAST])
        pdu, event = self._decode_pdu(bytearray(bytes([_P_DATA, 0]) + len(item).to_bytes(4) + item))
        self._recv_pdu.put(pdu)
        self.event_queue.put(event)


def _require_pace(until: float) -> None:
    if time.monotonic() > until:
        raise TimeoutError(errno.ETIMEDOUT, "a PDU took longer than the time-out")
