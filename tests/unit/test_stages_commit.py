"""commit: what follows when a destination reports, is silent, forgets, or offers none of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from cxr_node.dimse.inquiry import Asking
from cxr_node.dimse.sender import Peer
from cxr_node.domain.commitment import Held, Reference, Reply, Report, Status, Terms
from cxr_node.domain.job import NewJob
from cxr_node.errors import Permanent, Transient
from cxr_node.pipeline import PIPELINE
from cxr_node.stages.commit import Commitment
from cxr_node.stages.ledger import CommitmentLedger
from cxr_node.store import commitments, jobs, results
from cxr_node.store.requeue import requeue_failed
from cxr_node.store.results import Written
from cxr_node.worker import Lane, Worker
from tests.bench import NOON, Bench, deliver, study_uid

STEPS = {step.kind: step for step in PIPELINE}
PACS = Peer("pacs", "PACS", "127.0.0.1", 104)
SR, SC = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.7"
NOT_OFFERED = Permanent("NO_COMMITMENT", "pacs does not offer storage commitment")
PATIENCE = 600.0

Answer = Callable[["Site"], Reply]


class Site(Bench):
    """A bench with an SR and an SC to be delivered to a destination that answers as it is told."""

    def begin(
        self, wanted: Literal["auto", "on", "off"] = "auto", answer: Answer = lambda _: Reply(asked=True)
    ) -> "Site":
        self.answer, self.status = answer, 0x0000
        self.sent: list[str] = []
        self.inquiries: list[list[str]] = []
        self.transactions: list[str] = []
        self.asking: Asking | None = None
        self.ledger = CommitmentLedger(self.store, self.waiting, (), self.clock)
        terms, peers = {"pacs": Terms(wanted, PATIENCE)}, {"pacs": PACS}
        stages: dict[str, Any] = {
            "deliver": deliver(self, peers, terms, self._send),
            "commit": Commitment(
                self.store, peers, terms, self._inquire, self.ledger.reported, self._new_uid, self.clock
            ),
        }
        table = {kind: (STEPS[kind], stage) for kind, stage in stages.items()}
        self.worker = Worker(self.store, table, "me", lambda: None, self.clock, random=lambda: 0.0, pseudonym=str)
        with self.store.transaction() as tx:
            for uid, kind, sop_class in (("1.2.9.1", "sr", SR), ("1.2.9.2", "sc", SC)):
                path = self.spool.write(self.spool.outbox / f"{uid}.dcm", b"document")
                results.add_document(tx, Written(uid, study_uid(1), 1, "full", kind, sop_class, "1.2.8", path), NOON)
                results.add_delivery(tx, uid, "pacs")
                jobs.enqueue(tx, [NewJob("deliver", uid, "pacs")], NOON)
        return self

    def _send(self, _: Peer, path: Path) -> int:
        self.sent.append(path.stem)
        return self.status

    def _new_uid(self) -> str:
        self.transactions.append(f"1.2.7.{len(self.transactions)}")
        return self.transactions[-1]

    def _inquire(self, _: Peer, references: Sequence[Reference], asking: Asking | None) -> Reply:
        self.inquiries.append([one.sop_instance_uid for one in references])
        self.asking = asking
        if asking and self.answer(self).asked:
            asking.begin()
        return self.answer(self)

    def run(self, seconds: float = 0.0) -> "Site":
        """Let so many seconds pass, then do all that is due."""
        self.clock.turn(seconds)
        while self.worker.run_once(Lane("all", ("deliver", "commit"))):
            pass
        return self

    def report(self, *committed: str, transaction: str | None = None, **failed: int) -> Status:
        """Report on the newest transaction; `failed` as sr or sc = reason."""
        names = {"sr": "1.2.9.1", "sc": "1.2.9.2"}
        uid = transaction or self.transactions[-1]
        return self.ledger.reported(Report(uid, committed, {names[name]: reason for name, reason in failed.items()}))

    def deliveries(self) -> list[dict[str, Any]]:
        with self.store.reading() as tx:
            return results.deliveries(tx, study_uid(1))

    def states(self) -> list[str]:
        return [one["state"] for one in self.deliveries()]

    def jobs(self, kind: str = "commit") -> list[str]:
        return [row["state"] for row in self.rows("SELECT state FROM job WHERE kind = ? ORDER BY subject", kind)]

    def failures(self) -> set[str]:
        return {row["error_code"] for row in self.rows("SELECT error_code FROM job WHERE state = 'failed'")}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def found(*uids: str) -> Answer:
    """Commitment is not offered; by C-FIND it has these of the two."""
    held = {uid: Held("", "PACS") if uid in uids else None for uid in ("1.2.9.1", "1.2.9.2")}
    return lambda _: Reply(refusal=NOT_OFFERED, held=held)


def test_what_is_sent_at_about_the_same_time_is_asked_for_in_one_request(site: Site) -> None:
    site.begin().run().run(1)
    assert site.inquiries == [["1.2.9.1", "1.2.9.2"]]
    assert (site.states(), site.jobs()) == (["sent", "sent"], ["ready", "ready"])
    assert site.events()[-2:] == ["commitment.requested"] * 2
    with site.store.reading() as tx:
        assert commitments.open_by_destination(tx) == {"pacs": {"uncommitted": 2, "overdue": 0}}


def test_what_is_reported_as_committed_is_committed(site: Site) -> None:
    site.begin().run().run(1)
    assert site.report("1.2.9.1", "1.2.9.2") == Status.SUCCESS
    assert (site.states(), site.jobs()) == (["committed"] * 2, ["done"] * 2)
    assert [one["confirmed_by"] for one in site.deliveries()] == ["commitment"] * 2
    assert site.events()[-2:] == ["document.committed"] * 2
    site.run(PATIENCE * 100)
    assert len(site.inquiries) == 1


def test_a_report_that_comes_again_changes_nothing(site: Site) -> None:
    site.begin().run().run(1)
    site.report("1.2.9.1", sc=0x0112)
    before = (site.events(), site.jobs())
    assert site.report("1.2.9.1", sc=0x0112) == Status.SUCCESS
    assert (site.events(), site.jobs()) == before


def test_a_report_during_the_request_overtakes_the_job(site: Site) -> None:
    def answer(site: Site) -> Reply:
        if site.asking and site.transactions:
            site.asking.reported(Report(site.transactions[-1], ("1.2.9.1", "1.2.9.2"), {}))
        return Reply(asked=True)

    site.begin(answer=answer).run().run(1)
    assert (site.states(), site.jobs()) == (["committed"] * 2, ["done"] * 2)


def test_a_failure_during_the_request_overtakes_the_job_too(site: Site) -> None:
    def answer(site: Site) -> Reply:
        if site.asking and site.transactions:
            site.asking.reported(Report(site.transactions[-1], ("1.2.9.1",), {"1.2.9.2": 0x0112}))
        return Reply(asked=True)

    site.begin(answer=answer).run().run(1)
    assert site.states() == ["committed", "pending"]
    assert site.events().count("document.not_kept") == 1


def test_a_transaction_that_is_not_ours_is_refused_and_recorded(site: Site) -> None:
    site.begin().run().run(1)
    assert site.report("1.2.9.1", transaction="1.2.666") == Status.INVALID_ARGUMENT
    assert site.states() == ["sent", "sent"]
    assert site.events()[-1] == "commitment.unknown"


def test_what_is_reported_as_failed_is_sent_again_after_a_pause_and_asked_for_again(site: Site) -> None:
    site.begin().run().run(1)
    site.report("1.2.9.1", sc=0x0112)
    site.run()
    assert (site.states(), site.sent) == (["committed", "pending"], ["1.2.9.1", "1.2.9.2"])
    site.run(PATIENCE / 10)
    assert (site.states(), site.sent[2:]) == (["committed", "sent"], ["1.2.9.2"])
    site.run(2)
    assert (site.inquiries[1:], len(site.transactions)) == ([["1.2.9.2"]], 2)
    site.report("1.2.9.2")
    assert site.states() == ["committed", "committed"]


def test_what_fails_again_and_again_is_held_for_the_operator_who_may_begin_anew(site: Site) -> None:
    site.begin().run().run(1)
    for _ in range(4):
        site.report("1.2.9.1", sc=0x0110)
        site.run().run(PATIENCE).run(2)
    assert site.states() == ["committed", "failed"]
    assert site.sent.count("1.2.9.2") == 4
    assert site.failures() == {"NOT_COMMITTED"}
    assert "0x0110" in site.deliveries()[1]["error"]
    assert site.events()[-1] == "job.failed"
    with site.store.transaction() as tx:
        assert requeue_failed(tx, site.clock()) == 1
    site.run().run(PATIENCE).run(2)
    assert site.sent.count("1.2.9.2") == 5
    site.report("1.2.9.2")
    assert site.states() == ["committed", "committed"]


def test_a_failure_that_is_reported_late_does_not_undo_a_newer_request(site: Site) -> None:
    site.begin().run().run(1).run(PATIENCE)
    assert len(site.transactions) == 2
    site.report(transaction=site.transactions[0], sr=0x0112)
    site.run()
    assert site.states() == ["sent", "sent"]


def test_silence_is_an_alarm_and_the_destination_is_asked_again(site: Site) -> None:
    site.begin().run().run(1)
    site.run(PATIENCE - 1)
    assert len(site.transactions) == 1
    site.run(1)
    assert len(site.transactions) == 2
    assert site.events().count("commitment.overdue") == 2
    with site.store.reading() as tx:
        assert commitments.open_by_destination(tx) == {"pacs": {"uncommitted": 2, "overdue": 2}}
    site.run(PATIENCE)
    assert len(site.transactions) == 2, "the second time it waits for twice as long"
    site.report("1.2.9.1", "1.2.9.2", transaction=site.transactions[0])
    assert site.states() == ["committed", "committed"], "a late report is a report"


@pytest.mark.parametrize(
    ("wanted", "states", "codes"),
    [("on", ["failed", "failed"], {"COMMITMENT_OVERDUE"}), ("auto", ["sent", "sent"], set())],
)
def test_silence_for_ever(site: Site, wanted: Any, states: list[str], codes: set[str]) -> None:
    site.begin(wanted, lambda site: Reply(asked=True) if site.asking else Reply()).run().run(1)
    for _ in range(10):
        site.run(PATIENCE * 16)
    assert len(site.transactions) == 3
    assert (site.states(), site.failures()) == (states, codes)
    assert "ready" not in site.jobs()


def test_where_commitment_is_not_offered_what_is_found_is_there(site: Site) -> None:
    site.begin(answer=found("1.2.9.1", "1.2.9.2")).run().run(1)
    assert (site.states(), site.jobs(), site.transactions) == (["sent"] * 2, ["done"] * 2, [])
    assert [one["confirmed_by"] for one in site.deliveries()] == ["query"] * 2


def test_where_nothing_is_offered_sent_is_final(site: Site) -> None:
    site.begin(answer=lambda _: Reply(refusal=NOT_OFFERED)).run().run(1)
    assert (site.states(), site.jobs()) == (["sent"] * 2, ["done"] * 2)
    assert [one["confirmed_by"] for one in site.deliveries()] == [None] * 2


def test_what_is_accepted_and_forgotten_is_sent_again_and_in_the_end_held(site: Site) -> None:
    site.begin(answer=found("1.2.9.1")).run().run(1)
    assert (site.jobs(), site.sent) == (["done", "ready"], ["1.2.9.1", "1.2.9.2"])
    for _ in range(40):
        site.run(PATIENCE / 3)
    assert site.sent.count("1.2.9.2") == 4
    assert (site.states(), site.failures()) == (["sent", "failed"], {"NOT_KEPT"})


def test_an_archive_may_take_its_time_to_find_what_it_has(site: Site) -> None:
    site.begin(answer=found()).run().run(1).run(60)
    assert len(site.inquiries) > 1
    site.answer = found("1.2.9.1", "1.2.9.2")
    site.run(60)
    assert len(site.sent) == 2
    assert [one["confirmed_by"] for one in site.deliveries()] == ["query"] * 2


def test_another_object_under_the_same_uid_is_not_what_was_sent(site: Site) -> None:
    other = {uid: Held("1.2.840.10008.5.1.4.1.1.2", "PACS") for uid in ("1.2.9.1", "1.2.9.2")}
    site.begin(answer=lambda _: Reply(held=other)).run().run(1).run(PATIENCE)
    assert site.states() == ["pending", "pending"]


def test_a_duplicate_is_looked_for_even_where_commitment_is_off(site: Site) -> None:
    site.begin("off", found("1.2.9.1", "1.2.9.2"))
    site.status = 0x0111
    site.run().run(1)
    assert site.asking is None
    assert [(one["state"], one["confirmed_by"]) for one in site.deliveries()] == [("sent", "query")] * 2


@pytest.mark.parametrize(
    ("refusal", "states", "codes"),
    [
        (NOT_OFFERED, ["failed", "failed"], {"NO_COMMITMENT"}),
        (Transient("COMMITMENT_REFUSED", "pacs is busy"), ["sent", "sent"], set()),
    ],
)
def test_where_commitment_is_a_must_a_refusal_is_an_alarm(
    site: Site, refusal: Any, states: list[str], codes: set[str]
) -> None:
    site.begin("on", lambda _: Reply(refusal=refusal, held={})).run().run(1)
    assert (site.states(), site.failures()) == (states, codes)
    assert site.deliveries()[0]["error"] == refusal.message


def test_a_destination_that_is_away_is_asked_later(site: Site) -> None:
    def away(_: Site) -> Reply:
        raise Transient("UNREACHABLE", "pacs is away")

    site.begin(answer=away).run().run(1)
    assert (site.jobs(), site.deliveries()[0]["error"]) == (["ready", "ready"], "pacs is away")
    site.answer = lambda _: Reply(asked=True)
    site.run(60)
    site.report("1.2.9.1", "1.2.9.2")
    assert site.states() == ["committed", "committed"]


def test_what_could_not_be_asked_in_time_is_asked_later(site: Site) -> None:
    site.begin(answer=lambda _: Reply(held={"1.2.9.1": Held("", "PACS")})).run().run(1)
    assert site.jobs() == ["done", "ready"]


def test_a_process_that_dies_after_asking_asks_again_and_either_report_counts(site: Site) -> None:
    site.begin().run()
    site.clock.turn(1)
    with site.store.transaction() as tx:
        batch = jobs.claim(tx, "commit", "dead", site.clock(), 300, limit=8)
    _, stage = site.worker.stages["commit"]
    stage.run_batch(batch)
    with site.store.transaction() as tx:
        jobs.release(tx, "dead", site.clock())
    site.run()
    assert len(site.transactions) == 2
    assert "commitment.overdue" not in site.events()
    site.report("1.2.9.1", "1.2.9.2", transaction=site.transactions[0])
    assert site.states() == ["committed", "committed"]


def test_a_document_that_was_superseded_is_not_sent_again(site: Site) -> None:
    site.begin().run().run(1)
    with site.store.transaction() as tx:
        results.call_off(tx, study_uid(1), "SUPERSEDED", "its identity was corrected", site.clock())
    site.report("1.2.9.1", sc=0x0112)
    site.run(PATIENCE)
    assert site.states() == ["committed", "sent"]
    assert len(site.sent) == 2


def test_a_destination_that_is_configured_no_more_is_said(site: Site) -> None:
    site.begin()
    with site.store.transaction() as tx:
        jobs.enqueue(tx, [NewJob("commit", "1.2.9.1", "gone")], NOON)
    site.run()
    assert site.failures() == {"DESTINATION_UNKNOWN"}
