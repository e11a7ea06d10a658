"""Makes the system beneath a node fail, from outside: see shim.c, which this compiles.

shim = Shim(tmp_path)
with Node(tmp_path, environment=shim.environment) as node:
    shim.rule("sync", "incoming/*.part", error=errno.EIO)   # from now on
    ...
    shim.clear()

Calls are `create`, `open`, `write`, `truncate`, `sync`, `rename` (by its target), `unlink`, `mkdir`, of files below the
node's folder, and `send`, of a connection `tcp:OURS>THEIRS`. Patterns are those of fnmatch, where `*` matches `/` too.
"""

import errno as errors
import mmap
import os
import struct
import subprocess
import time
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

KILL_BEFORE, KILL_AFTER = 0, -1
FOR_EVER = 2**62

_HEAD = struct.Struct("<qQ")
_RULE = struct.Struct("<16s112sqqqQ")
_RULES = 64


class Shim:
    """The faults of one node whose data stand in `folder`/node, as `tests.node.Node` has them."""

    def __init__(self, folder: Path) -> None:
        self._file, self.journal = folder / "shim.page", folder / "shim.journal"
        self.root = folder / "node"
        self._file.write_bytes(bytes(_HEAD.size + _RULES * _RULE.size))
        with self._file.open("r+b") as stream:
            self._page = mmap.mmap(stream.fileno(), 0)
        self._rules = 0

    @property
    def environment(self) -> dict[str, str]:
        """For the processes of the node."""
        return {"LD_PRELOAD": str(library()), "SHIM_PAGE": str(self._file), "SHIM_ROOT": str(self.root)}

    @property
    def recording(self) -> dict[str, str]:
        """The same, with a journal of what is written and synced."""
        return self.environment | {"SHIM_JOURNAL": str(self.journal)}

    def rule(self, call: str, pattern: str, *, error: int = 0, action: int = KILL_BEFORE, nth: int = 0) -> int:
        """From now on, calls fail with `error`, or are the last of their process; all of them, or the `nth` alone."""
        self._put(call, pattern, nth or 1, nth or FOR_EVER, error or action)
        return self._rules - 1

    def watch(self, call: str, pattern: str) -> int:
        """Only count."""
        self._put(call, pattern, FOR_EVER, FOR_EVER, errors.EIO)
        return self._rules - 1

    def count(self, rule: int) -> int:
        """How many calls a rule has met, in all processes together."""
        return int(_RULE.unpack_from(self._page, _HEAD.size + rule * _RULE.size)[-1])

    def clear(self) -> None:
        """Every call passes again."""
        self._rules = 0
        struct.pack_into("<Q", self._page, 8, 0)

    def turn_clock(self, seconds: float) -> None:
        """Set the clock of the node that many seconds ahead of the machine's; its monotonic clocks go on."""
        struct.pack_into("<q", self._page, 0, int(seconds * 1e9))

    @property
    def clock(self) -> float:
        """The node's time of day."""
        return time.time() + struct.unpack_from("<q", self._page, 0)[0] / 1e9

    def _put(self, call: str, pattern: str, first: int, last: int, action: int) -> None:
        assert self._rules < _RULES
        place = _HEAD.size + self._rules * _RULE.size
        _RULE.pack_into(self._page, place, call.encode(), pattern.encode(), first, last, action, 0)
        self._rules += 1
        struct.pack_into("<Q", self._page, 8, self._rules)  # last: a rule is met when it is whole


@cache
def library() -> Path:
    """shim.c, compiled."""
    made = Path(mkdtemp(prefix="shim-")) / "shim.so"
    source = Path(__file__).with_name("shim.c")
    flags = ["-O2", "-Wall", "-Wextra", "-U_FORTIFY_SOURCE", "-shared", "-fPIC"]
    subprocess.run([os.environ.get("CC", "cc"), *flags, "-o", made, source, "-ldl"], check=True)
    return made
