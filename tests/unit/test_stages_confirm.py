"""confirm and notify: an X-ray machine may delete only what the PACS itself holds, and is told so in any case."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cxr_node.dimse.sender import Peer
from cxr_node.domain.commitment import Held, Outcome, Reference, Reply, Request, Status
from cxr_node.domain.job import NewJob
from cxr_node.errors import CxrNodeError, Permanent, Transient
from cxr_node.pipeline import PIPELINE
from cxr_node.stages.confirm import Confirm
from cxr_node.stages.ledger import CommitmentLedger
from cxr_node.stages.notify import Notify
from cxr_node.store import commitments, jobs, worklist
from cxr_node.worker import Lane, Worker
from tests.bench import NOON, Bench, add_film, header, study_uid

STEPS = {step.kind: step for step in PIPELINE}
DX, RDSR = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.88.67"
FIRST, SECOND, DOSE = Reference(DX, "1.2.3.1"), Reference(DX, "1.2.3.2"), Reference(RDSR, "1.2.3.99")
HELD = Held(DX, "ARCHIVE")
PATIENCE = 3600.0

Found = Mapping[str, Held | None] | None | CxrNodeError


class Site(Bench):
    """A node with films 1 and 2 of study 1; `held` is what the PACS says, `told` what machines were told."""

    def begin(self, held: Found = None, *, archive: bool = True) -> "Site":
        self.held, self.told, self.asked = held, [], []  # type: ignore[var-annotated]
        self.machine: CxrNodeError | None = None
        self.ledger = CommitmentLedger(self.store, self.waiting, {"XRAY1"}, self.clock)
        pacs, xray = Peer("pacs", "PACS", "127.0.0.1", 104), Peer("XRAY1", "XRAY1", "127.0.0.1", 104)
        stages: dict[str, Any] = {
            "confirm": Confirm(self.store, pacs if archive else None, self._inquire, PATIENCE, self.clock),
            "notify": Notify(self.store, {"XRAY1": xray}, self._notify, self.clock),
        }
        table = {kind: (STEPS[kind], stage) for kind, stage in stages.items()}
        self.worker = Worker(self.store, table, "me", lambda: None, self.clock, random=lambda: 0.0, pseudonym=str)
        with self.store.transaction() as tx:
            add_film(tx, 1, study=1)
            add_film(tx, 2, study=1)
        return self

    def _inquire(self, _: Peer, references: Sequence[Reference], __: None) -> Reply:
        self.asked.append(references)
        if isinstance(self.held, CxrNodeError):
            raise self.held
        return Reply(held=self.held)

    def _notify(self, peer: Peer, transaction: str, outcomes: Sequence[Outcome]) -> None:
        if self.machine:
            raise self.machine
        said = {one.reference.sop_instance_uid: one.failure or one.retrieve_ae_title for one in outcomes}
        self.told.append((peer.name, transaction, said))

    def ask(self, *references: Reference, requester: str = "XRAY1", transaction: str = "1.2.7") -> Status:
        return self.ledger.requested(Request(transaction, requester, references))

    def run(self, seconds: float = 0.0) -> "Site":
        self.clock.turn(seconds)
        while self.worker.run_once(Lane("modalities", ("confirm", "notify"))):
            pass
        return self

    def open_jobs(self) -> list[str]:
        return [row["kind"] for row in self.rows("SELECT kind FROM job WHERE state != 'done'")]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_what_the_pacs_holds_is_committed_with_where_it_can_be_had(site: Site) -> None:
    site.begin({"1.2.3.1": HELD, "1.2.3.2": HELD})
    assert site.ask(FIRST, SECOND) == Status.SUCCESS
    site.run()
    assert site.told == [("XRAY1", "1.2.7", {"1.2.3.1": "ARCHIVE", "1.2.3.2": "ARCHIVE"})]
    assert site.events() == ["commitment.asked", "commitment.answered"]
    assert site.open_jobs() == []
    assert site.rows("SELECT answered_at FROM commitment_request") == [{"answered_at": NOON}]


def test_the_pacs_is_asked_under_the_study_and_series_that_we_know(site: Site) -> None:
    site.begin({}).ask(FIRST, DOSE)
    site.run()
    assert site.asked == [[Reference(DX, "1.2.3.1", study_uid(1), "1.2.5.1"), DOSE]]


def test_what_we_hold_ourselves_does_not_count_and_the_pacs_is_given_time(site: Site) -> None:
    site.begin({"1.2.3.1": HELD, "1.2.3.2": None}).ask(FIRST, SECOND)
    site.run()
    assert site.told == []
    for _ in range(3):
        site.run(60)
    assert site.told == []
    site.held = {"1.2.3.2": HELD}
    site.run(60)
    assert site.told == [("XRAY1", "1.2.7", {"1.2.3.1": "ARCHIVE", "1.2.3.2": "ARCHIVE"})]
    assert [len(asked) for asked in site.asked] == [2, 1, 1, 1, 1], "what is certain is not asked again"


def test_what_the_pacs_does_not_get_in_time_has_failed(site: Site) -> None:
    site.begin({"1.2.3.1": HELD, "1.2.3.2": None}).ask(FIRST, SECOND)
    for _ in range(62):
        site.run(60)
    assert site.told == [("XRAY1", "1.2.7", {"1.2.3.1": "ARCHIVE", "1.2.3.2": 0x0112})]
    assert site.open_jobs() == []


def test_another_class_under_the_uid_is_a_conflict_at_once(site: Site) -> None:
    site.begin({"1.2.3.1": Held(RDSR, "ARCHIVE")}).ask(FIRST)
    site.run()
    assert site.told == [("XRAY1", "1.2.7", {"1.2.3.1": 0x0119})]


@pytest.mark.parametrize("archive", [True, False])
def test_a_pacs_that_cannot_be_asked_is_a_processing_failure(site: Site, archive: bool) -> None:
    site.begin(None, archive=archive).ask(FIRST)
    site.run()
    assert site.told == [("XRAY1", "1.2.7", {"1.2.3.1": 0x0110})]


def test_a_pacs_that_is_away_is_asked_again_until_the_time_is_over(site: Site) -> None:
    site.begin(Transient("UNREACHABLE", "pacs is away")).ask(FIRST)
    for _ in range(50):
        site.run(60)
    assert (site.told, site.open_jobs()) == ([], ["confirm"])
    for _ in range(12):
        site.run(60)
    assert site.told == [("XRAY1", "1.2.7", {"1.2.3.1": 0x0110})]


def test_a_machine_that_is_switched_off_is_told_later(site: Site) -> None:
    site.begin({"1.2.3.1": HELD}).ask(FIRST)
    site.machine = Transient("UNREACHABLE", "XRAY1 is away")
    for _ in range(100):
        site.run(600)
    assert (site.told, site.open_jobs(), len(site.asked)) == ([], ["notify"], 1)
    site.machine = None
    site.run(60)
    assert site.told == [("XRAY1", "1.2.7", {"1.2.3.1": "ARCHIVE"})]


def test_a_machine_that_does_not_take_the_report_is_held_for_the_operator(site: Site) -> None:
    site.begin({"1.2.3.1": HELD}).ask(FIRST)
    site.machine = Permanent("REPORT_REFUSED", "XRAY1 answered with 0x0115")
    site.run()
    assert site.rows("SELECT kind, error_code FROM job WHERE state = 'failed'") == [
        {"kind": "notify", "error_code": "REPORT_REFUSED"}
    ]


def test_who_cannot_be_answered_is_refused(site: Site) -> None:
    site.begin({})
    assert site.ask(FIRST, requester="STRANGER") == Status.NOT_AUTHORISED
    assert site.events() == ["commitment.refused"]
    assert site.open_jobs() == []


def test_a_request_beyond_all_measure_is_refused(site: Site) -> None:
    site.begin({})
    many = [Reference(DX, f"1.2.3.{number}") for number in range(5001)]
    assert site.ask(*many) == Status.RESOURCE_LIMITATION
    assert site.open_jobs() == []


def test_a_request_that_comes_again_is_answered_again(site: Site) -> None:
    site.begin({"1.2.3.1": HELD, "1.2.3.2": HELD}).ask(FIRST)
    site.run()
    assert site.ask(FIRST, SECOND) == Status.SUCCESS
    site.run()
    assert [set(said) for _, _, said in site.told] == [{"1.2.3.1"}, {"1.2.3.1", "1.2.3.2"}]


def test_two_machines_may_use_the_same_transaction_uid(site: Site) -> None:
    site.begin({"1.2.3.1": HELD})
    site.ledger = CommitmentLedger(site.store, site.waiting, {"XRAY1", "XRAY2"}, site.clock)
    site.ask(FIRST)
    site.ask(SECOND, requester="XRAY2")
    with site.store.reading() as tx:
        requests = [commitments.request(tx, requester, "1.2.7") for requester in ("XRAY1", "XRAY2")]
    assert [[one.sop_instance_uid for one in asked.references] for asked in requests if asked] == [
        ["1.2.3.1"], ["1.2.3.2"],
    ]  # fmt: skip


def test_a_machine_or_a_request_that_is_gone_is_said(site: Site) -> None:
    site.begin({})
    with site.store.transaction() as tx:
        jobs.enqueue(tx, [NewJob("notify", "1.2.7", "GONE"), NewJob("notify", "1.2.7", "XRAY1")], NOON)
        jobs.enqueue(tx, [NewJob("confirm", "1.2.7", "XRAY1")], NOON)
    site.run()
    codes = site.rows("SELECT error_code FROM job ORDER BY kind, target")
    assert [row["error_code"] for row in codes] == ["REQUEST_UNKNOWN", "MODALITY_UNKNOWN", "REQUEST_UNKNOWN"]


def test_a_request_that_cannot_be_recorded_is_not_taken(site: Site) -> None:
    site.begin({}).store.close()
    assert site.ask(FIRST) == Status.PROCESSING_FAILURE


def test_a_list_that_is_here_in_full_ends_the_wait_for_further_films(site: Site) -> None:
    site.begin({})
    with site.store.transaction() as tx:
        worklist.arrive(tx, header(1), NOON)
        jobs.enqueue(tx, [NewJob("settle", study_uid(1), not_before=NOON + 120)], NOON)
    due = "SELECT not_before FROM job WHERE kind = 'settle'"
    site.clock.turn(10)
    site.ask(FIRST, SECOND, Reference(DX, "1.2.3.7"))
    assert site.rows(due) == [{"not_before": NOON + 120}]
    site.ask(FIRST, SECOND, DOSE)
    assert site.rows(due) == [{"not_before": NOON + 10}]


def test_what_is_listed_together_with_an_instance_of_a_study(site: Site) -> None:
    site.begin({})
    site.ask(FIRST, Reference(DX, "1.2.3.7"))
    site.ask(Reference(DX, "1.2.3.8"), transaction="1.2.7.2")
    with site.store.reading() as tx:
        listed = commitments.listed(tx, study_uid(1))
        assert {one.sop_instance_uid for one in listed} == {"1.2.3.1", "1.2.3.7"}
        assert commitments.listed(tx, study_uid(2)) == []
