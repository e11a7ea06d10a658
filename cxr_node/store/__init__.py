"""The node's database, the only place of SQL.

sqlite-utils loads pandas where that is installed (Ray Data brings it), for a type that the node does not use. Here it
is loaded as if pandas were not there, so that no process of a node waits for that.
"""

import sys

_known = sys.modules.get("pandas")
sys.modules["pandas"] = _known  # type: ignore[assignment]  # None: an import of it fails
import sqlite_utils  # noqa: E402, F401

if _known is None:
    del sys.modules["pandas"]
