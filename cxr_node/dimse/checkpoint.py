"""Where the thread of an association rests while another one asks the peer: an adapter over pynetdicom's.

pynetdicom pauses that thread before it asks, and takes an old word for it that it rests: on a busy machine the thread
then takes the answer, or the news that the peer is gone, off the queue, and who asked waits until the time-out.
"""

import threading
from typing import Any

from pynetdicom.association import Association

_LOOK_SECONDS = 0.05  # that a thread has ended is told by nobody


class Checkpoint:
    """In the place of an association's `_reactor_checkpoint`, which is a threading.Event."""

    def __init__(self, association: Association) -> None:
        self._association = association
        self._changed = threading.Condition()
        self._open, self._rests = True, False

    @classmethod
    def put_in(cls, association: Association) -> None:
        """Have the thread of an association rest at a checkpoint of this kind."""
        of: Any = association
        of._reactor_checkpoint = cls(association)  # the event before it stays open, and is not looked at again

    def wait(self) -> None:
        """Rest until the way is open; for the association's own thread."""
        with self._changed:
            while not self._open:
                self._rests = True
                self._changed.notify_all()
                self._changed.wait()
            self._rests = False

    def set(self) -> None:
        """Open the way."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Close the way, and return when the association's thread rests; at once, if it is that which asks.

        Where the association has ended meanwhile, whoever waits for an answer over it is woken: nobody else will.
        """
        if threading.current_thread() is self._association:
            return
        with self._changed:
            self._open = False
            while not (self._rests or self._open) and self._association.is_alive():
                self._changed.wait(_LOOK_SECONDS)
            ended = self._open or not self._association.is_alive()
        if ended:
            self._association.dimse.msg_queue.put((None, None))
