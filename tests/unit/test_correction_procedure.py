"""An order that is for another procedure than the films say: when that is so, and where it then stands."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from cxr_node.domain.order import Procedure, procedure_now
from cxr_node.imaging.correction import with_identity
from cxr_node.imaging.request import requested
from cxr_node.store import identities
from tests import films
from tests.ris import message
from tests.unit.test_stages_orders import Desk

ONE, TWO = Procedure("XC1", "Chest one view", "99RIS"), Procedure("XC2", "Chest two views", "99RIS")
IDENTITY = {"RequestedProcedureCodeSequence": "XC2^Chest two views^99RIS"}


@pytest.mark.parametrize(
    ("films", "said", "now"),
    [
        ([], [], None), ([], [(ONE, False)], None), ([], [(ONE, True)], None), (["XC1"], [(ONE, True)], None),
        (["XC1"], [(TWO, True)], TWO), (["XC1"], [(TWO, False)], None), ([], [(ONE, False), (TWO, True)], TWO),
        (["XC2"], [(ONE, False), (TWO, True)], None), ([], [(ONE, False), (TWO, True), (TWO, True)], TWO),
        ([], [(ONE, False), (TWO, True), (ONE, True)], ONE), (["XC1"], [(TWO, True), (ONE, True)], None),
        (["XC1", "XC2"], [(TWO, True)], None),
    ],
)  # fmt: skip
def test_it_is_another_one_where_films_or_earlier_words_say_so(
    films: list[str], said: list[tuple[Procedure, bool]], now: Procedure | None
) -> None:
    assert procedure_now(films, said) == now


def ordered(*codes: str) -> list[Dataset]:
    """Request Attributes with a procedure in each item."""
    found = []
    for value in codes:
        code, item = Dataset(), Dataset()
        code.CodeValue, code.CodeMeaning, code.CodingSchemeDesignator = value, "Chest", "99RIS"
        item.RequestedProcedureCodeSequence, item.AccessionNumber = [code], "A1"
        found.append(item)
    return found


def test_every_request_and_the_study_name_it_and_the_film_stays() -> None:
    film = films.chest(RequestAttributesSequence=ordered("XC1", "XC1"))
    made = with_identity(film, IDENTITY)
    assert requested(made).procedure == TWO
    assert made.ProcedureCodeSequence[0].CodeValue == "XC2"
    assert [item.RequestedProcedureDescription for item in made.RequestAttributesSequence] == [TWO.meaning] * 2
    assert requested(film).procedure.value == "XC1"
    assert "ProcedureCodeSequence" not in film


def test_a_film_without_a_request_names_it_as_the_study_s() -> None:
    film = films.chest()
    assert requested(with_identity(film, IDENTITY)).procedure == TWO


def test_an_order_change_reaches_the_study_by_number_or_uid_and_a_change_of_priority_does_not(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    study = desk.film("A1", RequestAttributesSequence=ordered("XC1"))

    def told(number: str, code: str, priority: str = "R") -> dict[str, str]:
        obr = f"OBR|1|PL1||{code}{'|' * 14}A1"
        assert desk.say(message("ORM^O01", number, "ORC|XO|PL1", f"TQ1|1||||||||{priority}", obr)) == "AA"
        with desk.store.reading() as tx:
            return identities.stands(tx, study)

    assert told("1", "XC1^Chest one view^99RIS", "S") == {}
    assert told("2", "XC2^Chest two views^99RIS") == IDENTITY
    assert desk.last("study.identified")["attributes"] == ["RequestedProcedureCodeSequence"]
    assert told("3", "XC1^Chest one view^99RIS") == {}
