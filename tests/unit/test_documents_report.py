"""The structured report: what it says for which result, whatever the header of the film."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset

from cxr_node.demo.dx import code
from cxr_node.documents import Form, Reference, build_report
from cxr_node.documents.codes import MEANINGS
from cxr_node.documents.received import put
from cxr_node.domain.finding import Cutoffs, Term, Terms, Tier
from cxr_node.domain.quality import Flag
from cxr_node.domain.report_class import ReportClass
from cxr_node.errors import Permanent
from cxr_node.locale import said as spoken
from cxr_node.locale import translated
from cxr_node.message import Message
from tests.documents import analysis, header, items, parse, report, source, value, values

FINDING, CERTAINTY, PROBABILITY, IMPRESSION, REGION = "121071", "111012", "122157", "111023", "111030"
RUN_STATUS, PRIORITY, QUALITY, COMMENT, TRACKING = "111017", "260870009", "111101", "121106", "112039"


def _content(*arguments: object, **changes: object) -> Dataset:
    return parse(build_report(report(*arguments, **changes)))  # type: ignore[arg-type]


def _templates(dataset: Dataset) -> list[str]:
    return [group.ContentTemplateSequence[0].TemplateIdentifier for group in items(dataset, "125007")]


@pytest.mark.parametrize(("probability", "said"), [(0.49999, "49.99"), (0.29, "29"), (0.999999, "99.99")])
def test_a_certainty_never_reads_as_if_it_had_reached_the_next_number(probability: float, said: str) -> None:
    assert values(_content(source(probability=probability)), CERTAINTY) == [said]


def test_a_finding_in_full_mode_is_a_region_on_the_film() -> None:
    content = _content()
    assert _templates(content) == ["1410"]
    assert values(content, FINDING) == ["233604007"]
    assert values(content, CERTAINTY) == ["91.2"]
    assert values(content, "130401") == ["130402"]
    (region,) = items(content, REGION)
    assert region.GraphicType == "POLYLINE"
    assert region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == header().SOPInstanceUID


def test_the_likelier_kind_has_its_own_certainty() -> None:
    (impression,) = items(_content(), IMPRESSION)
    assert value(impression) == "53084003"
    assert values(impression, "111013") == ["63.84"]


@pytest.mark.parametrize(("spoken", "finding"), [("en", "Opacity, of the model's own"), ("es", "Opacidad propia")])
def test_a_model_brings_the_codes_of_what_it_finds(spoken: str, finding: str) -> None:
    codes = {
        "own": Term("99001", "99SITE", {"en": "Opacity, of the model's own", "es": "Opacidad propia"}),
        "covid19": Term("840544004", "SCT", {"en": "Suspected COVID-19"}),
    }
    judged = analysis(
        0.9, finding="own", terms=Terms(("covid19", "other"), (), codes), probabilities={"covid19": 0.6, "other": 0.3}
    )
    content = _content(source(analysis=judged), language=spoken)
    assert values(content, FINDING) == ["99001"]
    assert items(content, FINDING)[0].ConceptCodeSequence[0].CodeMeaning == finding
    assert values(content, IMPRESSION) == ["840544004"]
    assert finding in values(content, TRACKING)[0]


@pytest.mark.parametrize(
    ("spoken", "said"), [("en", "Recalibrated at this site"), ("es", "Recalibrado en este centro")]
)
def test_a_sites_own_calibration_stands_in_the_parameters(spoken: str, said: str) -> None:
    released, recalibrated = (
        _content(source(analysis=analysis(0.9, calibration=digest)), language=spoken) for digest in ("", "ca" * 32)
    )
    assert f"; {said}, SHA-256 {'ca' * 32}; " in values(recalibrated, "111002")[0]
    assert said not in values(released, "111002")[0]
    assert released.SOPInstanceUID != recalibrated.SOPInstanceUID


def test_a_finding_that_does_not_divide_has_no_impression() -> None:
    assert items(_content(source(analysis=analysis(0.9, terms=Terms()))), IMPRESSION) == []


@pytest.mark.parametrize("changes", [{"mode": "triage"}, {"mode": "shadow"}])
def test_without_localisation_no_region_is_stated(changes: dict[str, object]) -> None:
    content = _content(**changes)
    assert _templates(content) == ["1501"]
    assert items(content, REGION) == []
    assert values(content, FINDING) == ["233604007"]


def test_a_blank_map_or_an_unknown_film_size_gives_no_region() -> None:
    blank = source(analysis=analysis(0.9, activation=((0.0, 0.0), (0.0, 0.0))))
    unsized = source(header(Rows=None))
    for each in (blank, unsized):
        assert _templates(_content(each)) == ["1501"]


def test_below_the_threshold_there_is_no_finding_but_the_output_as_a_measurement() -> None:
    content = _content(source(probability=0.12))
    assert values(content, RUN_STATUS) == ["111241"]
    assert values(content, CERTAINTY) == ["12"]
    assert items(content, FINDING) == items(content, IMPRESSION) == items(content, PRIORITY) == []
    assert "below threshold" in values(content, TRACKING)[0]


@pytest.mark.parametrize(
    ("probabilities", "status"),
    [((0.1, 0.2), "111241"), ((0.9, 0.2), "111242"), ((0.2, None), "111243"), ((None, 0.9), "111244")],
)
def test_run_status(probabilities: tuple[float | None, ...], status: str) -> None:
    sources = [source(header(number), probability) for number, probability in enumerate(probabilities, start=1)]
    assert values(_content(*sources), RUN_STATUS) == [status]


def test_of_several_images_the_most_severe_comes_first_and_all_are_accounted_for() -> None:
    sources = [source(header(number), probability) for number, probability in ((1, 0.6), (2, 0.9), (3, 0.1), (4, None))]
    content = _content(*sources)
    assert values(content, TRACKING) == [
        "Pneumonia, image 2",
        "Pneumonia, image 1",
        "Algorithm output for Pneumonia, below threshold, image 3",
    ]
    assert values(content, CERTAINTY) == ["90", "60", "10"]
    assert values(content, COMMENT) == [
        "Study: highest output 90.0 %, image 2; 3 images analysed",
        "Image 4: not analysed",
    ]
    library = items(content, "111028")[0]
    assert len(items(library, "260753009")) == 4
    evidence = content.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert sum(len(series.ReferencedSOPSequence) for series in evidence) == 4


@pytest.mark.parametrize(
    ("language", "comment"),
    [
        ("en", "Image 2: analysis not finished when this report was made"),
        ("es", "Imagen 2: análisis sin terminar al elaborar este informe"),
    ],
)
def test_an_image_that_was_still_being_analysed_is_said_so(language: str, comment: str) -> None:
    content = _content(source(probability=0.2), source(header(2), None, pending=True), language=language)
    assert values(content, RUN_STATUS) == ["111243"]
    assert values(content, COMMENT) == [comment]


@pytest.mark.parametrize(("probability", "category"), [(0.9, ["RID49481"]), (0.7, ["RID49482"]), (0.55, [])])
def test_triage_category_is_that_of_the_tier(probability: float, category: list[str]) -> None:
    cutoffs = Cutoffs(threshold=0.5, medium=0.6, high=0.85)
    content = _content(source(probability=probability), cutoffs=cutoffs)
    assert values(content, RUN_STATUS) == ["111242"]
    assert values(content, PRIORITY) == category


def test_a_tier_without_a_category_states_no_priority() -> None:
    assert items(_content(triage_category={Tier.MEDIUM: 3}), PRIORITY) == []


def test_a_site_that_states_its_prevalence_gets_probabilities() -> None:
    content = _content(prevalence=0.1)
    assert values(content, CERTAINTY) == []
    assert values(content, PROBABILITY) == ["91.2", "63.84"]
    assert "prevalence of 10 %" in values(content, "111002")[0]


def test_quality_is_stated_only_where_it_is_known() -> None:
    assert items(_content(), QUALITY) == []
    assert values(_content(source(quality="limited")), QUALITY) == ["RID13"]


def test_what_the_gate_flagged_is_a_comment_in_the_language_of_the_report() -> None:
    flagged = source(quality="limited", flags=tuple(Flag))
    english, spanish = values(_content(flagged), COMMENT), values(_content(flagged, language="es"), COMMENT)
    assert len(english) == len(spanish) == len(Flag)
    assert "Image 1: looks upside down; analysed as it is" in english
    assert "Imagen 1: parece girada 180 grados; analizada tal cual" in spanish


def test_procedure_is_the_studys_own_where_it_has_a_complete_code() -> None:
    own = code("399208008", "SCT", "Plain chest X-ray")
    assert values(_content(source(header(ProcedureCodeSequence=[own]))), "121058") == ["399208008"]
    incomplete = code("399208008", "", "Plain chest X-ray")
    assert values(_content(source(header(ProcedureCodeSequence=[incomplete]))), "121058") == ["43468-8"]


def test_revision_joins_the_series_and_cites_its_predecessor() -> None:
    first, second = (
        build_report(report()),
        _content(
            source(header(2)),
            revision=2,
            predecessor=Reference("1.2.840.10008.5.1.4.1.1.88.34", "1.2.3", "1.2.4"),
        ),
    )
    assert second.InstanceNumber == 2
    assert values(second, COMMENT) == ["Rev 2"]
    cited = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert cited.SeriesInstanceUID == "1.2.4"
    assert cited.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3"
    assert "PredecessorDocumentsSequence" not in parse(first)


def test_equipment_and_observer_are_the_model_build() -> None:
    content = _content()
    (contributor,) = content.ContributingEquipmentSequence
    (observer,) = items(content, "121012")
    assert contributor.DeviceUID == observer.UID
    assert contributor.SoftwareVersions == ["cxr_node 0.1.0", "cxr-pneumonia 1.2.0"]
    assert contributor.ContributionDateTime == "20260301092000+0100"
    assert (content.ContentDate, content.ContentTime, content.TimezoneOffsetFromUTC) == ("20260301", "092000", "+0100")
    assert (content.CompletionFlag, content.VerificationFlag, content.PreliminaryFlag) == (
        "COMPLETE",
        "UNVERIFIED",
        "PRELIMINARY",
    )


def _meanings(dataset: Dataset) -> Iterator[tuple[tuple[str, str], str]]:
    for element in dataset:
        for item in element.value if element.VR == "SQ" else ():
            if "CodeMeaning" in item:
                yield (item.CodeValue, item.CodingSchemeDesignator), item.CodeMeaning
            yield from _meanings(item)


@pytest.mark.parametrize("mode", ["full", "triage"])
def test_spanish_is_spanish_throughout(mode: str) -> None:
    own = code("LOCAL1", "99HOSP", "Thorax zwei Ebenen")
    film = header(ProcedureCodeSequence=[own], ViewPosition="LL")
    sources = [source(film, quality="diagnostic"), source(header(2), 0.1), source(header(3), None)]
    for each in (sources, sources[1:]):
        content = _content(*each, language="es", mode=mode)
        foreign = {key for key, meaning in _meanings(content) if translated(MEANINGS.get(key, ""), "es") != meaning}
        assert foreign <= {("LOCAL1", "99HOSP")}
        assert not any("image " in text.lower() for text in values(content, TRACKING) + values(content, COMMENT))


@pytest.mark.parametrize("form", ["comprehensive_3d", "basic_text"])
def test_why_an_image_was_not_analysed_is_said_in_the_language_of_the_report(form: ReportClass) -> None:
    why = Message("The pixels show a lateral view, not a frontal one (gate: {share:.2f}).", share=0.97)
    for language, told in (
        ("en", "Image 2: not analysed: The pixels show a lateral view, not a frontal one (gate: 0.97)."),
        ("es", f"Imagen 2: sin analizar: {spoken(why, 'es')}"),
    ):
        made = report(source(), source(header(2), None, failure=why), language=language)
        assert told in values(parse(build_report(made, Form(form))), COMMENT)
    uids = {build_report(report(source(), source(header(2), None, failure=each))).sop_instance_uid for each in "ab"}
    assert len(uids) == 2


def test_a_result_without_a_code_is_refused() -> None:
    for changes in ({"finding": "fracture"}, {"explanation": "guess"}):
        with pytest.raises(Permanent) as raised:
            build_report(report(source(analysis=analysis(0.9, **changes))))
        assert raised.value.code == "DOCUMENT_CODE"


def test_a_film_that_does_not_say_what_it_is_is_refused() -> None:
    with pytest.raises(Permanent) as raised:
        build_report(report(source(header(StudyInstanceUID=None))))
    assert raised.value.code == "DOCUMENT_SOURCE"
    assert "StudyInstanceUID" in raised.value.message


def test_identity_goes_over_as_it_came_and_mistakes_elsewhere_do_not() -> None:
    film = header(
        PatientName="Doe^Jane^^^",
        PatientID="00 12",
        PatientAge="62",
        StudyDate="1995.07.20",
        StudyTime="10:53:14",
        ImageType="ORIGINAL PRIMARY",
        PatientOrientation="L",
        ImagerPixelSpacing=["0.000", "0.000"],
        BurnedInAnnotation="YES",
    )
    document = build_report(report(source(film)))
    content = parse(document)
    assert (str(content.PatientName), content.PatientID) == ("Doe^Jane^^^", "00 12")
    assert (content.StudyDate, content.StudyTime) == ("19950720", "105314")
    assert "PatientAge" not in content
    assert {note.split(":")[0] for note in document.notes} == {
        "PatientAge",
        "StudyDate",
        "StudyTime",
        "ImagerPixelSpacing",
    }


def test_missing_attributes_become_empty() -> None:
    absent = dict.fromkeys(["PatientID", "PatientName", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"])
    content = _content(source(header(**absent)))
    for keyword in absent:
        assert keyword in content
        assert not content[keyword].value


def test_the_order_is_referenced_with_its_issuer() -> None:
    issuer, request = Dataset(), Dataset()
    issuer.UniversalEntityID, issuer.UniversalEntityIDType = "1.2.3.4", "ISO"
    request.AccessionNumber, request.RequestedProcedureID = "ACC9", "RP7"
    request.IssuerOfAccessionNumberSequence = [issuer]
    request.RequestedProcedureCodeSequence = [code("399208008", "SCT", "Plain chest X-ray")]
    film = header(
        RequestAttributesSequence=[request], IssuerOfPatientID="HOSP", PlacerOrderNumberImagingServiceRequest="P1"
    )
    content = _content(source(film))
    (order,) = content.ReferencedRequestSequence
    assert (order.AccessionNumber, order.RequestedProcedureID, order.StudyInstanceUID) == (
        "ACC9",
        "RP7",
        film.StudyInstanceUID,
    )
    assert order.PlacerOrderNumberImagingServiceRequest == "P1"
    assert order.IssuerOfAccessionNumberSequence[0].UniversalEntityID == "1.2.3.4"
    assert content.IssuerOfPatientID == "HOSP"
    assert values(content, "121058") == ["399208008"]


def test_what_is_no_uid_and_too_long_in_an_order_is_mended_and_its_numbers_are_not() -> None:
    request = Dataset()
    put(request, "StudyInstanceUID", "as ordered")
    put(request, "RequestedProcedureDescription", "Chest PA\\lateral " * 9)
    put(request, "ReasonForTheRequestedProcedure", "r" * 90)
    put(request, "RequestedProcedureID", "P" * 20)
    film = header(RequestAttributesSequence=[request])
    document = build_report(report(source(film)))
    (order,) = parse(document).ReferencedRequestSequence
    assert order.StudyInstanceUID == film.StudyInstanceUID
    assert order.RequestedProcedureDescription.startswith("Chest PA lateral Chest")
    assert max(map(len, (order.RequestedProcedureDescription, order.ReasonForTheRequestedProcedure))) == 64
    assert order.get_item("RequestedProcedureID").value == b"P" * 20
    assert {note.split(":")[0] for note in document.notes} == {
        "StudyInstanceUID", "RequestedProcedureDescription", "ReasonForTheRequestedProcedure",
    }  # fmt: skip


def test_uids_that_break_the_rules_are_referred_to_as_they_are() -> None:
    broken = {"StudyInstanceUID": "1.2.840.0113619.01", "SeriesInstanceUID": "1.2.03", "SOPInstanceUID": "1.2.04"}
    document = build_report(report(source(header(**broken))))
    assert document.study_instance_uid == broken["StudyInstanceUID"]
    assert b"1.2.04" in document.content


def test_nothing_of_the_patient_leaves_but_in_the_document(capfd: pytest.CaptureFixture[str]) -> None:
    private = "Geheimnis"
    film = header(
        PatientName=f"{private}^Ä", PatientID=private, PatientAge=private[:4], StudyTime=private,
        AccessionNumber=private * 3, StudyDescription=private * 9, PatientBirthDate=private[:8],
        SpecificCharacterSet="ISO_IR 100",
    )  # fmt: skip
    film.SpecificCharacterSet = "ISO_IR 192"
    document = build_report(report(source(film)))
    assert document.notes
    assert private[:4] not in " ".join(document.notes)
    assert capfd.readouterr() == ("", "")
    with pytest.raises(Permanent) as raised:
        build_report(report(source(header(PatientID=private, SeriesInstanceUID=None))))
    assert private not in str(raised.value)


_MAKE = """
import hashlib
from tests.documents import every_document
from tests.films import chest
for document in every_document(chest(1), language="es"):
    print(document.sop_instance_uid, hashlib.sha256(document.content).hexdigest())
"""


def test_the_same_request_gives_the_same_bytes_in_every_process() -> None:
    printed = set()
    for zone, seed in (("Asia/Tokyo", "1"), ("America/Lima", "2")):
        environment = os.environ | {"TZ": zone, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", _MAKE],
            env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
        )  # fmt: skip
        printed.add(done.stdout)
    assert len(printed) == 1
    assert len(printed.pop().splitlines()) == 10
