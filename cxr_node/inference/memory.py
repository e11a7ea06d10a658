"""How the C library keeps memory: a network's feature maps come and go many times for each film.

glibc gives every large block back to the system at once and asks for it anew, and the kernel clears each page again:
a quarter of a film's time on a processor, two fifths where eight are judged at once (docs/benchmarks.md). Kept, the
memory is that of the largest batch.
"""

import ctypes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Parameters of mallopt(3)."""
KEPT = 1 << 30
"""Bytes at the top of the heap that are kept; the most that fits the parameter in a round number."""
PADDING = 1 << 26
"""Bytes by which the heap grows."""


def keep_freed_memory() -> bool:
    """Keep what is freed in this process for the next film; whether the C library can."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # not glibc
        return False
    wanted = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, KEPT), (M_TOP_PAD, PADDING))
    return all([mallopt(parameter, value) for parameter, value in wanted])  # noqa: C419 - every one is set
