"""What stands beside report and heat map: the page, the presentation state, the segmentation, the key objects."""

import base64
import re
import zlib

import numpy as np
import pytest
from pydicom import Dataset

from cxr_node.documents import (
    Document,
    Reference,
    StudyReport,
    build_key_objects,
    build_pdf,
    build_presentation,
    build_segmentation,
)
from cxr_node.domain.quality import Flag
from tests.documents import COLUMNS, ROWS, analysis, computed, header, parse, report, source, values

GREY = np.tile(np.arange(COLUMNS, dtype=np.uint8), (ROWS, 1))
SR = Reference("1.2.840.10008.5.1.4.1.1.88.34", "1.2.3.1", "1.2.4.1")
SC = Reference("1.2.840.10008.5.1.4.1.1.7", "1.2.3.2", "1.2.4.2")


def _said(document: Document) -> str:
    """What is written on a page, and one mark for each picture."""
    content = parse(document).EncapsulatedDocument
    streams = re.findall(rb"ASCII85Decode /FlateDecode \].*?stream\r?\n(.*?)endstream", content, re.DOTALL)
    text = b""
    for stream in streams:
        found = zlib.decompress(base64.a85decode(b"<~" + stream.strip(), adobe=True))
        text += found if b" Tf " in found else b""
    return re.sub(r"\\(\d{3})", lambda octal: bytes([int(octal[1], 8)]).decode("cp1252"), text.decode("latin-1"))


def _pdf(made: StudyReport) -> Document:
    return build_pdf(made, made.sources[0], GREY)


def test_the_page_is_a_pdf_that_names_patient_result_and_use() -> None:
    document = _pdf(report(source(header(PatientName="Doe^Jane", PatientID="P-7", AccessionNumber="A-9")), revision=2))
    page, said = parse(document), _said(document)
    assert page.EncapsulatedDocument[:5] == b"%PDF-"
    assert page.EncapsulatedDocumentLength in (len(page.EncapsulatedDocument), len(page.EncapsulatedDocument) - 1)
    assert (page.Modality, page.MIMETypeOfEncapsulatedDocument, page.BurnedInAnnotation) == (
        "DOC",
        "application/pdf",
        "YES",
    )
    assert page.SourceInstanceSequence[0].ReferencedSOPInstanceUID == header().SOPInstanceUID
    for text in ("Doe Jane P-7", "A-9", "Pneumonia: certainty 91.2 %", "Rev 2", "Research use / prioritisation only"):
        assert text in said


def test_the_page_is_spanish_throughout() -> None:
    said = _said(_pdf(report(source(), source(header(2), None), language="es")))
    for text in ("Neumonía: certeza 91.2 %", "Imagen 2: sin analizar", "Lo que observó el modelo", "La radiografía"):
        assert text in said
    assert not {"Pneumonia", "Patient", "certainty"} & set(re.findall(r"\w+", said))


@pytest.mark.parametrize(
    ("made", "pictures"),
    [
        (report(), 2),
        (report(mode="triage"), 1),
        (report(source(probability=0.1)), 1),
        (report(source(analysis=analysis(0.9, activation=((0.0,),)))), 1),
    ],
    ids=["full", "triage", "negative", "blank map"],
)
def test_the_page_has_a_map_only_of_a_finding_and_never_in_triage(made: StudyReport, pictures: int) -> None:
    assert len(re.findall(r"\bDo\b", _said(_pdf(made)))) == pictures


def test_a_small_film_is_enlarged_so_that_the_outline_on_it_is_fine() -> None:
    assert GREY.shape[1] < 100
    content = parse(_pdf(report())).EncapsulatedDocument
    assert re.findall(rb"/Width (\d+)", content) == [b"720", b"720"]


def test_a_name_that_the_page_cannot_show_is_left_to_the_header() -> None:
    film = computed(SpecificCharacterSet="ISO_IR 192", PatientName="山田^太郎", PatientID="P-7")
    document = _pdf(report(source(film)))
    assert "Patient: P-7" in _said(document)
    assert str(parse(document).PatientName) == "山田^太郎"


