"""UIDs from content: the same for a retry, others for other content; and what a request refuses."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfoNotFoundError

import pytest

from cxr_node.documents import identity
from cxr_node.domain.finding import Cutoffs, ModelIdentity, Tier
from cxr_node.domain.quality import Flag
from tests.documents import MODEL, PROFILE, WHEN, analysis, header, report, source

SR = "1.2.840.10008.5.1.4.1.1.88.34"


def _uid(*arguments: object, **changes: object) -> str:
    return identity.document_uid(report(*arguments, **changes), "sr", SR)  # type: ignore[arg-type]


def test_other_content_has_another_uid() -> None:
    other_model = ModelIdentity(MODEL.name, "1.2.1", "6f" * 32)
    uids = [
        _uid(),
        _uid(source(header(2))),
        _uid(source(), source(header(2))),
        _uid(source(digest="0e" * 32)),
        _uid(source(analysis=analysis(0.9, model=other_model))),
        _uid(source(quality="limited")),
        _uid(source(quality="limited", flags=(Flag.CROPPED,))),
        _uid(source(probability=None), source(header(2))),
        _uid(source(probability=None, pending=True), source(header(2))),
        _uid(source(probability=0.9121)),
        _uid(source(analysis=analysis(0.912, explanation="gradcam"))),
        _uid(source(analysis=analysis(0.912, activation=((0.0, 1.0),)))),
        _uid(source(analysis=analysis(0.912, probabilities={"normal": 0.088, "pneumonia": 0.912}))),
        _uid(mode="triage"),
        _uid(language="es"),
        _uid(cutoffs=Cutoffs(0.5, 0.6, 0.9)),
        _uid(prevalence=0.1),
        _uid(triage_category={}),
        _uid(timezone=None),
        _uid(institution="Other"),
        _uid(node_version="0.2.0"),
        _uid(uid_root="1.2.3"),
        identity.document_uid(report(), "sc", SR),
        identity.document_uid(report(), "sr", SR + ".1"),
        identity.document_uid(report(), "sr", SR, source()),
    ]
    assert len(set(uids)) == len(uids)
    assert all(len(uid) <= 64 for uid in uids)


def test_what_is_only_shown_does_not_change_the_uid() -> None:
    first, second = source(), source(header(2), 0.1)
    assert _uid() == _uid(revision=2) == _uid(node_version="0.1.9")
    assert _uid(first, second) == _uid(second, first)


def test_a_revision_stays_in_its_series() -> None:
    series = {
        identity.series_uid(made, "sr", SR, "1.2.3")
        for made in (report(), report(source(header(2)), revision=2), report(language="es", mode="triage"))
    }
    assert len(series) == 1
    assert identity.series_uid(report(), "sc", SR, "1.2.3") not in series


def test_a_device_is_a_model_build_and_a_tracked_finding_outlives_it() -> None:
    other = replace(MODEL, digest="6f" * 32)
    assert identity.device_uid("2.25", MODEL) != identity.device_uid("2.25", other)
    assert identity.tracking_uid("2.25", MODEL, "1.2", "x") == identity.tracking_uid("2.25", other, "1.2", "x")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"triage_category": {Tier.HIGH: 1}}, ValueError),
        ({"prevalence": 1.5}, ValueError),
        ({"timezone": "Europe/Nowhere"}, ZoneInfoNotFoundError),
    ],
)
def test_a_profile_refuses(changes: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        replace(PROFILE, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [{"revision": 0}, {"analysed_at": datetime(2026, 3, 1)}])  # noqa: DTZ001
def test_a_report_refuses(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        report(**changes)


def test_a_report_needs_an_analysis() -> None:
    with pytest.raises(ValueError, match="at least one"):
        report(source(probability=None))


def test_times_are_those_of_the_site() -> None:
    assert report().local_time.isoformat() == "2026-03-01T09:20:00+01:00"
    assert report(timezone=None).local_time == WHEN
