"""The report in the forms that destinations take it in, and with more than one model."""

from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from cxr_node.documents import Form, Further, Lacking, Reference, StudyReport, build_report
from cxr_node.domain.finding import Cutoffs, ModelIdentity
from cxr_node.domain.report_class import REPORT_CLASSES, ReportClass, next_classes
from tests.documents import analysis, header, items, parse, report, source, value, values

OTHER = ModelIdentity("cxr-other", "3.0.0", "7a" * 32)
STRICT = Cutoffs(threshold=0.8, medium=0.8, high=0.9)
RUN_STATUS, COMMENT, CERTAINTY, REGION, GROUP, TRACKING = "111017", "121106", "111012", "111030", "125007", "112039"
MEASUREMENTS, EVALUATIONS = "126010", "C0034375"


def _further(probability: float, **known: Any) -> Further:
    return Further(analysis(probability, model=OTHER), STRICT, **known)


def _content(made: StudyReport, form: Form | None = None) -> Dataset:
    return parse(build_report(made, form or Form()))


def _algorithms(content: Dataset) -> list[str]:
    return [value(item) for group in items(content, GROUP) for item in items(group, "111001")]


def test_every_class_has_its_own_uid_and_says_which_it_is() -> None:
    made = [build_report(report(), Form(name)) for name in REPORT_CLASSES]
    assert [document.sop_class_uid for document in made] == list(REPORT_CLASSES.values())
    assert [parse(document).SOPClassUID for document in made] == list(REPORT_CLASSES.values())
    assert len({document.sop_instance_uid for document in made}) == len({d.series_instance_uid for d in made}) == 4


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        ("comprehensive_3d", ["comprehensive", "enhanced", "basic_text"]),
        ("enhanced", ["basic_text"]),
        ("basic_text", []),
    ],
)
def test_what_comes_after_a_class(name: ReportClass, rest: list[str]) -> None:
    assert list(next_classes(REPORT_CLASSES[name])) == rest
    assert list(next_classes("1.2.840.10008.5.1.4.1.1.7")) == []


@pytest.mark.parametrize(("language", "said"), [("en", "Image 1: Pneumonia"), ("es", "Imagen 1: Neumonía")])
def test_basic_text_has_sentences_and_neither_numbers_nor_coordinates(language: str, said: str) -> None:
    predecessor = Reference(REPORT_CLASSES["basic_text"], "1.2.3", "1.2.4")
    made = report(source(), source(header(2), 0.1), language=language, revision=2, predecessor=predecessor)
    content = _content(made, Form("basic_text"))
    kinds = {item.ValueType for item in _all(content)}
    assert kinds == {"CONTAINER", "CODE", "TEXT", "UIDREF", "IMAGE"}
    assert "ContentTemplateSequence" not in content
    finding, below = items(content, "121071")
    assert value(finding).startswith(said)
    assert "10.0 %" in value(below)
    assert "91.2 %" in value(finding)
    assert finding.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == header().SOPInstanceUID
    assert values(content, RUN_STATUS) == ["111242"]
    assert values(content, "260870009") == ["RID49481"]
    assert len(values(content, COMMENT)) == 2


def _all(content: Dataset) -> list[Dataset]:
    return [item for child in content.ContentSequence for item in (child, *_below(child))]


def _below(item: Dataset) -> list[Dataset]:
    return [each for child in item.get("ContentSequence", []) for each in (child, *_below(child))]


def test_basic_text_below_the_threshold_names_no_finding() -> None:
    content = _content(report(source(probability=0.12)), Form("basic_text"))
    assert value(items(content, "121071")[0]).startswith("Image 1: below threshold. Algorithm output for")
    assert values(content, RUN_STATUS) == ["111241"]


