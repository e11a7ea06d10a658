"""Names that tell nothing, and are the same each time: a keyed hash of what they stand for."""

import base64
import hmac
from dataclasses import dataclass, field

_STUDY = "s-"
_LETTERS = 12  # 60 bits: two of a million studies share one with a chance of one in two million


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """The pseudonyms of one node. Without its `key` (32 bytes) nobody can tell what they stand for, nor try."""

    key: bytes = field(repr=False)

    def study(self, study_instance_uid: str) -> str:
        """What logs call a study."""
        return _STUDY + self.digest("log", study_instance_uid, letters=_LETTERS)

    def digest(self, purpose: str, *parts: str, letters: int = 26) -> str:
        """A keyed hash in lower-case letters and digits, 5 bits each; another for each purpose."""
        return base64.b32encode(self._hash(purpose, parts)).decode().lower()[:letters]

    def number(self, purpose: str, *parts: str) -> int:
        """The same as a number below 2**256."""
        return int.from_bytes(self._hash(purpose, parts), "big")

    def _hash(self, purpose: str, parts: tuple[str, ...]) -> bytes:
        text = "".join(f"{len(part)}:{part}" for part in (purpose, *parts))
        return hmac.digest(self.key, text.encode(), "sha256")


def is_study_pseudonym(text: str) -> bool:
    return text.startswith(_STUDY)
