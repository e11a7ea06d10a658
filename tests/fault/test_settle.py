"""When documents are made: once for films that come together, again only for a late film that matters."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset

from cxr_node.demo.phantom import Opacity
from tests.documents import values
from tests.films import chest, lateral
from tests.node import Node, wait_for

pytestmark = pytest.mark.fault

SETTLE_SECONDS, MAX_WAIT_SECONDS = 4, 8


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that waits four seconds for the next film, and eight at most. Every film counts as positive."""
    folder = tmp_path_factory.mktemp("patient")
    with Node(
        folder,
        study__settle_seconds=SETTLE_SECONDS,
        study__max_wait_seconds=MAX_WAIT_SECONDS,
        model__thresholds={"pneumonia": 0.0001},
    ) as node:
        yield node.analysing()


def same_study(film: FileDataset, other: FileDataset) -> FileDataset:
    """`other` as a further film of the study that `film` belongs to."""
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName", "AccessionNumber", "StudyID"):
        setattr(other, keyword, film[keyword].value)
    other.InstanceNumber = 2
    return other


def kinds(study: dict[str, Any]) -> Counter[tuple[str, int]]:
    return Counter((output["kind"], output["revision"]) for output in study.get("outputs", []))


ONE_OF_EACH = Counter({("sr", 1): 1, ("sc", 1): 1})


def pauses(study: dict[str, Any]) -> list[float]:
    """How many seconds passed between its films."""
    return [after - before for before, after in pairwise(moment(one) for one in study["instances"])]


def two_films(node: Node) -> dict[str, Any] | None:
    """A study whose second film was sent when the first was judged; None where that took the settle time, or longer."""
    film = chest()
    uid = film.StudyInstanceUID
    node.send(film)
    wait_for(lambda: node.study(uid)["results"], what="the worklist's first film")
    (entry,) = [one for one in node.worklist() if one["study_instance_uid"] == uid]
    assert entry["state"] == "analysed"
    node.send(same_study(film, lateral()))
    (study,) = node.wait_final(uid)
    return study if max(pauses(study)) < SETTLE_SECONDS else None


def test_films_that_come_within_the_settle_time_make_one_report(patient: Node) -> None:
    study = wait_for(lambda: two_films(patient), what="a machine that is quick enough")
    assert study is not None
    assert kinds(study) == ONE_OF_EACH
    (settled,) = [event for event in study["events"] if event["event"] == "study.settled"]
    assert settled["images"] == 2


def test_a_late_film_that_changes_nothing_is_an_event(patient: Node) -> None:
    film = chest()
    patient.send(film)
    patient.wait_idle()

    patient.send(same_study(film, lateral()))

    (study,) = patient.wait_final(film.StudyInstanceUID)
    assert kinds(study) == ONE_OF_EACH
    assert Counter(event["event"] for event in study["events"])["study.unchanged"] == 1


def test_an_open_association_does_not_postpone(patient: Node) -> None:
    film = chest()
    with patient.association((film.SOPClassUID, film.file_meta.TransferSyntaxUID)) as association:
        assert association.send_c_store(patient.written(film)).Status == 0x0000

        wait_for(lambda: kinds(patient.study(film.StudyInstanceUID)) == ONE_OF_EACH, what="documents")
        assert association.is_established


def reported_while_films_come(node: Node) -> bool:
    """Whether a report was made although no pause between the films was as long as the settle time."""
    film = chest()
    node.send(film)

    def reported() -> bool:
        node.send(same_study(film, lateral()))
        return bool(node.study(film.StudyInstanceUID)["outputs"])

    wait_for(reported, what="a report while films keep coming")
    quick = max(pauses(node.study(film.StudyInstanceUID))) < SETTLE_SECONDS
    node.wait_idle()
    return quick


def test_the_wait_is_bounded(patient: Node) -> None:
    """Films in quick succession would put the documents off for ever."""
    wait_for(lambda: reported_while_films_come(patient), what="a machine that is quick enough")


@contextmanager
def nothing_judged(node: Node) -> Iterator[None]:
    """The inference child hangs meanwhile."""
    (child,) = node.processes("infer")
    os.kill(child, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(child, signal.SIGCONT)


def test_films_that_queue_over_an_outage_make_one_report(patient: Node) -> None:
    film, second = chest(), chest()
    with nothing_judged(patient):
        patient.send(film, same_study(film, second))
        over = moment(patient.study(film.StudyInstanceUID)["instances"][0]) + MAX_WAIT_SECONDS
        wait_for(lambda: time.time() > over, what="an outage longer than the longest wait")
        assert not patient.study(film.StudyInstanceUID)["outputs"]

    (study,) = patient.wait_final(film.StudyInstanceUID)
    assert kinds(study) == ONE_OF_EACH
    (settled,) = [event for event in study["events"] if event["event"] == "study.settled"]
    assert (settled["images"], settled["pending"]) == (2, 0)


def test_a_film_that_hangs_does_not_keep_the_others_from_being_reported(patient: Node) -> None:
    film, hanging = chest(), chest()
    uid = film.StudyInstanceUID
    patient.send(film)
    wait_for(lambda: patient.study(uid)["results"], what="a result")
    with nothing_judged(patient):
        patient.send(same_study(film, hanging))
        wait_for(lambda: kinds(patient.study(uid)) == ONE_OF_EACH, what="documents without the film that hangs")
        assert len(patient.study(uid)["results"]) == 1

    (study,) = patient.wait_final(uid)
    assert kinds(study) == ONE_OF_EACH
    (settled,) = [event for event in study["events"] if event["event"] == "study.settled"]
    assert (settled["images"], settled["pending"]) == (2, 1)
    assert Counter(event["event"] for event in study["events"])["study.unchanged"] == 1
    report = dcmread(patient.data / next(one["path"] for one in study["outputs"] if one["kind"] == "sr"))
    assert values(report, "111017") == ["111244"], "not all algorithms succeeded; with findings (CID 6047)"


def moment(instance: dict[str, Any]) -> float:
    return datetime.fromisoformat(instance["received_at"]).timestamp()


def test_a_late_film_that_changes_the_result_makes_a_revision(tmp_path: Path) -> None:
    films = [chest(), chest(opacities=[Opacity(0.3, 0.45, 4.0), Opacity(0.7, 0.45, 4.0)])]
    with Node(tmp_path / "first") as node:
        node.send(*films)
        studies = node.wait_final(*(film.StudyInstanceUID for film in films))
    (low, weak), (high, strong) = sorted(
        ((study["results"][0]["probability"], film) for study, film in zip(studies, films, strict=True)),
        key=lambda pair: pair[0],
    )
    with Node(tmp_path / "second", model__thresholds={"pneumonia": (low + high) / 2}) as node:
        node.send(weak)
        node.wait_idle()
        assert [entry["positive"] for entry in node.worklist()] == [False]

        node.send(same_study(weak, strong))

        (study,) = node.wait_final(weak.StudyInstanceUID)
        assert [entry["positive"] for entry in node.worklist()] == [True]
        assert kinds(study) == ONE_OF_EACH + Counter({("sr", 2): 1, ("sc", 2): 1})
