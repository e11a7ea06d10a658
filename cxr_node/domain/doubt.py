"""Contradictions about whose a study is: between its films, and between them and what the RIS has ordered. Pure rules.

No sentence here names anybody: it stands in the log, too.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from cxr_node.domain.patient import Identifier
from cxr_node.message import Message

About = Literal["patient", "accession"]

FILMS_DIFFER: Final = Message("its films name more than one patient: Patient ID (0010,0020) differs")
OTHER_PATIENT: Final = Message("the RIS has ordered it for another patient than its films name")
OTHER_ACCESSION: Final = Message("the RIS knows the study under another accession number than its films name")


@dataclass(frozen=True, slots=True)
class Claim:
    """The newest word of the RIS about one order: its accession number and patient, empty where it does not say.

    `by_uid`: it names the study by its UID; else by the accession number alone.
    """

    accession: str
    patients: tuple[Identifier, ...]
    by_uid: bool


@dataclass(frozen=True, slots=True)
class Doubt:
    """One contradiction: what it is about, by what name it can be released, a sentence."""

    about: About
    name: str
    sentence: str


def doubts(patients: Collection[Identifier], accession: str, claims: Sequence[Claim]) -> Iterator[Doubt]:
    """`patients`: those that the films name, as they are known now; `accession` likewise.

    Where a site has several orders in one study, one that names the films' accession number is enough.
    """
    known = sorted(patients, key=lambda one: (one.value, one.authority))
    if any(not one.meets(other) for one in known for other in known):
        yield Doubt("patient", f"films {_named(known)}", FILMS_DIFFER)
    for claim in claims:
        if known and not any(_may_be(one, claim.patients) for one in known):
            name = f"order {claim.accession} {_named(claim.patients)} films {_named(known)}"
            yield Doubt("patient", name, OTHER_PATIENT)
    named = {claim.accession for claim in claims if claim.by_uid and claim.accession}
    if accession and named and accession not in named:
        yield Doubt("accession", f"accession {accession} orders {' '.join(sorted(named))}", OTHER_ACCESSION)


def _may_be(known: Identifier, claimed: Sequence[Identifier]) -> bool:
    """Whether an order may be of a patient. Numbers that different authorities gave cannot be compared."""
    comparable = [
        one for one in claimed if not one.authority or not known.authority or one.authority == known.authority
    ]
    return not comparable or any(one.value == known.value for one in comparable)


def _named(identifiers: Sequence[Identifier]) -> str:
    return " ".join(f"{one.value}@{one.authority}" for one in identifiers)