def _baselines(said: str) -> list[float]:
    """How far above the lower edge of the page each line of text begins, in points, from the first to the last."""
    return [float(found) for found in re.findall(r"1 0 0 1 [\d.]+ ([\d.-]+) Tm", said)]


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("count", [1, 4, 14, 60])
def test_the_page_has_room_for_what_is_said_of_however_many_images(count: int, language: str) -> None:
    others = [source(header(number), 0.1, flags=(Flag.CROPPED, Flag.UNSURE)) for number in range(2, count + 2)]
    said = _said(_pdf(report(source(flags=(Flag.CROPPED,)), *others, language=language, revision=3)))
    *above, warning = _baselines(said)
    assert min(above) >= warning + 14
    assert ("Further remarks in the structured report: " in said) == (count > 4 and language == "en")
    if count <= 4:
        assert said.count("Rev 3") == 2, "in the details, and the last of the remarks"


def test_a_page_is_of_an_analysed_film() -> None:
    made = report(source(), source(header(2), None))
    with pytest.raises(ValueError, match="analysis"):
        build_pdf(made, made.sources[1], GREY)


def _presentation(film: Dataset, **changes: object) -> Dataset:
    made = report(source(film), **changes)
    document = build_presentation(made, made.sources[0])
    assert document
    return parse(document)


def test_the_outlines_lie_on_the_film_and_nothing_is_burned_in() -> None:
    state = _presentation(header())
    (annotation,) = state.GraphicAnnotationSequence
    (outline,) = annotation.GraphicObjectSequence
    assert (outline.GraphicType, outline.GraphicAnnotationUnits, outline.GraphicFilled) == ("POLYLINE", "PIXEL", "N")
    points = np.reshape(outline.GraphicData, (-1, 2))
    assert len(points) == outline.NumberOfGraphicPoints
    assert (points[0] == points[-1]).all()
    assert (points <= (COLUMNS, ROWS)).all() and points[:, 0].mean() > COLUMNS / 2
    assert annotation.TextObjectSequence[0].UnformattedTextValue.startswith("Pneumonia: certainty 91.2 %")
    assert state.ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID == (
        header().SOPInstanceUID
    )
    assert "PixelData" not in state


def test_a_presentation_state_repeats_the_films_own_window() -> None:
    film = header(
        WindowCenter="2048", WindowWidth="4096", VOILUTFunction="SIGMOID", RescaleSlope="2", RescaleIntercept="-1",
        VOILUTSequence=None,
    )  # fmt: skip
    state = _presentation(film)
    (voi,) = state.SoftcopyVOILUTSequence
    assert (voi.WindowCenter, voi.WindowWidth, voi.VOILUTFunction) == (2048, 4096, "SIGMOID")
    assert (state.RescaleSlope, state.RescaleIntercept) == (2, -1)
    assert state.PresentationLUTShape == "IDENTITY"


def test_a_presentation_state_repeats_the_films_own_tables() -> None:
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [256, 10, 12])
    table.add_new("LUTData", "US", [16 * each for each in range(256)])
    state = _presentation(
        header(VOILUTSequence=[table], ModalityLUTSequence=[table], PhotometricInterpretation="MONOCHROME1",
               PresentationLUTShape="INVERSE")
    )  # fmt: skip
    for copied in (state.ModalityLUTSequence[0], state.SoftcopyVOILUTSequence[0].VOILUTSequence[0]):
        assert list(copied.LUTDescriptor) == [256, 10, 12]
        assert list(np.frombuffer(copied.LUTData, "<u2")) == [16 * each for each in range(256)]
    assert state.PresentationLUTShape == "INVERSE"


