"""Whose a study is after all that admissions have said: pure rules over a film's identity and the changes of patients.

The newest word about a patient counts, by the time in its message, whenever it came. A merge holds for films that come
later under the old number, too.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

Identity = Mapping[str, str]
"""By DICOM keyword, what is to be said in the place of what the film says."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """An identifier, and who gave it where that is said."""

    value: str
    authority: str = ""

    def meets(self, other: "Identifier") -> bool:
        """Whether both may be the same: authorities count where both say theirs."""
        return self.value == other.value and (not self.authority or not other.authority or self == other)


@dataclass(frozen=True, slots=True)
class Person:
    """A patient as a message has them (PID): empty where it does not say. `name` as a DICOM PN (PS3.5 6.2)."""

    identifiers: tuple[Identifier, ...]
    name: str = ""
    birth_date: str = ""
    sex: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What a message says of a patient: how they are, and (`prior`) by which identifiers they were known before.

    `at`: when it was said, seconds since 1970 UTC; `number`: the order of receipt.
    """

    person: Person
    prior: tuple[Identifier, ...] = ()
    at: float = 0.0
    number: int = 0


@dataclass(frozen=True, slots=True)
class Whose:
    """What the films of a study say; empty where none does."""

    patient_id: str = ""
    issuer: str = ""
    name: str = ""
    birth_date: str = ""
    sex: str = ""
    accession: str = ""


def corrected(whose: Whose, changes: Collection[Change], accession: str = "") -> Identity:
    """What is known otherwise than the films say it; `accession`: what the RIS says in the place of theirs.

    What the films leave open is filled in only where the number or the name of the patient is another one: that a film
    lacks a birth date is no mistake.
    """
    ordered = sorted(changes, key=lambda one: (one.at, one.number), reverse=True)
    known = _merged(Identifier(whose.patient_id, whose.issuer), ordered) if whose.patient_id else None
    found: dict[str, str] = {}
    if known is not None:
        if known.value != whose.patient_id:
            found["PatientID"] = known.value
        if whose.issuer and known.authority not in ("", whose.issuer):
            found["IssuerOfPatientID"] = known.authority
        found |= _described(whose, known, ordered, moved=bool(found))
    if accession and accession != whose.accession:
        found["AccessionNumber"] = accession
    return found


def _merged(known: Identifier, newest_first: Sequence[Change]) -> Identifier:
    """The identifier that the patient has now; of a circle of merges the newest word counts."""
    seen = {known}
    while True:
        merge = next((one for one in newest_first if one.prior and _meets(known, one.prior)), None)
        if merge is None or not merge.person.identifiers:
            return known
        again = _of_authority(merge.person.identifiers, known.authority)
        if again in seen:
            return known
        seen.add(again)
        known = again


def _of_authority(identifiers: Sequence[Identifier], authority: str) -> Identifier:
    """Of the identifiers of a patient the one that the same authority gave; else the first."""
    return next((one for one in identifiers if authority and one.authority == authority), identifiers[0])


def _described(whose: Whose, known: Identifier, newest_first: Sequence[Change], *, moved: bool) -> dict[str, str]:
    about = [one.person for one in newest_first if _meets(known, one.person.identifiers)]
    name = next((one.name for one in about if one.name), "")
    found = {"PatientName": name} if name and _plain(name) != _plain(whose.name) else {}
    fills = moved or bool(found)
    for keyword, said, stands in (
        ("PatientBirthDate", next((one.birth_date for one in about if one.birth_date), ""), whose.birth_date),
        ("PatientSex", next((one.sex for one in about if one.sex), ""), whose.sex),
    ):
        if said and said != stands and (stands or fills):
            found[keyword] = said
    return found


def _meets(known: Identifier, others: Sequence[Identifier]) -> bool:
    return any(known.meets(one) for one in others)


def _plain(name: str) -> tuple[str, ...]:
    """A name as it is compared: its first writing, whatever its case and its empty ends."""
    parts = [" ".join(part.split()).casefold() for part in name.split("=", maxsplit=1)[0].split("^")]
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)
