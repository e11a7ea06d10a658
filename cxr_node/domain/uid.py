"""UIDs of what the node writes, derived from content (PS3.5 section 9 and B.2).

The same content gives the same UID on every try and every machine; different content never shares one.
"""

import hashlib
import uuid
from collections.abc import Iterable

UUID_ROOT = "2.25"
_NAMESPACE = uuid.UUID("6f0f3a9e-6d5c-5c0b-9f5e-0d6b6a1f7c11")
_MAXIMUM_LENGTH = 64


def derive_uid(root: str, parts: Iterable[str]) -> str:
    """A UID under `root` (no trailing dot) from `parts`, each with its length before it, so that no two lists collide.

    Under `2.25` the suffix must be a UUID (PS3.5 B.2), so it is a version 5 UUID; under an organisation's own root it
    is as much of a SHA-256 as fits into 64 characters.

    Raises ValueError when the root is so long that fewer than 96 bits would be left.
    """
    name = "".join(f"{len(part)}:{part}" for part in parts)
    if root == UUID_ROOT:
        return f"{UUID_ROOT}.{uuid.uuid5(_NAMESPACE, name).int}"
    room = _MAXIMUM_LENGTH - len(root) - 1
    if room < 30:
        raise ValueError(f"UID root {root!r} leaves {room} characters; at least 30 are needed for a safe suffix")
    suffix = str(int.from_bytes(hashlib.sha256(name.encode()).digest(), "big"))[:room]
    return f"{root}.{suffix.lstrip('0') or '0'}"


IMPLEMENTATION_CLASS_UID = derive_uid(UUID_ROOT, ["cxr_node", "implementation"])
"""Which implementation wrote a file or opened an association (PS3.7 D.3.3.2, PS3.10 7.1)."""