@pytest.mark.parametrize("film", [header(), header(PresentationLUTShape="INVERSE")], ids=["normal", "inverse"])
def test_a_film_that_the_gate_set_right_is_shown_as_the_model_saw_it(film: Dataset) -> None:
    made = report(source(film, quality="limited", flags=(Flag.INVERTED, Flag.UNSURE)))
    document = build_presentation(made, made.sources[0])
    assert document
    state = parse(document)
    assert {state.PresentationLUTShape, _presentation(film).PresentationLUTShape} == {"IDENTITY", "INVERSE"}
    assert state.SoftcopyVOILUTSequence == _presentation(film).SoftcopyVOILUTSequence


def test_a_film_without_a_usable_window_leaves_it_to_the_viewer() -> None:
    film = header(WindowCenter=None, WindowWidth=None, VOILUTSequence=None, RescaleSlope=None)
    assert "SoftcopyVOILUTSequence" not in _presentation(film)


def test_the_segmentation_covers_what_is_outlined_and_says_that_it_is_no_lesion() -> None:
    made = report(language="es")
    document = build_segmentation(made, made.sources[0])
    assert document
    segmented = parse(document)
    mask = segmented.pixel_array
    assert mask.shape == (ROWS, COLUMNS)
    assert 0.01 < mask.mean() < 0.2
    assert mask[:, : COLUMNS // 2].sum() == 0
    (segment,) = segmented.SegmentSequence
    assert segment.SegmentLabel == "Lo que observó el modelo, no una lesión"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "130402"
    assert segmented.PatientName == header().PatientName
    assert segmented.InstanceNumber == 1


@pytest.mark.parametrize(
    "without",
    [
        source(probability=0.1),
        source(analysis=analysis(0.9, activation=((0.0,),))),
        source(header(Rows=None)),
    ],
    ids=["negative", "blank map", "no size"],
)
def test_without_a_region_there_is_nothing_to_outline(without: object) -> None:
    made = report(without)  # type: ignore[arg-type]
    assert build_presentation(made, made.sources[0]) is None
    assert build_segmentation(made, made.sources[0]) is None


def test_key_objects_select_films_and_documents() -> None:
    made = report(source(), source(header(2), 0.1), revision=3)
    selection = parse(build_key_objects(made, [SR, SC]))
    kinds = [item.ValueType for item in selection.ContentSequence if "ReferencedSOPSequence" in item]
    assert kinds == ["IMAGE", "IMAGE", "COMPOSITE", "IMAGE"]
    assert selection.ConceptNameCodeSequence[0].CodeValue == "113000"
    assert values(selection, "113012")[0].endswith("Rev 3")
    evidence = selection.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert sum(len(series.ReferencedSOPSequence) for series in evidence) == 4


def test_the_same_gives_the_same_bytes_and_something_else_another_uid() -> None:
    made, other = report(), report(source(probability=0.7))
    for build in (build_presentation, build_segmentation):
        first, again, changed = (build(each, each.sources[0]) for each in (made, made, other))
        assert first and again and changed
        assert first.content == again.content
        assert first.sop_instance_uid != changed.sop_instance_uid
    assert _pdf(made).content == _pdf(made).content
    assert build_key_objects(made, [SR]).sop_instance_uid != build_key_objects(made, [SR, SC]).sop_instance_uid


def test_nothing_of_the_patient_leaves_but_in_the_document(capfd: pytest.CaptureFixture[str]) -> None:
    private = "Geheimnis"
    film = header(
        PatientName=f"{private}^Ä", PatientID=private, PatientAge=private[:4], StudyTime=private,
        AccessionNumber=private * 3, StudyDescription=private * 9, PatientBirthDate=private[:8], PatientSex=private,
        SpecificCharacterSet="ISO_IR 100",
    )  # fmt: skip
    made = report(source(film))
    first = made.sources[0]
    documents = [_pdf(made), build_presentation(made, first), build_segmentation(made, first)]
    documents.append(build_key_objects(made, [SR]))
    for document in documents:
        assert document
        assert parse(document).PatientID == private
        assert private[:4] not in " ".join(document.notes)
    assert capfd.readouterr() == ("", "")
