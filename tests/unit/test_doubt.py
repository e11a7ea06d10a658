"""What contradicts what about whose a study is, and what does not."""

from collections.abc import Sequence
from datetime import date, timedelta

import pytest

from cxr_node.domain.doubt import FILMS_DIFFER, OTHER_ACCESSION, OTHER_DATE, OTHER_PATIENT, Claim, Films, doubts
from cxr_node.domain.patient import Identifier

P1, P2, HERE = Identifier("P1"), Identifier("P2"), Identifier("P1", "HOSP")


MADE = date(2026, 3, 1)


def claim(*patients: Identifier, accession: str = "A1", by_uid: bool = False, day: date | None = None) -> Claim:
    return Claim(accession, patients, by_uid, day)


def sentences(patients: Sequence[Identifier], *claims: Claim, accession: str = "A1") -> list[str]:
    films = Films("1.2", set(patients), accession, frozenset({accession}) - {""}, frozenset({MADE}))
    return [one.sentence for one in doubts(films, claims, [], 30)]


@pytest.mark.parametrize(
    ("patients", "claims", "found"),
    [
        ([P1], [], []), ([P1, HERE], [], []), ([P1, P2], [], [FILMS_DIFFER]), ([], [claim(P2)], []),
        ([P1], [claim()], []), ([P1], [claim(P1)], []), ([P1], [claim(P2)], [OTHER_PATIENT]),
        ([P1], [claim(P2, P1)], []), ([P1], [claim(HERE)], []), ([HERE], [claim(Identifier("P1", "OTHER"))], []),
        ([HERE], [claim(Identifier("P9", "HOSP"))], [OTHER_PATIENT]),
        ([Identifier("P1", "OTHER")], [claim(Identifier("P9", "HOSP"))], []),
        ([P1], [claim(P1), claim(P2, accession="A2")], [OTHER_PATIENT]),
    ],
)  # fmt: skip
def test_patients(patients: Sequence[Identifier], claims: Sequence[Claim], found: list[str]) -> None:
    assert sentences(patients, *claims) == found


@pytest.mark.parametrize(
    ("claims", "found"),
    [
        ([claim(accession="A2")], []), ([claim(accession="A2", by_uid=True)], [OTHER_ACCESSION]),
        ([claim(accession="A2", by_uid=True), claim(by_uid=True)], []), ([claim(accession="", by_uid=True)], []),
    ],
)  # fmt: skip
def test_accession_numbers(claims: Sequence[Claim], found: list[str]) -> None:
    assert sentences([P1], *claims) == found
    assert sentences([P1], *claims, accession="") == []


def test_what_is_released_is_this_contradiction_and_no_other() -> None:
    one, other = (
        [d.name for d in doubts(Films("1.2", {P1}), [claim(Identifier(value))], [], 30)] for value in ("P2", "P3")
    )
    assert one != other


@pytest.mark.parametrize(
    ("days", "found"),
    [([], []), ([0], []), ([30], []), ([-30], []), ([31], [OTHER_DATE]), ([-31], [OTHER_DATE]), ([400, 3], [])],
)
def test_dates(days: Sequence[int], found: list[str]) -> None:
    claims = [claim(accession=f"A{after}", day=MADE + timedelta(days=after)) for after in days]
    assert sentences([P1], *claims, claim()) == found
    undated = Films("1.2", {P1})
    assert list(doubts(undated, claims, [], 30)) == []
