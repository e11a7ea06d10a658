"""Taking responsibility for what a peer sends: every verdict, and Law 2 behind each `success`."""

import errno
import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom.uid import EncapsulatedPDFStorage, JPEG2000Lossless, SecondaryCaptureImageStorage

from cxr_node.domain.intake import Answer, Verdict
from cxr_node.domain.study import Waiting
from cxr_node.spool import Spool
from cxr_node.store import db
from cxr_node.store.db import Store
from tests import films
from tests.bench import MODEL, NOON, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def jobs(bench: Bench) -> dict[str, tuple[str, float]]:
    rows = bench.rows("SELECT * FROM job ORDER BY id")
    return {row["kind"]: (row["target"], row["not_before"] - NOON) for row in rows}


def test_a_film_is_stored_with_its_entry_and_its_jobs(bench: Bench) -> None:
    film = films.chest()
    assert bench.send(film) == Verdict(Answer.STORED, study=film.StudyInstanceUID)
    (row,) = bench.rows("SELECT * FROM instance")
    assert (row["state"], row["received_at"], row["refusal_code"]) == ("current", NOON, None)
    assert bench.spool.path(row["path"]).stat().st_size == row["size"]
    assert jobs(bench) == {"analyse": (MODEL.digest, 0.0), "settle": ("", 120.0)}
    assert [row["state"] for row in bench.rows("SELECT state FROM worklist_entry")] == ["waiting"]
    assert bench.events() == ["instance.stored"]
    assert bench.woken == 1


@pytest.mark.parametrize("film", [films.leg, films.lateral])
def test_a_film_that_may_not_be_judged_is_stored_and_shows_why(bench: Bench, film: type) -> None:
    assert bench.send(film()).answer is Answer.STORED
    (row,) = bench.rows("SELECT * FROM instance")
    (entry,) = bench.rows("SELECT * FROM worklist_entry")
    assert row["refusal_code"] in ("BODY_PART", "VIEW")
    assert (entry["state"], entry["reason"]) == ("not_analysed", row["refusal_reason"])
    assert "analyse" not in jobs(bench)
    assert bench.events() == ["instance.stored", "instance.refused", "worklist.moved"]


def test_the_same_film_again_is_success_and_no_work(bench: Bench) -> None:
    film = films.chest()
    first, second = bench.send(film), bench.send(film)
    assert first == second
    assert bench.events() == ["instance.stored"]
    assert bench.woken == 1


def test_the_same_film_again_brings_back_a_file_that_was_lost(bench: Bench) -> None:
    film = films.chest()
    bench.send(film)
    kept = bench.spool.path(bench.rows("SELECT path FROM instance")[0]["path"])
    before = kept.read_bytes()
    kept.unlink()
    assert bench.send(film).answer is Answer.STORED
    assert kept.read_bytes() == before


def test_the_same_film_over_two_associations_at_once_is_stored_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_are_new, keep = threading.Barrier(2, timeout=60), bench.spool.keep_film
    monkeypatch.setattr(bench.spool, "keep_film", lambda *given: (both_are_new.wait(), keep(*given))[1])
    with ThreadPoolExecutor(2) as associations:
        answers = [verdict.answer for verdict in associations.map(bench.send, [films.chest(1), films.chest(1)])]
    assert answers == [Answer.STORED, Answer.STORED]
    assert bench.events() == ["instance.stored"]
    assert len(bench.rows("SELECT * FROM instance")) == 1


@pytest.mark.parametrize("changed", [{"PatientName": "Doe^Joan"}, {"AccessionNumber": "NEW"}])
def test_other_bytes_under_a_known_uid_wait_to_be_compared(bench: Bench, changed: dict[str, str]) -> None:
    film = films.chest()
    bench.send(film)
    assert bench.send(films.change(film, **changed)).answer is Answer.STORED
    assert [row["state"] for row in bench.rows("SELECT state FROM instance ORDER BY id")] == ["current", "comparing"]
    assert set(jobs(bench)) == {"analyse", "settle", "compare"}
    assert len(bench.rows("SELECT * FROM worklist_entry")) == 1


def test_a_second_film_moves_the_end_of_the_wait_up_to_the_maximum(bench: Bench) -> None:
    film = films.chest()
    bench.send(film)
    for seconds, due in ((60, 180), (490, 600), (200, 600)):
        bench.clock.turn(seconds)
        bench.send(films.lateral(StudyInstanceUID=film.StudyInstanceUID))
        assert jobs(bench)["settle"][1] == due


@pytest.mark.parametrize(("after_release", "due"), [(None, 120.0), (10.0, 10.0), (500.0, 120.0)])
def test_a_release_may_shorten_the_wait_and_never_lengthens_it(
    tmp_path: Path, after_release: float | None, due: float
) -> None:
    bench = Bench(tmp_path, waiting=Waiting(120, 600, after_release))
    verdict = bench.send(films.chest())
    assert verdict.study
    bench.intake.released(frozenset({verdict.study}))
    assert jobs(bench)["settle"][1] == due


@pytest.mark.parametrize("uid", [EncapsulatedPDFStorage, "1.2.840.10008.5.1.4.1.1.88.67"])
def test_what_a_route_sends_along_is_recorded_and_dropped(bench: Bench, uid: str) -> None:
    assert bench.send(films.chest(SOPClassUID=uid)) == Verdict(Answer.STORED)
    assert bench.events() == ["object.dropped"]
    assert bench.rows("SELECT * FROM instance") == []
    assert list(bench.spool.films.rglob("*.dcm")) == []


