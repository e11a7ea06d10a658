"""What is taken over from a film's header: text in any character set, and mistakes kept out."""

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

from cxr_node.documents import build_report
from cxr_node.documents.headers import image_facts, study_header
from cxr_node.documents.received import Received, decode, put
from tests.documents import header, parse, report, source

JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"
KOREAN = "Hong^Gildong=洪^吉洞=홍^길동"
CHINESE = "Wang^XiaoDong=王^小东"


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        (["", "ISO 2022 IR 87"], JAPANESE),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], KOREAN),
        ("GB18030", CHINESE),
        ("ISO_IR 192", "Müller^Zoë=王^小东"),
        ("ISO_IR 100", "Müller^Zoë"),
        ("ISO_IR 144", "Люкceмбypг"),
        ("ISO_IR 126", "Διονυσιος"),
    ],
)
def test_a_name_in_any_character_set_arrives_in_unicode(charset: str | list[str], name: str) -> None:
    film = header(SpecificCharacterSet=charset, PatientName=name)
    document = build_report(report(source(film)))
    content = parse(document)
    assert content.SpecificCharacterSet == "ISO_IR 192"
    assert str(content.PatientName) == name
    assert document.notes == ()


@pytest.mark.parametrize("declared", [None, "", "ISO_IR 999", "ISO_IR 192", ["", "ISO 2022 IR 87"]])
def test_a_name_that_does_not_fit_what_is_declared_is_read_all_the_same(declared: str | list[str] | None) -> None:
    film = header(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Zoë")
    del film.SpecificCharacterSet
    if declared is not None:
        put(film, "SpecificCharacterSet", declared)
    received = Received(film)
    assert str(study_header(received).PatientName) == "Müller^Zoë"
    assert [note.split(":")[0] for note in received.notes] == ["PatientName"]


def test_escapes_of_the_standard() -> None:
    """The examples of PS3.5 H.3.1 and I.2, and a backslash byte inside a Chinese character (J.3)."""
    japanese = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
    assert decode(japanese, ["", "ISO 2022 IR 87"]) == JAPANESE
    korean = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
    assert decode(korean, ["", "ISO 2022 IR 149"]) == KOREAN
    assert decode(b"\x8e\x5c", ["GB18030"]) == "嶾"


def test_a_header_that_was_read_before_gives_the_same_text() -> None:
    film = header(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Zoë", PatientOrientation=["L", "F"])
    assert film.PatientName
    assert film.PatientOrientation
    received = Received(film)
    assert received.text("PatientName") == "Müller^Zoë"
    assert received.values("PatientOrientation") == ["L", "F"]


@pytest.mark.parametrize(
    ("keyword", "given_value", "kept"),
    [
        ("StudyDate", "20260301", "20260301"),
        ("StudyDate", "2026-03-01", "20260301"),
        ("StudyDate", "0000-00-00", ""),
        ("StudyDate", "20260230", ""),
        ("StudyDate", "yesterday", ""),
        ("StudyTime", "0815", "0815"),
        ("StudyTime", "08:15:30.5", "081530.5"),
        ("StudyTime", "10:53:14.12345678", "105314.123456"),
        ("StudyTime", "25:00", ""),
        ("StudyID", "a very long study identifier", "a very long stud"),
        ("PatientAge", "062Y", "062Y"),
        ("PatientAge", "7M", "007M"),
        ("PatientAge", "62", None),
        ("StudyDescription", "x" * 80, "x" * 64),
    ],
)
def test_what_does_not_identify_is_mended_or_left_out(keyword: str, given_value: str, kept: str | None) -> None:
    received = Received(header(**{keyword: given_value}))
    assert study_header(received).get(keyword) == kept
    assert bool(received.notes) == (kept != given_value)


@pytest.mark.parametrize(
    "identity",
    [
        {"PatientID": "  0012 3"},
        {"PatientBirthDate": "1960.02.29"},
        {"PatientSex": "male"},
        {"AccessionNumber": "an accession number of 40 characters ..."},
        {"PatientName": "DOE JANE (nurse's daughter)"},
    ],
)
def test_identity_is_never_repaired(identity: dict[str, str]) -> None:
    received = Received(header(**identity))
    copied = study_header(received)
    for keyword, text in identity.items():
        assert str(copied[keyword].value) == text
    assert received.notes == []


def test_issuers_are_taken_over_with_all_that_is_in_them() -> None:
    qualifiers, facility = Dataset(), Dataset()
    facility.CodeValue, facility.CodingSchemeDesignator, facility.CodeMeaning = "H1", "99X", "Hôpital"
    qualifiers.UniversalEntityID, qualifiers.UniversalEntityIDType = "1.2.3", "ISO"
    qualifiers.AssigningFacilitySequence = [facility]
    film = header(SpecificCharacterSet="ISO_IR 100", IssuerOfPatientIDQualifiersSequence=[qualifiers])
    (copied,) = study_header(Received(film)).IssuerOfPatientIDQualifiersSequence
    assert copied.UniversalEntityID == "1.2.3"
    assert copied.AssigningFacilitySequence[0].CodeMeaning == "Hôpital"


def test_facts_of_the_image_that_are_malformed_are_not_known() -> None:
    wrong = header(
        PatientOrientation=["LEFT", "F"], ImagerPixelSpacing=["0.000", "0.1"], Rows=0, ViewPosition="oblique"
    )
    facts = image_facts(Received(wrong))
    assert (facts.orientation, facts.spacing, facts.rows) == (None, None, None)
    right = image_facts(Received(header(PatientOrientation=["L", "F"], ImagerPixelSpacing=["0.2", "0.1"])))
    assert (right.orientation, right.spacing, right.rows) == (("L", "F"), (0.2, 0.1), 80)


@pytest.mark.parametrize(
    ("syntax", "stated", "lossy", "methods"),
    [
        (JPEGBaseline8Bit, None, "01", ("ISO_10918_1",)),
        (JPEG2000Lossless, None, "", ()),
        (JPEG2000Lossless, "01", "01", ()),
    ],
)
def test_lossy_compression_is_known_from_the_transfer_syntax_too(
    syntax: str, stated: str | None, lossy: str, methods: tuple[str, ...]
) -> None:
    film = header(LossyImageCompression=stated)
    film.file_meta.TransferSyntaxUID = syntax
    facts = image_facts(Received(film))
    assert (facts.lossy, facts.lossy_methods) == (lossy, methods)


_ANY = st.text(st.characters(max_codepoint=255), max_size=70)
_BROKEN = [
    *("StudyDate", "StudyTime", "StudyID", "StudyDescription", "PatientAge", "PatientName", "PatientID", "Modality"),
    *("PatientOrientation", "ViewPosition", "ReferringPhysicianName", "BurnedInAnnotation"),
    *("LossyImageCompression", "LossyImageCompressionMethod"),
]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(_BROKEN, _ANY)))
def test_no_header_keeps_a_report_from_being_made(attributes: dict[str, Any]) -> None:
    film = header()
    for keyword, text in attributes.items():
        put(film, keyword, text)
    content = parse(build_report(report(source(film))))
    assert re.fullmatch(r"(\d{8})?", content.get_item("StudyDate").value.decode().strip())
    assert re.fullmatch(r"(\d{3}[DWMY])?", str(content.get("PatientAge", "")))
