"""Contradictions about what a study is: between its films, and between them and what RIS and PACS say. Pure rules.

No sentence here names anybody: it stands in the log, too.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final, Literal

from cxr_node.domain.patient import Identifier, Person
from cxr_node.message import Message

About = Literal["patient", "accession", "date"]

FILMS_DIFFER: Final = Message("its films name more than one patient: Patient ID (0010,0020) differs")
OTHER_PATIENT: Final = Message("the RIS has ordered it for another patient than its films name")
OTHER_ACCESSION: Final = Message("the RIS knows the study under another accession number than its films name")
OTHER_DATE: Final = Message("the RIS has planned it for another time: Study Date (0008,0020) is too far from that")
ARCHIVED_PATIENT: Final = Message("the PACS has the study under another patient than its films name")
ARCHIVED_ORDER: Final = Message("the PACS has another patient under its accession number")
ARCHIVED_ACCESSION: Final = Message("the PACS has the study under another accession number than its films name")
ARCHIVED_DATE: Final = Message("the PACS has the study under another date: Study Date (0008,0020) differs")

_MIDNIGHT = timedelta(days=1)  # a study that is made over midnight may be filed under either day


@dataclass(frozen=True, slots=True)
class Films:
    """What the films of a study say that count, as it is known now.

    `accession`: the number that it goes by; `accessions`: that, and every one that a film came with; `days`: their
    Study Dates, as far as they have one that can be read.
    """

    study: str
    patients: Collection[Identifier]
    accession: str = ""
    accessions: frozenset[str] = frozenset()
    days: frozenset[date] = frozenset()


@dataclass(frozen=True, slots=True)
class Claim:
    """The newest word of the RIS about one order: its accession number and patient, empty where it does not say.

    `by_uid`: it names the study by its UID; else by the accession number alone. `day`: for when it is planned.
    """

    accession: str
    patients: tuple[Identifier, ...]
    by_uid: bool
    day: date | None = None


@dataclass(frozen=True, slots=True)
class Archived:
    """A study as the PACS has it; empty where it does not say."""

    study: str
    accession: str = ""
    person: Person = field(default_factory=lambda: Person(()))
    day: date | None = None


@dataclass(frozen=True, slots=True)
class Doubt:
    """One contradiction: what it is about, by what name it can be released, a sentence."""

    about: About
    name: str
    sentence: str


def doubts(films: Films, claims: Sequence[Claim], archived: Sequence[Archived], order_days: int) -> Iterator[Doubt]:
    """What contradicts what: the films each other, the RIS (`claims`) them, the PACS (`archived`) them.

    `order_days`: how far from the day of its order a study may be made.
    """
    known = sorted(films.patients, key=_order)
    if any(not one.meets(other) for one in known for other in known):
        yield Doubt("patient", f"films {_named(known)}", FILMS_DIFFER)
    yield from _ordered_otherwise(films, known, claims, timedelta(days=order_days))
    yield from _archived_otherwise(films, known, archived)


def _ordered_otherwise(
    films: Films, known: Sequence[Identifier], claims: Sequence[Claim], margin: timedelta
) -> Iterator[Doubt]:
    """Where a site has several orders in one study, one that names the films' accession number or day is enough."""
    for claim in claims:
        if not _may_be_any(known, claim.patients):
            name = f"order {claim.accession} {_named(claim.patients)} films {_named(known)}"
            yield Doubt("patient", name, OTHER_PATIENT)
    named = {claim.accession for claim in claims if claim.by_uid and claim.accession}
    if films.accessions and named and not named & films.accessions:
        name = f"accession {' '.join(sorted(films.accessions))} orders {' '.join(sorted(named))}"
        yield Doubt("accession", name, OTHER_ACCESSION)
    planned = {claim.day for claim in claims if claim.day}
    if _apart(films.days, planned, margin):
        yield Doubt("date", f"date {_days(films.days)} orders {_days(planned)}", OTHER_DATE)


def _archived_otherwise(films: Films, known: Sequence[Identifier], archived: Sequence[Archived]) -> Iterator[Doubt]:
    """A PACS may have a study twice, before it was corrected and after: one that agrees is enough."""
    same = [one for one in archived if one.study == films.study]
    beside = [one for one in archived if one.study != films.study and one.accession in films.accessions]
    for found, sentence, what in ((same, ARCHIVED_PATIENT, "study"), (beside, ARCHIVED_ORDER, "order")):
        if found and not any(_may_be_any(known, one.person.identifiers) for one in found):
            identifiers = sorted({number for one in found for number in one.person.identifiers}, key=_order)
            yield Doubt("patient", f"archive {what} {_named(identifiers)} films {_named(known)}", sentence)
    numbers = {one.accession for one in same if one.accession}
    if films.accessions and numbers and not numbers & films.accessions:
        name = f"accession {' '.join(sorted(films.accessions))} archive {' '.join(sorted(numbers))}"
        yield Doubt("accession", name, ARCHIVED_ACCESSION)
    kept = {one.day for one in same if one.day}
    if _apart(films.days, kept, _MIDNIGHT):
        yield Doubt("date", f"date {_days(films.days)} archive {_days(kept)}", ARCHIVED_DATE)


def _may_be_any(known: Sequence[Identifier], claimed: Sequence[Identifier]) -> bool:
    """Whether something may be of a patient that the films name; nothing speaks against what either does not say."""
    return not known or any(_may_be(one, claimed) for one in known)


def _may_be(known: Identifier, claimed: Sequence[Identifier]) -> bool:
    """Whether an order may be of a patient. Numbers that different authorities gave cannot be compared."""
    comparable = [
        one for one in claimed if not one.authority or not known.authority or one.authority == known.authority
    ]
    return not comparable or any(one.value == known.value for one in comparable)


def _apart(days: Collection[date], others: Collection[date], margin: timedelta) -> bool:
    """Whether none of some days is near any of the others."""
    return bool(days and others) and all(abs(day - other) > margin for day in days for other in others)


def _order(identifier: Identifier) -> tuple[str, str]:
    return identifier.value, identifier.authority


def _named(identifiers: Sequence[Identifier]) -> str:
    return " ".join(f"{one.value}@{one.authority}" for one in identifiers)


def _days(days: Collection[date]) -> str:
    return " ".join(f"{day:%Y%m%d}" for day in sorted(days))
