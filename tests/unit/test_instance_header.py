"""What the node knows of a film from its header, however the header was written."""

import warnings
from typing import Any

import pytest
from pydicom.dataelem import DataElement

from cxr_node.domain.instance import Header
from cxr_node.errors import Permanent
from cxr_node.imaging.instance import read_instance
from tests import films
from tests.bench import header


def read(**attributes: Any) -> Header:
    return read_instance(films.chest(1, **attributes))


def test_an_ordinary_film() -> None:
    known = read(AccessionNumber="A1", RequestedProcedurePriority="stat", ImageLaterality="U")
    assert known.modality == "DX"
    assert known.body_part == "CHEST"
    assert known.view_position == "PA"
    assert known.view_code == "272479007"
    assert known.laterality == "U"
    assert known.accession_number == "A1"
    assert known.requested_priority == "STAT"
    assert (known.rows, known.columns) == (films.ROWS, films.COLUMNS)


@pytest.mark.parametrize(
    ("attributes", "years"),
    [
        ({"PatientAge": "050Y"}, 50.0),
        ({"PatientAge": "018M"}, 1.5),
        ({"PatientAge": "052W"}, pytest.approx(1.0, abs=0.01)),
        ({"PatientAge": None, "PatientBirthDate": "19760301", "StudyDate": "20260301"}, pytest.approx(50, abs=0.01)),
        ({"PatientAge": "", "PatientBirthDate": "1976.03.01"}, pytest.approx(50, abs=0.01)),
        ({"PatientAge": None, "PatientBirthDate": ""}, None),
        ({"PatientAge": None, "PatientBirthDate": "20270101"}, None),
        ({"PatientAge": None, "PatientBirthDate": "18000101"}, None),
    ],
)
def test_age_is_read_or_counted_from_the_birth_date(attributes: dict[str, Any], years: float | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom remarks on values that no standard allows: these are the point
        assert read(**attributes).age_years == years


@pytest.mark.parametrize(
    ("keyword", "vr", "value", "fact"),
    [
        ("PatientAge", "AS", "50", "age_years"),
        ("PatientBirthDate", "DA", "19761399", "age_years"),
        ("Rows", "UN", b"\x01\x02\x03", "rows"),
        ("Rows", "US", 0, "rows"),
        ("PatientID", "OB", b"\xff\xfe", "patient_id"),
        ("ViewCodeSequence", "LO", "PA", "view_code"),
    ],
)
def test_a_malformed_attribute_is_unknown(keyword: str, vr: str, value: object, fact: str) -> None:
    film = films.chest(1, PatientAge=None, PatientBirthDate=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        film[keyword] = DataElement(keyword, vr, value)
        assert getattr(read_instance(film), fact) is None


def test_species_from_its_code_or_its_description() -> None:
    assert read(PatientSpeciesDescription="Canine").species == "CANINE"
    assert read().species is None


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_a_film_without_a_uid_cannot_be_filed(keyword: str) -> None:
    film = films.chest(1)
    delattr(film, keyword)
    with pytest.raises(Permanent) as refused:
        read_instance(film)
    assert refused.value.code == "UID_MISSING"
    assert keyword in refused.value.message


@pytest.mark.parametrize("uid", ["1.2.x", "1..2", "1." + "2" * 63, "a b"])
def test_a_uid_that_is_none_is_refused_without_repeating_it(uid: str) -> None:
    film = films.chest(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        film.StudyInstanceUID = uid
        with pytest.raises(Permanent) as refused:
            read_instance(film)
    assert refused.value.code == "UID_INVALID"
    assert uid not in refused.value.message


def test_a_uid_of_64_characters_is_taken() -> None:
    uid = "1.2." + "3" * 60
    assert read(StudyInstanceUID=uid).study_instance_uid == uid


def test_json_and_back_loses_nothing() -> None:
    known = header(descriptions={"Protocol Name": "Thorax"}, age_years=3.5, patient_orientation=("L", "F"))
    assert Header.from_json(known.to_json()) == known


def test_json_of_a_later_release_is_read_as_far_as_it_is_known() -> None:
    assert Header.from_json(header().to_json() | {"unheard_of": 1}) == header()
