"""What the kernel does to a process that must not go on: it needs no turn of that process to do it.

A process that is stopped (SIGSTOP), that hangs, or whose machine was asleep, cannot look at a clock before it goes on.
"""

import ctypes
import os
import signal
import time

_LIBC = ctypes.CDLL(None, use_errno=True)
_SIGEV_SIGNAL, _TIMER_ABSTIME, _PR_SET_PDEATHSIG = 0, 1, 1
_NANOSECONDS = 1_000_000_000


class _Sigevent(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_byte * 48),
    )


class _Itimerspec(ctypes.Structure):
    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


def now() -> float:
    """Seconds since the machine was started; they go on while it is asleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Deadline:
    """A timer of the kernel that kills this process, and with it whoever `ends_with` it (timer_create(2)).

    Raises OSError where the kernel gives none.
    """

    def __init__(self) -> None:
        event = _Sigevent(signo=signal.SIGKILL, notify=_SIGEV_SIGNAL)
        self._timer = ctypes.c_void_p()
        _called(_LIBC.timer_create(time.CLOCK_BOOTTIME, ctypes.byref(event), ctypes.byref(self._timer)))

    def set(self, at: float) -> None:
        """Put the end off until `at`, by `now`; 0 calls it off."""
        seconds, nanoseconds = divmod(int(at * _NANOSECONDS), _NANOSECONDS)
        end = _Itimerspec(0, 0, seconds, nanoseconds)
        _called(_LIBC.timer_settime(self._timer, _TIMER_ABSTIME, ctypes.byref(end), None))


def end_with(parent: int) -> None:
    """From now on this process is killed in the moment in which its parent ends (prctl(2), PR_SET_PDEATHSIG)."""
    _called(_LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent:  # it has ended before
        os._exit(1)


def _called(status: int) -> None:
    if status:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
