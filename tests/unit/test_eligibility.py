"""Which films the model may judge: each rule, what it says, and what it makes of what is unknown."""

from typing import Any

import pytest

from cxr_node.domain.eligibility import FOR_PROCESSING, SECONDARY_CAPTURE, Rules, judge
from tests.bench import header

ANY = Rules()
STRICT = Rules(
    age=(18, 120), accept_unknown_body_part=False, accept_unknown_view=False, accept_unknown_age=False,
    secondary_capture=False,
)  # fmt: skip


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"modality": "CR", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1"},
        {"sop_class_uid": SECONDARY_CAPTURE},
        {"image_type": ("DERIVED", "PRIMARY", "POST_PROCESSED")},
        {"image_type": ("DERIVED",)},
        {"image_type": ()},
        {"presentation_intent": "FOR PRESENTATION"},
        {"view_position": None, "descriptions": {"Protocol Name (0018,1030)": "CHEST PA AND LATERAL"}},
        {"view_position": None, "descriptions": {"Protocol Name (0018,1030)": "Thorax 2 Ebenen p.a. / AP seitlich"}},
        {"body_part": "THORAX"},
        {"body_part": "CHEST PA"},
        {"body_part": "chest_1"},
        {"body_part": None, "anatomic_region": "816094009"},
        {"body_part": None, "anatomic_region": "T-D3000"},
        {"view_position": "AP"},
        {"view_position": "AP SUPINE"},
        {"view_position": "Postero-Anterior"},
        {"view_position": "antero posterior"},
        {"view_position": None, "view_code": "272479007"},
        {"view_position": None, "view_code": "R-10206"},
        {"view_position": None, "patient_orientation": ("L", "F")},
        {"view_position": None, "descriptions": {"Series Description": "LL hemithorax"}},
        {"view_position": None, "descriptions": {"Series Description": "Collateral check"}},
        {"laterality": "U"},
        {"laterality": "b"},
        {"species": "337915000"},
        {"species": "HOMO SAPIENS"},
        {"rows": 200, "columns": 3000},
    ],
)
def test_an_ordinary_chest_film_is_judged(facts: dict[str, Any]) -> None:
    assert judge(header(**facts), ANY) is None


