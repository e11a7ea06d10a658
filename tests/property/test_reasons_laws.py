"""Whatever the node says of a film, a study or a delivery can be said in every language, with nothing left out."""

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cxr_node
from cxr_node.domain import correction, eligibility, quality
from cxr_node.domain.eligibility import FOR_PROCESSING, PROJECTION_CLASSES, SECONDARY_CAPTURE, Refusal, Rules
from cxr_node.domain.instance import Header
from cxr_node.domain.quality import Limits, Reading
from cxr_node.domain.step import _MEANINGS, Reason
from cxr_node.domain.study import assess
from cxr_node.locale import said
from cxr_node.message import Message
from tests.bench import JUDGING

PACKAGE = Path(cxr_node.__file__).parent
FAILURES = {"Ineligible", "Permanent", "Transient", "NoContext", "Refusal"}
WHAT_JOBS_RUN = ("imaging", "dimse", "documents", "hl7", "stages")
ANSWERS_TO_SENDERS = ("stages/receive.py", "dimse/admission.py", "hl7/server.py")
"""These go over the network and into the log, in English."""
COMMANDS = ("estimate.py", "figures.py")
"""What is said at the command line alone, in English."""

texts = st.text(st.characters(codec="utf-8"), max_size=12)
HEADERS = st.builds(
    Header,
    sop_class_uid=st.sampled_from([*PROJECTION_CLASSES, FOR_PROCESSING, SECONDARY_CAPTURE, "1.2.3"]),
    sop_instance_uid=st.just("1.2.3"),
    study_instance_uid=st.just("1.2.4"),
    series_instance_uid=st.just("1.2.5"),
    modality=st.none() | st.just("DX") | texts,
    image_type=st.sampled_from([(), ("ORIGINAL", "PRIMARY"), ("DERIVED", "SECONDARY")]),
    presentation_intent=st.sampled_from([None, "FOR PRESENTATION", "FOR PROCESSING"]),
    body_part=st.none() | st.just("CHEST") | texts,
    anatomic_region=st.none() | st.just("816094009") | texts,
    view_position=st.sampled_from([None, "PA", "LL", "AP LATERAL"]) | texts,
    view_code=st.none() | st.just("399348003") | texts,
    patient_orientation=st.sampled_from([(), ("A", "F"), ("L", "F")]),
    laterality=st.sampled_from([None, "U", "L"]) | texts,
    descriptions=st.sampled_from([{}, {"Series Description (0008,103E)": "Chest lateral"}]),
    species=st.none() | texts,
    age_years=st.none() | st.floats(0, 120),
    rows=st.none() | st.integers(0, 20_000),
    columns=st.none() | st.integers(0, 20_000),
)
RULES = st.builds(
    Rules,
    age=st.none() | st.tuples(st.floats(0, 18), st.floats(18, 120)),
    secondary_capture=st.booleans(),
    accept_unknown_body_part=st.booleans(),
    accept_unknown_view=st.booleans(),
    accept_unknown_age=st.booleans(),
)
SHARES = st.floats(0, 1)
READINGS = st.builds(
    Reading,
    views=st.fixed_dictionaries(dict.fromkeys(("frontal", "lateral", "other", "blank"), SHARES)),  # type: ignore[arg-type]
    turns=st.fixed_dictionaries(dict.fromkeys((0, 90, 180, 270), SHARES)),  # type: ignore[arg-type]
    inverted=SHARES,
    cropped=SHARES,
    distance=SHARES,
)


def require_said(reason: str) -> None:
    """It is a message; in Spanish it is another text, in which all that it was given still stands."""
    assert isinstance(reason, Message)
    spanish = said(reason, "es")
    assert spanish != reason
    for value in reason.values.values():
        if isinstance(value, Message):
            require_said(value)
        elif isinstance(value, str):
            assert value in spanish or repr(value) in spanish


@given(HEADERS, RULES)
def test_whatever_the_header_says_its_refusal_is_said_in_both_languages(header: Header, rules: Rules) -> None:
    refusal = eligibility.judge(header, rules)
    if refusal is not None:
        require_said(refusal.reason)


@given(READINGS, READINGS)
def test_whatever_the_gate_reads_its_refusal_is_said_in_both_languages(one: Reading, other: Reading) -> None:
    limits = Limits(lateral=0.5, no_chest=0.5, frontal=0.5, inverted=0.5, turned=0.5, cropped=0.5, distance=0.5)
    found = quality.assess(lambda inverted: other if inverted else one, limits)
    if isinstance(found, Refusal):
        require_said(found.reason)


@pytest.mark.parametrize("code", [*_MEANINGS, "unknown"])
def test_whatever_stopped_an_x_ray_machine_is_said_in_both_languages(code: str) -> None:
    require_said(Reason(code, "DCM").sentence)


CORRECTIONS = (
    correction.DISOWNED, correction.CANCELLED, correction.MIXED, correction.LATE,
    *(one.sentence for one in correction.Rejection),
)  # fmt: skip


def test_what_befell_a_study_is_said_in_both_languages() -> None:
    for reason in (assess([], JUDGING.cutoffs).reason, *CORRECTIONS):
        assert reason is not None
        require_said(reason)


def calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node


def sources() -> list[Path]:
    found = [path for folder in WHAT_JOBS_RUN for path in sorted((PACKAGE / folder).glob("*.py"))]
    more = [PACKAGE / name for name in ("domain/eligibility.py", "domain/quality.py", "spool.py", "worker.py")]
    left_out = {PACKAGE / name for name in ANSWERS_TO_SENDERS}
    return [path for path in [*found, *more] if path not in left_out]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_job_ends_with_a_sentence_that_is_english_only(path: Path) -> None:
    bare = [
        call.lineno
        for call in calls(path)
        if isinstance(call.func, ast.Name) and call.func.id in FAILURES and len(call.args) > 1
        if isinstance(call.args[1], ast.Constant | ast.JoinedStr)
    ]
    assert bare == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "inference").glob("*.py")), ids=lambda path: path.name)
def test_no_model_is_refused_with_a_sentence_that_is_english_only(path: Path) -> None:
    bare = [
        call.lineno
        for call in calls(path)
        if isinstance(call.func, ast.Name)
        and call.func.id in ("ConfigError", "Permanent")
        and path.name not in COMMANDS
        if isinstance(call.args[-1], ast.Constant | ast.JoinedStr)
    ]
    assert bare == []


def messages() -> dict[str, set[str]]:
    """Every text of a message in the source, with the values that it is given."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for call in calls(path):
            made = isinstance(call.func, ast.Name) and call.func.id == "Message" and call.args
            if made and isinstance(text := call.args[0], ast.Constant):
                found.setdefault(str(text.value), set()).update(str(each.arg) for each in call.keywords)
    return found


MESSAGES = messages()


@pytest.mark.parametrize("text", MESSAGES)
def test_every_place_of_a_message_is_filled_in_both_languages(text: str) -> None:
    places = {name: form for _, name, form, _ in string.Formatter().parse(text) if name is not None}
    assert set(places) == MESSAGES[text]
    values = {name: 7 if form else f"<{name}>" for name, form in places.items()}
    spanish = said(Message(text, **values), "es")
    assert spanish != text or text == "{one}; {other}"
    for value in values.values():
        assert str(value) in spanish
