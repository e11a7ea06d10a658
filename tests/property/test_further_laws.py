"""Laws of reports by several models: nothing is left unsaid, and the model in service alone says how urgent it is."""

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from cxr_node.documents import Form, Further, Lacking, StudyReport, build_report
from cxr_node.domain.finding import Cutoffs, ModelIdentity
from cxr_node.domain.report_class import REPORT_CLASSES
from tests.documents import analysis, header, items, parse, report, source, values

GROUP, REGION, ALGORITHM, COMMENT, STATUS, PRIORITY = "125007", "111030", "111001", "121106", "111017", "260870009"
MEASUREMENTS, EVALUATIONS = "126010", "C0034375"
MODELS = [ModelIdentity(f"cxr-{name}", "1.0.0", name * 64) for name in "ab"]
READ = Cutoffs(threshold=0.8, medium=0.8, high=0.9)
SHARES = st.floats(0, 1)


@st.composite
def studies(draw: st.DrawFn) -> StudyReport:
    """Up to three images, each judged by each of two further models, or not."""
    sources = []
    for number in range(1, draw(st.integers(1, 3)) + 1):
        further, lacking = [], []
        for model in MODELS:
            share = draw(st.none() | SHARES)
            if share is None:
                lacking.append(Lacking(f"{model.name} {model.version}", draw(st.none() | st.just("it failed"))))
            else:
                said = analysis(share, model=model, activation=draw(st.sampled_from([((0.0,),), ((0.1, 1.0),)])))
                further.append(Further(said, READ, draw(st.none() | SHARES), restricted=draw(st.booleans())))
        one = source(header(number), draw(SHARES), further=tuple(further), lacking=tuple(lacking))
        sources.append(one)
    return report(
        *sources, mode=draw(st.sampled_from(["full", "triage"])), language=draw(st.sampled_from(["en", "es"]))
    )


def names(group: Dataset) -> set[str]:
    return set(values(group, ALGORITHM))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(studies(), st.booleans())
def test_what_each_model_says_of_each_image_has_one_group(made: StudyReport, whole_image: bool) -> None:
    content = parse(build_report(made, Form(whole_image=whole_image)))
    groups, comments = items(content, GROUP), values(content, COMMENT)
    assert names(groups[0]) == {"cxr-pneumonia"}
    for number, each in enumerate(made.sources, start=1):
        uid = str(each.header.SOPInstanceUID)
        for said in (each.analysis, *(one.analysis for one in each.further)):
            assert said
            assert len([group for group in groups if names(group) == {said.model.name} and uid in str(group)]) == 1
        for lack in each.lacking:
            assert any(text.split(":")[0][-2:] == f" {number}" and lack.model in text for text in comments)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(studies())
def test_regions_are_those_that_the_model_in_service_brings_and_stand_together(made: StudyReport) -> None:
    content = parse(build_report(made))
    found = any(made.profile.cutoffs.positive(one.probability) for one in made.analyses)
    localised = found and made.profile.mode == "full"
    measured = items(items(content, MEASUREMENTS)[0], GROUP)
    assert {bool(items(group, REGION)) for group in measured} == {localised}
    apart = [group for container in items(content, EVALUATIONS) for group in items(container, GROUP)]
    assert not any(items(group, REGION) for group in apart)
    assert localised or not apart


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(studies(), st.sampled_from(list(REPORT_CLASSES)))
def test_how_urgent_it_is_the_model_in_service_says(made: StudyReport, sr_class: str) -> None:
    alone = replace(made, sources=tuple(replace(each, further=(), lacking=()) for each in made.sources))
    form = Form(sr_class)  # type: ignore[arg-type]
    content, plain = parse(build_report(made, form)), parse(build_report(alone, form))
    assert values(content, PRIORITY) == values(plain, PRIORITY)
    partial = any(each.lacking for each in made.sources)
    assert (values(content, STATUS)[0] in ("111243", "111244")) == partial
    assert build_report(made, form).content == build_report(made, form).content