def test_a_secondary_capture_is_taken_only_as_a_radiograph(bench: Bench) -> None:
    assert bench.send(films.chest(SOPClassUID=SecondaryCaptureImageStorage)).study
    assert bench.send(films.chest(SOPClassUID=SecondaryCaptureImageStorage, Modality="OT")).study is None
    assert bench.events() == ["instance.stored", "object.dropped"]


@pytest.mark.parametrize(
    ("attributes", "code"),
    [({"StudyInstanceUID": None}, "UID_MISSING"), ({"SeriesInstanceUID": ""}, "UID_MISSING")],
)
def test_a_film_that_cannot_be_filed_is_kept_aside(bench: Bench, attributes: dict[str, str], code: str) -> None:
    film = films.chest(**attributes)
    verdict = bench.send(film)
    assert verdict.answer is Answer.MISMATCH
    (keyword,) = attributes
    assert keyword in verdict.comment
    assert quarantined(bench, code)


@pytest.mark.parametrize("command", [{"sop_instance_uid": "1.2.3"}, {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.1"}])
def test_uids_that_are_not_those_of_the_command_are_a_mismatch(bench: Bench, command: dict[str, str]) -> None:
    assert bench.send(films.chest(), **command).answer is Answer.MISMATCH
    assert quarantined(bench, "UID_MISMATCH")


def test_bytes_that_are_no_data_set_are_not_understood_and_kept(bench: Bench) -> None:
    garbage = b"\0" * 128 + b"DICM" + b"\xff" * 500
    with bench.received(garbage) as received:
        verdict = bench.intake.accept(received)
    assert verdict.answer is Answer.NOT_UNDERSTOOD
    assert quarantined(bench, "UNPARSEABLE") == garbage


@pytest.mark.parametrize("syntax", [None, JPEG2000Lossless])
def test_a_film_that_ends_early_is_not_understood_and_kept(bench: Bench, tmp_path: Path, syntax: str | None) -> None:
    film = films.chest() if syntax is None else films.encode(films.chest(), syntax)
    whole = films.write(film, tmp_path / "whole.dcm").read_bytes()
    known = {"sop_class_uid": str(film.SOPClassUID), "sop_instance_uid": str(film.SOPInstanceUID)}
    with bench.received(whole[:-2000], **known) as received:
        verdict = bench.intake.accept(received)
    assert verdict.answer is Answer.NOT_UNDERSTOOD
    assert "incomplete" in verdict.comment
    assert quarantined(bench, "TRUNCATED") == whole[:-2000]


def quarantined(bench: Bench, code: str) -> bytes:
    """The bytes of the one object that was kept aside, for the reason `code`; nothing else was stored."""
    assert bench.events() == ["object.quarantined"]
    (row,) = bench.rows("SELECT detail FROM event")
    assert f'"code": "{code}"' in row["detail"]
    assert bench.rows("SELECT * FROM instance") == []
    (kept,) = bench.spool.quarantine.iterdir()
    return kept.read_bytes()


def test_below_the_watermark_the_sender_is_to_try_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.spool, "_watermark", 2 * bench.spool.free_bytes())
    verdict = bench.send(films.chest())
    assert verdict.answer is Answer.OUT_OF_RESOURCES
    assert nothing_stored(bench)


@pytest.mark.parametrize(
    ("number", "answer"),
    [(errno.ENOSPC, Answer.OUT_OF_RESOURCES), (errno.EDQUOT, Answer.OUT_OF_RESOURCES), (errno.EIO, Answer.FAULT)],
)
def test_bytes_that_could_not_be_written_are_no_success(bench: Bench, number: int, answer: Answer) -> None:
    verdict = bench.send(films.chest(), error=OSError(number, os.strerror(number)))
    assert verdict == Verdict(answer, os.strerror(number))
    assert nothing_stored(bench)


def test_a_file_that_cannot_be_synced_is_no_success(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    assert bench.send(films.chest()).answer is Answer.FAULT
    assert nothing_stored(bench)


def test_the_file_is_there_before_the_row(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    keep, together = Spool.keep_film, Store.together
    monkeypatch.setattr(Spool, "keep_film", lambda *given: (keep(*given), order.append("file"))[0])
    monkeypatch.setattr(Store, "together", lambda *given: order.append("row") or together(*given))
    assert bench.send(films.chest()).answer is Answer.STORED
    assert order == ["file", "row"]


def test_a_film_whose_row_cannot_be_written_is_no_success_and_can_be_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "_BUSY_SECONDS", 0.05)
    bench, film = Bench(tmp_path), films.chest()
    other = Store.open(bench.root / "cxr-node.sqlite")
    with other.transaction():
        assert bench.send(film).answer is Answer.OUT_OF_RESOURCES
    assert nothing_stored(bench)
    assert bench.send(film).answer is Answer.STORED
    other.close()


def test_a_row_that_the_database_refuses_is_no_success(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        tx.execute("CREATE TRIGGER t BEFORE INSERT ON job BEGIN SELECT RAISE(ABORT, 'refused'); END")
    with pytest.raises(sqlite3.IntegrityError):
        bench.send(films.chest())
    assert nothing_stored(bench)


def nothing_stored(bench: Bench) -> bool:
    return not bench.rows("SELECT * FROM instance") and not bench.rows("SELECT * FROM job") and bench.woken == 0
