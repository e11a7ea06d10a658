"""Whatever the order in which films, corrections and rejections come, how often, and where the node falls: one outcome.

Each example is played twice on the bench: once in order, without a fall, and once shuffled, with repetitions, work in
between, and falls: jobs that were done, with what they sent, and are not recorded. Then the worklist, the films that
count, and the documents that stand in the archive must be the same.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset

from cxr_node.domain.callers import Refusals
from cxr_node.domain.intake import Answer
from cxr_node.imaging.film import prepare
from cxr_node.imaging.pixels import decode
from cxr_node.stages.orders import Orders
from cxr_node.store import jobs, retraction
from tests import films
from tests.bench import JUDGING
from tests.rejection import rejection
from tests.ris import merge, message, order, update
from tests.unit.test_hl7_inbound import TERMS
from tests.unit.test_stages import same_study
from tests.unit.test_stages_documents import Pacs
from tests.unit.test_stages_reject import Archive, rejected

FILMS = [
    films.chest(number, PatientID="TEMP1", PatientName="Unknown^Trauma", AccessionNumber="A1") for number in (1, 2, 3)
]
for each in FILMS[1:]:
    same_study(FILMS[0], each)
STUDY = str(FILMS[0].StudyInstanceUID)
PROBABILITIES = {1: 0.5, 2: 0.95, 3: 0.6}
BRIGHTNESS = {number: float(prepare(decode(film), film, 224).mean()) for number, film in enumerate(FILMS, 1)}
"""Of each film as a model sees it: no two are alike."""
NOTES = [rejection("113001", FILMS[1]), rejection("113038", FILMS[2])]


def at(text: str, minute: int) -> str:
    """The same message, made so many minutes after noon."""
    return text.replace("20260101120000", f"202601011200{minute:02d}", 1)


def changed(number: str, accession: str) -> str:
    lines = ["ORC|XO|PL1", "OBR|1|PL1||XC^Chest^L", f"IPC|{accession}|RP1|{STUDY}|SPS1"]
    return message("OMI^O23^OMI_O23", number, "PID|||", *lines)


def reordered(number: str, procedure: str) -> str:
    lines = ["ORC|XO|PL1", f"OBR|1|PL1||{procedure}^Chest^L", f"ZDS|{STUDY}"]
    return message("ORM^O01^ORM_O01", number, "PID|||", *lines)


EARLY: dict[str, FileDataset | str] = {
    "film 1": FILMS[0],
    "film 2": FILMS[1],
    "film 3": FILMS[2],
    "note of 2": NOTES[0],
    "note of 3": NOTES[1],
    "merge": at(merge("1", "TEMP1", "P1"), 1),
    "further merge": at(merge("2", "P1", "P2", "Doe^Janet"), 2),
    "update": at(update("3", "P2", "Doe^Jeanette"), 3),
    "procedure": at(reordered("9", "XC1"), 2),
    "another procedure": at(reordered("10", "XC2"), 3),
    "accession": at(changed("4", "A2"), 4),
    "accession again": at(changed("5", "A3"), 5),
}
"""What may come in any order."""
LATE: dict[str, str] = {
    "cancelled": at(order("6", "A1", control="CA"), 6),
    "ordered again": at(order("7", "A1", "", control="NW"), 7),
    "cancelled again": at(order("8", "A1", control="CA"), 8),
}
"""What is about the films that are there, so that it comes after them, among itself in any order."""


class Life(Archive):
    """A node on the bench with a desk for the RIS; what it judges of a film depends on the film alone."""

    judging = replace(JUDGING, notes=frozenset({"pacs"}), hold=frozenset({"patient", "accession"}))

    def live(self, pacs: Pacs) -> "Life":
        self.begin()
        self.document()
        self.pacs = {"pacs": pacs}
        self.intake = replace(self.intake, judging=lambda: self.judging)
        desk = Refusals(lambda _: None, self.clock)
        self.desk_of_ris = Orders(self.store, TERMS, "8859/1", self.judging, desk, self.clock, lambda: None, str)
        self.network.predict = self._predict  # type: ignore[method-assign]
        return self

    def _predict(self, batch: Any) -> list[float]:
        """By the films themselves: how many are looked at together is the node's affair."""
        return [
            PROBABILITIES[min(BRIGHTNESS, key=lambda number: abs(BRIGHTNESS[number] - film.mean()))] for film in batch
        ]

    def take(self, what: FileDataset | str) -> None:
        if isinstance(what, str):
            assert b"\rMSA|AA" in self.desk_of_ris.answer(what.encode(), "192.0.2.9")
        else:
            assert self.send(what).answer is Answer.STORED

    def fall(self) -> "Life":
        """The node ends with jobs in hand whose work was done: reports were written, documents have come."""
        self.clock.turn(130)
        self.work()
        self.kinds = ("report", "heatmap", "companions")
        self.finish()
        for kind in ("report", "heatmap", "deliver", "reject"):
            with self.store.transaction() as tx:
                held = jobs.claim(tx, kind, "dead", self.clock(), 300.0)
            step_and_stage = self.worker.stages[kind]
            step_and_stage[1].run_batch(held)
        self.store.close()
        again = Life(self.root, clock=self.clock)
        with again.store.transaction() as tx:
            jobs.release_all(tx, self.clock())
        return again.live(self.pacs["pacs"])

    def rest_well(self) -> "Life":
        for _ in range(3):
            self.rest(700)
        return self

    def outcome(self) -> dict[str, Any]:
        entry = self.entry()
        shown = {name: entry[name] for name in ("state", "reason", "patient_id", "accession_number", "identity")}
        if entry["state"] not in ("withdrawn", "held"):
            shown |= {name: entry[name] for name in ("tier", "positive", "probability")}
        counting = {row["sop_instance_uid"]: row["state"] for row in self.rows("SELECT * FROM instance")}
        left = self.rows(
            "SELECT kind, state FROM job WHERE kind != 'shadow' AND state IN ('ready', 'running', 'failed')"
        )
        return shown | {"films": counting, "left": left, "documents": self.standing()}

    def standing(self) -> set[tuple[str, ...]]:
        """What the archive has and no note takes back: whose it says it is, and on which films the report rests.

        An earlier report that only more films have followed is no longer the newest one, and is left aside.
        """
        gone = set[str]().union(*(rejected(note) for note in self.documents("KO")))
        with self.store.reading() as tx:
            rows = tx.rows("SELECT * FROM document WHERE kind IN ('sr', 'sc')")
            fits = {row["sop_instance_uid"]: retraction.stands(tx, STUDY, int(row["revision"])) for row in rows}
        kept = {
            str(one.SOPInstanceUID): one for one in self.documents("SR", "OT") if str(one.SOPInstanceUID) not in gone
        }
        assert all(fits.values()) or all(uid not in kept for uid, fit in fits.items() if not fit), "one is outdated"
        newest: dict[str, Dataset] = {str(one.Modality): one for one in kept.values()}
        return {(kind, one.PatientID, str(one.PatientName), one.AccessionNumber) for kind, one in newest.items()}


