"""Data sets through everything that looks at one: parsing, facts, rules, digest; and through the intake."""

from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pydicom

from cxr_node.domain.eligibility import Rules, judge
from cxr_node.domain.instance import Header
from cxr_node.domain.intake import Answer, Received
from cxr_node.errors import CxrNodeError, Permanent
from cxr_node.imaging.digest import DataSetDigest, data_set_digest
from cxr_node.imaging.film import prepare, render
from cxr_node.imaging.instance import read_instance
from cxr_node.imaging.part10 import read_complete, read_film, read_film_header
from cxr_node.imaging.pixels import decode
from tests.bench import Bench
from tests.fuzz import seeds
from tests.fuzz.elements import worsened
from tests.fuzz.mutate import mutated
from tests.fuzz.target import Finding, Target

_SIDE = 64
_INTAKES = 20_000  # after so many the database is begun anew


def film(chance: Random) -> bytes:
    """A Part 10 file whose data set, and now and then its File Meta, is not what it was."""
    seed = chance.choice(seeds.headers()).renewed(chance)
    meta, data = seed.meta, seed.data
    if chance.random() < 0.7:
        data = worsened(data, chance, seed.syntax.is_implicit_VR)
    if chance.random() < 0.4:
        data = mutated(data, chance, chance.choice(seeds.headers()).data)
    if chance.random() < 0.1:
        meta = mutated(meta, chance)
    return meta + data


class Headers(Target):
    """Everything that looks at a header, and at uncompressed pixels."""

    name = "headers"

    def begin(self, folder: Path) -> None:
        self._path = folder / "film.dcm"

    def make(self, chance: Random) -> bytes:
        return film(chance)

    def run(self, data: bytes) -> str:
        self._path.write_bytes(data)
        self._digests(data)
        try:
            return self._facts()
        except CxrNodeError as error:
            return error.code

    def _facts(self) -> str:
        try:
            header = read_instance(read_complete(self._path))
        except Permanent as error:
            if error.code.startswith("UID"):
                read_film_header(self._path, "ISO_IR 100")
            raise
        if Header.from_json(header.to_json()) != header:
            raise Finding("a header does not survive its way through the database")
        refusal = judge(header, Rules(minimum_side=32))
        if refusal:
            return refusal.code
        dataset = read_film(self._path)
        pixels = decode(dataset)
        prepared, picture = prepare(pixels, dataset, _SIDE), render(pixels, dataset)
        if prepared.shape != (_SIDE, _SIDE) or not np.isfinite(prepared).all():
            raise Finding("what the network would see is not finite")
        if picture.dtype != np.uint8:
            raise Finding("the picture for people is not one of bytes")
        return "judged"

    def _digests(self, data: bytes) -> None:
        """Fed in pieces or as a whole, a film has one digest."""
        pieces = DataSetDigest()
        for start in (slice(0, 131), slice(131, 150), slice(150, None)):
            pieces.update(data[start])
        if pieces.hexdigest() != data_set_digest(self._path):
            raise Finding("the digest depends on the pieces in which a film comes")


class Intake(Target):
    """The intake with a real database and spool, as the listener calls it."""

    name = "intake"

    def begin(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._bench = Bench(folder / "0")

    def make(self, chance: Random) -> bytes:
        return film(chance)

    def run(self, data: bytes) -> str:
        self._count += 1
        if self._count % _INTAKES == 0:
            self._bench.store.close()
            self._bench = Bench(self._folder / str(self._count))
        with self._bench.received(data, **_command(data)) as received:
            before = self._rows(received)
            verdict = self._bench.intake.accept(received)
            after = self._rows(received)
        if verdict.answer in (Answer.FAULT, Answer.OUT_OF_RESOURCES):
            raise Finding(f"a film is answered {verdict.answer!r}, though nothing is wrong with the node")
        if after and not self._bench.spool.path(after[0]["path"]).is_file():
            raise Finding("a film has a row and no file")
        if verdict.answer is not Answer.STORED and after != before:
            raise Finding("a film is refused and has a row")
        return verdict.answer.name if after or verdict.answer is not Answer.STORED else "dropped"

    def _rows(self, received: Received) -> list[dict[str, Any]]:
        return self._bench.rows("SELECT path FROM instance WHERE digest = ?", received.digest)


def _command(data: bytes) -> dict[str, str]:
    """What the C-STORE command would say: the UIDs of the data set, where they can be read."""
    try:
        found = pydicom.dcmread(BytesIO(data), specific_tags=["SOPClassUID", "SOPInstanceUID"], stop_before_pixels=True)
        return {"sop_class_uid": str(found.SOPClassUID), "sop_instance_uid": str(found.SOPInstanceUID)}
    except Exception:  # noqa: BLE001 - then it says something else
        return {}