@pytest.mark.parametrize(
    ("facts", "code", "said"),
    [
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.2"}, "SOP_CLASS", "(0008,0016) is 1.2.840.10008.5.1.4.1.1.2"),
        ({"modality": "CT"}, "MODALITY", "Modality (0008,0060) is 'CT', not one of CR, DX"),
        ({"modality": None}, "MODALITY", "Modality (0008,0060) is absent"),
        ({"image_type": ("ORIGINAL", "SECONDARY")}, "SECONDARY", "Image Type (0008,0008) value 2 is SECONDARY"),
        ({"image_type": ("DERIVED", "secondary")}, "SECONDARY", "Image Type (0008,0008)"),
        ({"presentation_intent": "FOR PROCESSING"}, "FOR_PROCESSING", "Presentation Intent Type (0008,0068)"),
        (
            {"sop_class_uid": FOR_PROCESSING},
            "FOR_PROCESSING",
            "SOP Class UID (0008,0016) is 1.2.840.10008.5.1.4.1.1.1.1.1",
        ),
        ({"species": "CANINE"}, "SPECIES", "Patient Species (0010,2201) is 'CANINE'"),
        ({"body_part": "LEG"}, "BODY_PART", "Body Part Examined (0018,0015) is 'LEG', not one of BRUST, CHEST, LUNG"),
        ({"body_part": "CHESTABDOMEN"}, "BODY_PART", "(0018,0015) is 'CHESTABDOMEN'"),
        ({"body_part": "LEG", "anatomic_region": "816094009"}, "BODY_PART", "is 'LEG'"),
        ({"body_part": None, "anatomic_region": "30021000"}, "BODY_PART", "(0008,2218) has code '30021000'"),
        ({"view_position": "LL"}, "VIEW", "View Position (0018,5101) is 'LL', not one of AP, PA"),
        ({"view_position": "LATERAL"}, "VIEW", "is 'LATERAL'"),
        ({"view_position": "PA LATERAL"}, "VIEW", "is 'PA LATERAL', which names a lateral view too"),
        ({"view_position": "LATERAL PA"}, "VIEW", "is 'LATERAL PA'"),
        ({"view_position": "AP/LL"}, "VIEW", "is 'AP/LL'"),
        (
            {"view_position": None, "descriptions": {"Protocol Name": "PA AND LATERAL", "Series Description": "LAT"}},
            "VIEW",
            "Series Description is 'LAT'",
        ),
        ({"view_position": "LLD"}, "VIEW", "is 'LLD'"),
        ({"view_position": None, "view_code": "399173006"}, "VIEW", "View Code Sequence (0054,0220) has code '3991"),
        ({"view_position": None, "patient_orientation": ("A", "F")}, "VIEW", r"Orientation (0020,0020) is 'A\F'"),
        ({"view_position": None, "patient_orientation": ("PH", "F")}, "VIEW", r"is 'PH\F'"),
        (
            {"view_position": None, "descriptions": {"Series Description (0008,103E)": "CANINE LATERAL THORAX"}},
            "VIEW",
            "no view is coded, and Series Description (0008,103E) is 'CANINE LATERAL THORAX'",
        ),
        ({"view_position": None, "descriptions": {"Protocol Name": "thorax lat."}}, "VIEW", "'thorax lat.'"),
        ({"laterality": "R"}, "LATERALITY", "(0020,0060 or 0020,0062) is 'R'"),
        ({"rows": 169, "columns": 211}, "TOO_FEW_PIXELS", "(0028,0010 x 0028,0011) is 169 x 211"),
        ({"rows": 1, "columns": 1}, "TOO_FEW_PIXELS", "the shorter side needs at least 200"),
        ({"rows": 20000, "columns": 20000}, "TOO_MANY_PIXELS", "is 20000 x 20000; at most 100000000 pixels"),
        ({"rows": None}, "NO_SIZE", "Rows (0028,0010) or Columns (0028,0011)"),
    ],
)
def test_a_refusal_names_the_attribute_and_its_value(facts: dict[str, Any], code: str, said: str) -> None:
    refusal = judge(header(**facts), ANY)
    assert refusal is not None
    assert refusal.code == code
    assert said in refusal.reason


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"body_part": None}, "BODY_PART_UNKNOWN"),
        ({"view_position": None}, "VIEW_UNKNOWN"),
        ({"age_years": None}, "AGE_UNKNOWN"),
        ({"sop_class_uid": SECONDARY_CAPTURE}, "SOP_CLASS"),
    ],
)
def test_a_site_may_refuse_what_another_accepts(facts: dict[str, Any], code: str) -> None:
    film = header(**({"age_years": 40.0} | facts))
    assert judge(film, ANY) is None
    refusal = judge(film, STRICT)
    assert refusal is not None
    assert refusal.code == code


@pytest.mark.parametrize(("years", "refused"), [(17.9, True), (18.0, False), (120.0, False), (120.1, True)])
def test_the_age_limits_are_inclusive(years: float, refused: bool) -> None:
    refusal = judge(header(age_years=years), STRICT)
    assert (refusal is not None) is refused
    if refusal:
        assert refusal.code == "AGE"
        assert "Patient's Age (0010,1010) is outside the 18 to 120 years" in refusal.reason


def test_without_an_age_rule_no_age_is_refused() -> None:
    assert judge(header(age_years=3.0), ANY) is None


@pytest.mark.parametrize(("configured", "said"), [("TORAX", "Tórax"), ("TÓRAX", "Tórax AP"), ("TÓRAX", "TORAX")])
def test_accents_do_not_tell_body_parts_apart(configured: str, said: str) -> None:
    assert judge(header(body_part=said), Rules(body_parts=frozenset({configured}))) is None


def test_a_configured_body_part_of_two_words_needs_both() -> None:
    rules = Rules(body_parts=frozenset({"CHEST PA"}))
    assert judge(header(body_part="CHEST_PA"), rules) is None
    assert judge(header(body_part="CHEST"), rules) is not None
    assert judge(header(body_part="PA"), rules) is not None


def test_a_body_part_without_latin_letters_is_compared_as_it_stands() -> None:
    rules = Rules(body_parts=frozenset({"胸部"}))
    assert judge(header(body_part="胸部"), rules) is None
    assert judge(header(body_part="LEG"), rules) is not None


def test_a_site_may_read_laterals() -> None:
    assert judge(header(view_position="LL"), Rules(views=frozenset({"PA", "LL"}))) is None


def test_the_first_rule_that_refuses_speaks() -> None:
    refusal = judge(header(modality="CT", body_part="LEG", rows=1), ANY)
    assert refusal is not None
    assert refusal.code == "MODALITY"
