"""Where a study stands, and when documents are due, judged from its images."""

import pytest

from cxr_node.domain.finding import Cutoffs, Tier
from cxr_node.domain.study import EntryState, Image, Revision, Standing, assess, revision_due

CUTOFFS = Cutoffs(threshold=0.3, medium=0.3, high=0.7)
PENDING = Image("d0", "1.0")
REFUSED = Image("d1", "1.1", refusal="a lateral view")
FAILED = Image("d2", "1.2", failure="does not decode")


def judged(probability: float, number: int = 3, finding: str = "pneumonia") -> Image:
    return Image(f"d{number}", f"1.{number}", probability=probability, finding=finding)


@pytest.mark.parametrize(
    ("images", "standing"),
    [
        ([], Standing(EntryState.NOT_ANALYSED, reason="its films were filed under another study")),
        ([PENDING], Standing(EntryState.WAITING)),
        ([REFUSED, PENDING], Standing(EntryState.WAITING)),
        ([REFUSED], Standing(EntryState.NOT_ANALYSED, reason="a lateral view")),
        ([FAILED], Standing(EntryState.NOT_ANALYSED, reason="does not decode")),
        ([REFUSED, FAILED], Standing(EntryState.NOT_ANALYSED, reason="does not decode")),
        ([judged(0.1)], Standing(EntryState.ANALYSED, probability=0.1)),
        ([judged(0.0)], Standing(EntryState.ANALYSED, probability=0.0)),
        ([judged(0.5)], Standing(EntryState.ANALYSED, Tier.MEDIUM, True, "pneumonia", 0.5)),
        ([judged(0.9), REFUSED, PENDING], Standing(EntryState.ANALYSED, Tier.HIGH, True, "pneumonia", 0.9)),
        ([judged(0.2), judged(0.8, 4, "viral")], Standing(EntryState.ANALYSED, Tier.HIGH, True, "viral", 0.8)),
    ],
)
def test_a_study_stands_where_its_most_severe_image_does(images: list[Image], standing: Standing) -> None:
    assert assess(images, CUTOFFS) == standing


@pytest.mark.parametrize("images", [[PENDING], [REFUSED], [judged(0.1)], [judged(0.5)]])
def test_a_tier_that_was_shown_is_not_lowered(images: list[Image]) -> None:
    assert assess(images, CUTOFFS, shown=Tier.HIGH).tier is Tier.HIGH


def test_a_tier_that_was_shown_is_raised() -> None:
    assert assess([judged(0.9)], CUTOFFS, shown=Tier.MEDIUM).tier is Tier.HIGH


def test_a_kept_tier_does_not_make_a_study_positive() -> None:
    standing = assess([judged(0.1)], CUTOFFS, shown=Tier.HIGH)
    assert not standing.positive
    assert standing.finding is None


@pytest.mark.parametrize("images", [[], [REFUSED], [FAILED], [PENDING]])
def test_no_documents_before_anything_is_judged(images: list[Image]) -> None:
    assert not revision_due(None, images, CUTOFFS)


def test_the_first_judgement_is_reported_whatever_it_says() -> None:
    assert revision_due(None, [judged(0.0), REFUSED], CUTOFFS)


@pytest.mark.parametrize(
    ("late", "due"),
    [
        (REFUSED, False),
        (FAILED, False),
        (judged(0.1, 9), False),
        (judged(0.69, 9), False),
        (judged(0.71, 9), True),
    ],
)
def test_a_late_image_is_reported_only_if_it_changes_the_conclusion(late: Image, due: bool) -> None:
    first = judged(0.5)
    previous = Revision(1, {first.sop_instance_uid: first.digest}, Tier.MEDIUM, positive=True)
    assert revision_due(previous, [first, late], CUTOFFS) is due


@pytest.mark.parametrize(("probability", "due"), [(0.1, False), (0.6, False), (0.71, True)])
def test_an_image_that_was_pending_is_reported_only_if_it_changes_the_conclusion(probability: float, due: bool) -> None:
    first, late = judged(0.5), judged(probability, 0)
    uids = {first.sop_instance_uid: first.digest, late.sop_instance_uid: late.digest}
    previous = Revision(1, uids, Tier.MEDIUM, positive=True, pending=frozenset({late.sop_instance_uid}))
    assert revision_due(previous, [first, late], CUTOFFS) is due


def test_a_late_image_that_makes_a_clear_study_positive_is_reported() -> None:
    first = judged(0.1)
    previous = Revision(1, {first.sop_instance_uid: first.digest}, Tier.NONE, positive=False)
    assert revision_due(previous, [first, judged(0.4, 9)], CUTOFFS)


def test_an_image_that_was_filed_under_another_study_since_it_was_reported_is_taken_out() -> None:
    stayed = judged(0.5)
    images = {stayed.sop_instance_uid: stayed.digest, "1.99": "d99"}
    previous = Revision(1, images, Tier.MEDIUM, positive=True)
    assert revision_due(previous, [stayed], CUTOFFS)
    assert not revision_due(previous, [], CUTOFFS)


def test_a_corrected_version_of_a_reported_image_is_always_reported() -> None:
    previous = Revision(1, {"1.3": "another digest"}, Tier.MEDIUM, positive=True)
    assert revision_due(previous, [judged(0.5)], CUTOFFS)
