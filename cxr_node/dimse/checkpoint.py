"""Where the thread of an association rests, while another one asks the peer or there is nothing to do: an adapter over
pynetdicom's.

pynetdicom pauses that thread before it asks, and takes an old word for it that it rests: on a busy machine the thread
then takes the answer, or the news that the peer is gone, off the queue, and who asked waits until the time-out.
"""

import threading
import time
from typing import Any

from pynetdicom.association import Association

from cxr_node.dimse.waking import tell_of

_LOOK_SECONDS = 0.0001  # as pynetdicom does
_REST_SECONDS = 0.2  # then the thread looks whether its peer has been silent for too long


class Checkpoint:
    """In the place of an association's `_reactor_checkpoint`, which is a threading.Event.

    The association's thread says that it is paused before it comes here. Who passes takes that back in the moment of
    passing; so whoever closes the way and still finds it said may rely on it. With nothing to do it rests so many
    seconds at most.
    """

    def __init__(self, association: Association, seconds: float = _REST_SECONDS) -> None:
        self._association: Any = association
        self._seconds = seconds
        self._changed = threading.Condition()
        self._open = True
        for queue in (self._association.dimse.msg_queue, self._association.dul.to_user_queue):
            tell_of(queue, self._tell)

    @classmethod
    def put_in(cls, association: Association) -> None:
        """Have the thread of an association rest at a checkpoint of this kind."""
        of: Any = association
        of._reactor_checkpoint = cls(association)  # the event before it stays open, and is not looked at again

    def wait(self) -> None:
        """Rest until the way is open and there is something to do, or a little longer than it is open; for the
        association's own thread."""
        until = time.monotonic() + self._seconds
        with self._changed:
            while (rest := until - time.monotonic() if self._open else None) is None or (rest > 0 and self._idle()):
                self._association._is_paused = True  # whoever asks takes it back after a request that came meanwhile
                self._changed.wait(rest)
            self._association._is_paused = False

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def set(self) -> None:
        """Open the way."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Close the way, and return when the association's thread is paused; at once, if it is that which asks.

        Where the association has ended meanwhile, whoever waits for an answer over it is woken: nobody else will.
        """
        of = self._association
        with self._changed:
            self._open = False
        if threading.get_ident() == of.ident:
            of._is_paused = True
            return
        while not of._is_paused and of.is_alive():
            time.sleep(_LOOK_SECONDS)
        if of._kill or not of.is_alive():
            of.dimse.msg_queue.put((None, None))

    def _idle(self) -> bool:
        of = self._association  # its queues are not to be locked: whoever holds them may be about to tell
        return not (of.dimse.msg_queue.queue or of.dul.to_user_queue.queue or of._kill)
