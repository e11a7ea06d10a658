"""Have the kernel begin to write what is in its memory, so that the sync at the end finds little left.

Python's os module has no sync_file_range(2). It says nothing about what is on the disk, and is no sync.
"""

import ctypes

_WRITE = 2  # SYNC_FILE_RANGE_WRITE: begin with every page of the range that is not being written yet
_CALL = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _CALL is not None:
    _CALL.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def begin_write_back(descriptor: int, start: int, length: int) -> bool:
    """Begin to write so many bytes of a file; whether the system can. What fails here shows in the sync."""
    return _CALL is not None and _CALL(descriptor, start, length, _WRITE) == 0