@pytest.mark.parametrize("changes", [{"mode": "triage"}, {}])
@pytest.mark.parametrize("probability", [0.9, 0.1])
def test_on_request_every_group_has_a_region_that_says_it_is_none(
    changes: dict[str, object], probability: float
) -> None:
    made = report(source(probability=probability), **changes)
    plain, content = build_report(made), _content(made, Form(whole_image=True))
    assert len(items(content, REGION)) == len(items(content, GROUP)) == 1
    assert content.SOPInstanceUID != plain.sop_instance_uid
    assert content.SeriesInstanceUID == plain.series_instance_uid
    localised = not changes and probability > 0.5
    (tracking,) = values(content, TRACKING)
    assert tracking.endswith("whole image, no localisation") is not localised
    if not localised:
        points = np.reshape(items(content, REGION)[0].GraphicData, (-1, 2))
        assert (points[0] == points[-1]).all()
        assert [points.min(axis=0).tolist(), points.max(axis=0).tolist()] == [[0, 0], [64, 80]]
        assert set(points[:, 0]) == {0, 64}, "the edge of the film, and nothing in it"
        assert points[:2, 0].tolist() == [0, 0], "where a viewer writes, to the right of it, there is the film"


def test_a_film_of_unknown_size_has_no_region_on_request_either() -> None:
    content = _content(report(source(header(Rows=None))), Form(whole_image=True))
    assert items(content, REGION) == []
    assert not values(content, TRACKING)[0].endswith("no localisation")


def test_several_models_have_a_group_each() -> None:
    content = _content(report(source(further=(_further(0.95),))))
    assert _algorithms(content) == ["cxr-pneumonia", "cxr-other"]
    assert values(content, CERTAINTY) == ["91.2", "95"]
    assert len(items(content, REGION)) == 2
    assert len(items(content, "121012")) == 2
    assert values(content, "260870009") == ["RID49481"]
    versions = [item.SoftwareVersions[1] for item in content.ContributingEquipmentSequence]
    assert versions == ["cxr-pneumonia 1.2.0", "cxr-other 3.0.0"]
    assert [item.DeviceUID for item in content.ContributingEquipmentSequence] == [
        item.UID for item in items(content, "121012")
    ]


def test_a_further_model_is_read_by_its_own_cutoffs_and_sets_no_tier() -> None:
    below = _content(report(source(further=(_further(0.7),))))
    assert _algorithms(below) == ["cxr-pneumonia", "cxr-other"]
    assert values(below, "121071") == ["233604007"]
    assert values(below, CERTAINTY) == ["91.2", "70"]
    assert values(below, COMMENT) == []
    alone = _content(report(source(probability=0.1, further=(_further(0.85),))))
    assert _algorithms(alone) == ["cxr-pneumonia", "cxr-other"]
    assert values(alone, "121071") == ["233604007"]
    assert values(alone, RUN_STATUS) == ["111242"]
    assert values(alone, "260870009") == []
    assert items(alone, REGION) == []
    neither = _content(report(source(probability=0.1, further=(_further(0.2),))))
    assert _algorithms(neither) == ["cxr-pneumonia", "cxr-other"]
    assert values(neither, RUN_STATUS) == ["111241"]


@pytest.mark.parametrize("form", [Form(whole_image=True), Form("basic_text")])
def test_a_form_without_outlines_says_of_each_model_what_it_gave_out(form: Form) -> None:
    content = _content(report(source(further=(_further(0.7),))), form)
    if form.whole_image:
        assert _algorithms(content) == ["cxr-pneumonia", "cxr-other"]
        assert len(items(content, REGION)) == 2
    else:
        assert [value(item).split(":")[0] for item in items(content, "121071")] == ["Image 1", "Image 1"]
        assert "cxr-other 3.0.0" in values(content, "121071")[1]
    assert values(content, COMMENT) == []