def played(events: Sequence[Any], act: Callable[[Life, Any], Life]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        life = Life(Path(folder)).live(Pacs())
        for event in events:
            life.clock.turn(1)
            life = act(life, event)
        found = life.rest_well().outcome()
        life.store.close()
        return found


def in_order(life: Life, name: str) -> Life:
    life.take((EARLY | LATE)[name])
    return life


def as_it_comes(falls: set[int], works: set[int], life: Life, numbered: tuple[int, str]) -> Life:
    number, name = numbered
    life.take((EARLY | LATE)[name])
    if number in works:
        life.rest(130)
    return life.fall() if number in falls else life


@st.composite
def plays(draw: st.DrawFn) -> tuple[list[str], list[str], set[int], set[int]]:
    """What is said in order; the same shuffled and with repetitions; after which of it the node works, and falls."""
    early = draw(st.sets(st.sampled_from(sorted(set(EARLY) - {"film 1"})))) | {"film 1"}
    late = draw(st.sets(st.sampled_from(sorted(LATE))))
    known = [name for name in EARLY if name in early] + [name for name in LATE if name in late]
    first = draw(st.permutations([name for name in known if name in EARLY]))
    again = draw(st.lists(st.sampled_from(known), max_size=3))
    then = draw(st.permutations([name for name in known if name in LATE] + again))
    shuffled = [*first, *then]
    count = len(shuffled)
    places = st.sets(st.integers(0, count - 1), max_size=3)
    return known, shuffled, draw(places), draw(places)


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(plays())
def test_whatever_the_order_and_wherever_the_node_falls_the_outcome_is_one(
    play: tuple[list[str], list[str], set[int], set[int]],
) -> None:
    known, shuffled, falls, works = play
    wanted = played(known, in_order)
    found = played(list(enumerate(shuffled)), partial(as_it_comes, falls, works))
    assert found == wanted
    assert wanted["left"] == []
