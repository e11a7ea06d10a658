"""The parsers that are the node's own: elements, compressed images' headers, digests. They are quick."""

from io import BytesIO
from random import Random

from cxr_node.imaging import codestream
from cxr_node.imaging.digest import DataSetDigest
from cxr_node.imaging.elements import all_whole
from tests.fuzz import seeds
from tests.fuzz.elements import worsened
from tests.fuzz.mutate import mutated
from tests.fuzz.target import Finding, Target

_WORSE, _WHOLE, _BROKEN, _FRAME = b"W", b"w", b"b", b"F"
"""What an input is: its first byte. `w` and `b`: cut off after an element, or within one. Its second byte is I or E."""


class Parsers(Target):
    """Data sets made worse, sound ones cut off somewhere, and compressed frames made worse."""

    name = "parsers"

    def make(self, chance: Random) -> bytes:
        how = chance.randrange(4)
        if how == 0:
            return _FRAME + b"E" + mutated(chance.choice(seeds.codestreams()), chance)
        seed = chance.choice(seeds.headers())
        vr = b"I" if seed.syntax.is_implicit_VR else b"E"
        if how == 1:
            end = chance.randrange(len(seed.data) + 1)
            return (_WHOLE if end in seed.ends() else _BROKEN) + vr + seed.data[:end]
        data = worsened(seed.data, chance, seed.syntax.is_implicit_VR)
        return _WORSE + vr + (mutated(data, chance) if chance.random() < 0.5 else data)

    def run(self, data: bytes) -> str:
        kind, implicit, data = data[:1], data[1:2] == b"I", data[2:]
        if kind == _FRAME:
            return "no claim" if codestream.claim(data) is None else "a claim"
        _digest(data)
        try:
            whole = all_whole(BytesIO(data), len(data), implicit)
        except RecursionError:
            return "too deep"  # its caller takes that for unparseable, as it does what pydicom raises
        if kind in (_WHOLE, _BROKEN) and whole != (kind == _WHOLE):
            raise Finding("a data set that ends within an element passes for whole, or the other way round")
        return "whole" if whole else "not whole"


def _digest(data: bytes) -> None:
    """Fed in pieces or at once, the same digest."""
    at_once, pieces = DataSetDigest(), DataSetDigest()
    at_once.update(data)
    for piece in (data[:131], data[131:150], data[150:]):
        pieces.update(piece)
    if pieces.hexdigest() != at_once.hexdigest():
        raise Finding("the digest depends on the pieces in which a film comes")
