"""Compressed frames through the decoders, which are native code: a worker stands for the inference child."""

from dataclasses import replace
from pathlib import Path
from random import Random

from cxr_node.errors import CxrNodeError
from cxr_node.imaging.film import prepare, render
from cxr_node.imaging.part10 import read_film
from cxr_node.imaging.pixels import decode
from tests.fuzz import seeds
from tests.fuzz.elements import Element, encode, parse
from tests.fuzz.mutate import mutated, number
from tests.fuzz.target import Target

_PIXELS = b"\xe0\x7f\x10\x00"
_SHAPE = b"\x28\x00"
_FIRST_ITEM = 16  # an empty offset table and the head of the first fragment
_SIDE = 64


class Frames(Target):
    """The decoders, on films whose compressed bytes or pixel attributes are not what they were."""

    name = "frames"
    mortal = True
    patience = 90.0  # CharLS takes seconds to give up on a stream whose end is lost

    def begin(self, folder: Path) -> None:
        self._path = folder / "film.dcm"

    def make(self, chance: Random) -> bytes:
        return film(chance)

    def run(self, data: bytes) -> str:
        self._path.write_bytes(data)
        try:
            dataset = read_film(self._path)
            pixels = decode(dataset)
            prepare(pixels, dataset, _SIDE)
            render(pixels, dataset)
        except CxrNodeError as error:
            return error.code
        return "decoded"


def film(chance: Random) -> bytes:
    """A Part 10 file with one bad frame, in any transfer syntax."""
    seed = chance.choice(seeds.frames()).renewed(chance)
    if seed.syntax.is_deflated or not seed.syntax.is_little_endian:
        return seed.meta + mutated(seed.data, chance)
    elements = parse(seed.data, seed.syntax.is_implicit_VR)
    if chance.random() < 0.8:
        elements = [_worse(each, chance) if each.tag == _PIXELS else each for each in elements]
    else:
        at = chance.choice([at for at, each in enumerate(elements) if each.tag[:2] == _SHAPE and each.length == 2])
        elements[at] = replace(elements[at], value=number(chance, 2))
    return seed.meta + encode(elements)


def _worse(pixels: Element, chance: Random) -> Element:
    if pixels.length == 0xFFFFFFFF and chance.random() < 0.9:  # inside the fragment, whose length stays
        head, frame = pixels.value[:_FIRST_ITEM], pixels.value[_FIRST_ITEM:-8]
        worse = mutated(frame, chance)[: len(frame)]
        return replace(pixels, value=head + worse + frame[len(worse) :] + pixels.value[-8:])
    return replace(pixels, value=mutated(pixels.value, chance))