@pytest.mark.parametrize("language", ["en", "es"])
def test_groups_without_a_region_stand_apart_from_those_with_one(language: str) -> None:
    blank = analysis(0.6, activation=((0.0,),))
    sources = (source(header(1), 0.1, further=(_further(0.9),)), source(header(2), further=(_further(0.2),)))
    content = _content(report(*sources, source(header(3), analysis=blank), language=language))
    (measured,), (apart,) = items(content, MEASUREMENTS), items(content, EVALUATIONS)
    assert values(measured, CERTAINTY) == ["91.2", "90"]
    assert len(items(measured, GROUP)) == len(items(measured, REGION)) == 2
    assert values(apart, CERTAINTY) == ["60", "10", "20"]
    assert values(apart, "111001") == ["cxr-pneumonia", "cxr-pneumonia", "cxr-other"]
    assert len(set(values(content, TRACKING))) == len(items(content, "112040")) == 5
    assert values(apart, "121071") == ["233604007"], "found without a region; the others are below their threshold"
    assert items(apart, REGION) == items(apart, RUN_STATUS) == items(apart, COMMENT) == []
    assert (
        apart.ConceptNameCodeSequence[0].CodeMeaning
        == {
            "en": "Qualitative Evaluations",
            "es": "Evaluaciones cualitativas",
        }[language]
    )


@pytest.mark.parametrize("mode", ["full", "triage"])
def test_where_no_group_has_a_region_none_stands_apart(mode: str) -> None:
    first = source(probability=0.1 if mode == "full" else 0.9, further=(_further(0.9),))
    content = _content(report(first, source(header(2), 0.2), mode=mode))
    assert items(content, EVALUATIONS) == items(content, REGION) == []
    assert len(items(items(content, MEASUREMENTS)[0], GROUP)) == 3


def test_in_triage_each_model_has_its_group() -> None:
    content = _content(report(source(further=(_further(0.7),)), mode="triage"))
    assert _algorithms(content) == ["cxr-pneumonia", "cxr-other"]
    assert values(content, CERTAINTY) == ["91.2", "70"]


def test_a_further_model_is_called_probable_by_its_own_prevalence() -> None:
    content = _content(report(source(further=(_further(0.95, prevalence=0.2),))))
    assert values(content, CERTAINTY) == ["91.2"]
    assert values(content, "122157") == ["95", "66.5"]
    own, other = values(content, "111002")
    assert "high tier" in own
    assert "sets no priority; Calibrated for a prevalence of 20 %" in other


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "cxr-other 3.0.0 is a research model of restricted use: what it says is not for patient care"),
        ("es", "cxr-other 3.0.0 es un modelo de investigación de uso restringido: lo que dice no es para atender"),
    ],
)
@pytest.mark.parametrize("sr_class", ["comprehensive_3d", "basic_text"])
@pytest.mark.parametrize("probability", [0.95, 0.2])
def test_a_restricted_model_is_called_so(language: Any, said: str, sr_class: ReportClass, probability: float) -> None:
    made = report(source(further=(_further(probability, restricted=True),)), language=language)
    assert any(text.startswith(said) for text in values(_content(made, Form(sr_class)), COMMENT))
    plain = report(source(further=(_further(probability),)), language=language)
    assert not any(text.startswith(said) for text in values(_content(plain, Form(sr_class)), COMMENT))


def test_a_further_model_that_says_nothing_makes_the_run_a_partial_one() -> None:
    lacking = (Lacking("cxr-other 3.0.0", "it died"), Lacking("cxr-late 1.0.0"))
    content = _content(report(source(lacking=lacking)))
    assert values(content, RUN_STATUS) == ["111244"]
    assert values(content, COMMENT) == [
        "Image 1: not analysed by cxr-other 3.0.0: it died",
        "Image 1: analysis by cxr-late 1.0.0 not finished when this report was made",
    ]
    assert values(_content(report(source(probability=0.1, lacking=lacking))), RUN_STATUS) == ["111243"]


def test_what_a_further_model_says_or_does_not_say_is_in_the_uid() -> None:
    said = ((), (_further(0.7),), (_further(0.6),), (_further(0.6, restricted=True),), (_further(0.6, prevalence=0.1),))
    given = [report(source(further=further)) for further in said]
    given += [report(source(lacking=(Lacking("m", reason),))) for reason in (None, "one", "other")]
    given.append(report(restricted=True))
    assert len({build_report(each).sop_instance_uid for each in given}) == 9
