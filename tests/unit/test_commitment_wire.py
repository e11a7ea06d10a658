"""Storage commitment on the wire: what each of a peer's answers means, and how peers are answered."""

import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.dsutils import decode

from cxr_node.dimse.commitment import Commitment, notify
from cxr_node.dimse.inquiry import Asking, inquire
from cxr_node.dimse.listener import Endpoint, Listener
from cxr_node.dimse.sender import Peer
from cxr_node.domain.commitment import Held, Outcome, Query, Reason, Reference, Reply, Report, Request, Status
from cxr_node.errors import Permanent, Transient
from tests.bench import Bench
from tests.keeper import PUSH_MODEL, STUDY_ROOT_FIND, SYNTAXES, WELL_KNOWN, Keeper, Via
from tests.node import wait_for

SR = "1.2.840.10008.5.1.4.1.1.88.34"
DOCUMENT = Reference(SR, "1.2.9.1", "1.2.4", "1.2.8")
STRAY = Reference(SR, "1.2.9.2")


class Ledger:
    """Remembers what came; `answer` is what it says to all."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.requests: list[Request] = []
        self.answer = Status.SUCCESS

    def reported(self, report: Report) -> Status:
        self.reports.append(report)
        return self.answer

    def requested(self, request: Request) -> Status:
        self.requests.append(request)
        return self.answer


def asked(keeper: Keeper, *references: Reference, ledger: Ledger | None = None, linger: float = 5.0) -> Reply:
    """Ask for commitment under Transaction UID 1.2.7."""
    asking = Asking(lambda: "1.2.7", (ledger or Ledger()).reported, linger)
    return inquire(peer(keeper.port), "CXR_NODE", references or (DOCUMENT,), unheard, asking)


def unheard(_: Peer, __: Query) -> None:
    """Records no query."""


def peer(port: int) -> Peer:
    return Peer("pacs", "KEEPER", "127.0.0.1", port, timeout=60.0)


# -- asking


def test_what_is_asked_for() -> None:
    with Keeper(PUSH_MODEL) as keeper:
        assert asked(keeper, DOCUMENT, STRAY, linger=0) == Reply(asked=True)
    (request,) = keeper.requests
    assert request.TransactionUID == "1.2.7"
    named = [(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in request.ReferencedSOPSequence]
    assert named == [(SR, "1.2.9.1"), (SR, "1.2.9.2")]


@pytest.mark.parametrize("via", ["same", "early"])
def test_a_report_on_the_same_association_is_taken_before_the_release(via: Via) -> None:
    """After the answer to our request, or before it."""
    ledger = Ledger()
    with Keeper(PUSH_MODEL, via=via) as keeper:
        keeper.fails = lambda uid: 0x0112 if uid == "1.2.9.2" else None
        assert asked(keeper, DOCUMENT, STRAY, ledger=ledger, linger=30).asked
    assert ledger.reports == [Report("1.2.7", ("1.2.9.1",), {"1.2.9.2": 0x0112})]
    wait_for(lambda: keeper.answers == [Status.SUCCESS], what="our answer, which goes before the release")


def test_the_transaction_is_on_record_before_the_request_leaves_and_only_then() -> None:
    begun: list[int] = []
    with Keeper(PUSH_MODEL) as keeper:

        def begin() -> str:
            begun.append(len(keeper.requests))
            return "1.2.7"

        inquire(peer(keeper.port), "CXR_NODE", [DOCUMENT], unheard, Asking(begin, Ledger().reported, 0))
    assert begun == [0]
    with Keeper(STUDY_ROOT_FIND) as keeper:
        inquire(peer(keeper.port), "CXR_NODE", [DOCUMENT], unheard, Asking(begin, Ledger().reported, 0))
    assert begun == [0]


@pytest.mark.parametrize(
    ("status", "kind"), [(0x0110, Transient), (0x0213, Transient), (0x0112, Permanent), (0x0124, Permanent)]
)
def test_a_request_that_is_refused(status: int, kind: type[Exception]) -> None:
    with Keeper(PUSH_MODEL) as keeper:
        keeper.action = status
        reply = asked(keeper)
    assert not reply.asked
    assert isinstance(reply.refusal, kind)
    assert f"0x{status:04X}" in reply.refusal.message
    assert reply.refusal.code == "COMMITMENT_REFUSED"


def test_a_peer_that_offers_nothing_of_it() -> None:
    with Keeper() as keeper:
        reply = asked(keeper)
        assert (reply.asked, reply.held) == (False, None)
        assert reply.refusal
        assert reply.refusal.code == "NO_COMMITMENT"
        assert inquire(peer(keeper.port), "CXR_NODE", [DOCUMENT], unheard) == Reply()


def test_a_peer_that_is_away() -> None:
    with pytest.raises(Transient, match="not reachable"):
        asked(Keeper())


# -- looking


@pytest.mark.parametrize("offers", [(STUDY_ROOT_FIND,), (PUSH_MODEL, STUDY_ROOT_FIND)])
def test_where_commitment_is_refused_the_instances_are_looked_for(offers: tuple[str, ...]) -> None:
    with Keeper(*offers) as keeper:
        keeper.action, keeper.classes = 0x0122, {"1.2.9.1": SR}
        keeper.holds = lambda uid: uid == "1.2.9.1"
        reply = asked(keeper, DOCUMENT, STRAY)
    assert reply.held == {"1.2.9.1": Held(SR, "ARCHIVE"), "1.2.9.2": None}
    assert reply.refusal
    query, other = keeper.queries
    assert (query.QueryRetrieveLevel, query.StudyInstanceUID, query.SeriesInstanceUID) == ("IMAGE", "1.2.4", "1.2.8")
    assert "StudyInstanceUID" not in other


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_each_query_is_on_record_in_its_own_words_before_it_leaves(syntax: str) -> None:
    recorded: list[tuple[Query, int]] = []
    with Keeper(STUDY_ROOT_FIND, syntaxes=[syntax]) as keeper:

        def record(_: Peer, query: Query) -> None:
            recorded.append((query, len(keeper.queries)))

        inquire(peer(keeper.port), "CXR_NODE", [DOCUMENT, STRAY], record)
    assert [(query.reference, before) for query, before in recorded] == [(DOCUMENT, 0), (STRAY, 1)]
    for (query, _), received in zip(recorded, keeper.queries, strict=True):
        assert (query.transfer_syntax_uid, query.information_model_uid) == (syntax, STUDY_ROOT_FIND)
        implicit = syntax == SYNTAXES[0]
        assert decode(BytesIO(query.identifier), implicit, True) == received


def test_what_cannot_be_recorded_is_not_asked() -> None:
    def refuse(_: Peer, __: Query) -> None:
        raise Transient("DATABASE_BUSY", "the database is busy")

    with Keeper(STUDY_ROOT_FIND) as keeper:
        with pytest.raises(Transient, match="busy"):
            inquire(peer(keeper.port), "CXR_NODE", [DOCUMENT], refuse)
        assert keeper.queries == []


@pytest.mark.parametrize(("title", "told"), [("", "KEEPER"), (["FIRST", "SECOND"], "FIRST")])
def test_where_an_instance_can_be_had(title: Any, told: str) -> None:
    with Keeper(STUDY_ROOT_FIND) as keeper:
        keeper.holds, keeper.retrieve_ae_title = lambda _: True, title
        assert inquire(peer(keeper.port), "CXR_NODE", [DOCUMENT], unheard).held == {"1.2.9.1": Held("", told)}


@pytest.mark.parametrize(("references", "held"), [([STRAY, DOCUMENT], None), ([STRAY], {"1.2.9.2": None})])
def test_a_peer_that_refuses_to_look(references: list[Reference], held: Any) -> None:
    with Keeper(STUDY_ROOT_FIND) as keeper:
        keeper.find_status = 0xA900
        assert inquire(peer(keeper.port), "CXR_NODE", references, unheard).held == held


def test_a_peer_that_cannot_look_now() -> None:
    with Keeper(STUDY_ROOT_FIND) as keeper:
        keeper.find_status = 0xA700
        with pytest.raises(Transient, match="0xA700"):
            inquire(peer(keeper.port), "CXR_NODE", [DOCUMENT], unheard)


def test_a_peer_that_answers_with_all_that_it_has() -> None:
    def everything(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        for number in range(1000):
            other = Dataset()
            other.QueryRetrieveLevel, other.SOPInstanceUID = "IMAGE", f"1.2.3.{number}"
            yield 0xFF00, other

    ae = AE(ae_title="KEEPER")
    ae.add_supported_context(STUDY_ROOT_FIND)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, everything)])
    with pytest.raises(Transient) as failed:
        inquire(peer(server.server_address[1]), "CXR_NODE", [DOCUMENT], unheard)
    assert failed.value.code == "QUERY_IGNORED"
    server.shutdown()


# -- the listener


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture(params=[True, False], ids=["serving", "not serving"])
def listener(request: pytest.FixtureRequest, tmp_path: Path, ledger: Ledger) -> Iterator[Listener]:
    bench = Bench(tmp_path)
    endpoint = Endpoint("CXR_NODE", "127.0.0.1", 0, 10, 16384, 10.0)
    running = Listener(
        endpoint,
        bench.intake,
        bench.spool.incoming,
        [Commitment(ledger, serving=request.param)],
        refused=bench.turned_away.note,
    )
    running.start()
    yield running
    running.stop(1.0)


def keeper_of(listener: Listener) -> Keeper:
    return Keeper(report_to=(listener.port, "CXR_NODE"))


def test_a_peer_reports_on_an_association_of_its_own(listener: Listener, ledger: Ledger) -> None:
    assert keeper_of(listener).report("1.2.7", ["1.2.9.1"], {"1.2.9.2": 0x0119}) == Status.SUCCESS
    assert ledger.reports == [Report("1.2.7", ("1.2.9.1",), {"1.2.9.2": 0x0119})]
    ledger.answer = Status.INVALID_ARGUMENT
    assert keeper_of(listener).report("1.2.7", [], {}) == Status.INVALID_ARGUMENT


def call(listener: Listener, send: Any, role: bool = False) -> int | None:
    """An association with the listener, for one message; its status."""
    ae = AE(ae_title="XRAY1")
    ae.add_requested_context(PUSH_MODEL, SYNTAXES)
    roles = [build_role(PUSH_MODEL, scp_role=True)] if role else []
    association = ae.associate("127.0.0.1", listener.port, ae_title="CXR_NODE", ext_neg=roles)
    assert association.is_established
    response, _ = send(association)
    association.release()
    status: int | None = response.get("Status")
    return status


def action(transaction: str = "1.2.7", *uids: str) -> Dataset:
    information = Dataset()
    information.TransactionUID = transaction
    information.ReferencedSOPSequence = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = SR, uid
        information.ReferencedSOPSequence.append(item)
    return information


def test_a_peer_that_proposes_no_role_may_report_too(listener: Listener, ledger: Ledger) -> None:
    information = Dataset()
    information.TransactionUID = "1.2.7"
    assert call(listener, lambda a: a.send_n_event_report(information, 1, PUSH_MODEL, WELL_KNOWN)) == Status.SUCCESS
    assert len(ledger.reports) == 1


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ((action("1.2.7"), 3, PUSH_MODEL, WELL_KNOWN), Status.NO_SUCH_EVENT),
        ((action("1.2.7"), 1, PUSH_MODEL, "1.2.3"), Status.NO_SUCH_INSTANCE),
        ((action(""), 1, PUSH_MODEL, WELL_KNOWN), Status.INVALID_ARGUMENT),
        ((None, 1, PUSH_MODEL, WELL_KNOWN), Status.INVALID_ARGUMENT),
    ],
)
def test_a_report_that_makes_no_sense(listener: Listener, ledger: Ledger, asked: Any, status: Status) -> None:
    assert call(listener, lambda a: a.send_n_event_report(*asked), role=True) == status
    assert ledger.reports == []


def test_a_machine_asks_for_commitment(listener: Listener, ledger: Ledger) -> None:
    asks = action("1.2.7", "1.2.9.1", "1.2.9.2")
    status = call(listener, lambda a: a.send_n_action(asks, 1, PUSH_MODEL, WELL_KNOWN))
    if ledger.requests:
        assert status == Status.SUCCESS
        references = (Reference(SR, "1.2.9.1"), Reference(SR, "1.2.9.2"))
        assert ledger.requests == [Request("1.2.7", "XRAY1", references)]
    else:
        assert status == Status.NOT_AUTHORISED


@pytest.mark.parametrize("listener", [True], indirect=True)
@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ((action("1.2.7", "1.2.9.1"), 2, PUSH_MODEL, WELL_KNOWN), Status.NO_SUCH_ACTION),
        ((action("1.2.7", "1.2.9.1"), 1, PUSH_MODEL, "1.2.3"), Status.NO_SUCH_INSTANCE),
        ((action("", "1.2.9.1"), 1, PUSH_MODEL, WELL_KNOWN), Status.INVALID_ARGUMENT),
        ((action("1.2.7"), 1, PUSH_MODEL, WELL_KNOWN), Status.INVALID_ARGUMENT),
        ((None, 1, PUSH_MODEL, WELL_KNOWN), Status.INVALID_ARGUMENT),
    ],
)
def test_a_request_that_makes_no_sense(listener: Listener, ledger: Ledger, asked: Any, status: Status) -> None:
    assert call(listener, lambda a: a.send_n_action(*asked)) == status
    assert ledger.requests == []


# -- reporting to a machine


class Machine:
    """An X-ray machine that takes reports and answers them with `status`."""

    def __init__(self, status: int = 0x0000) -> None:
        self.reports: list[tuple[int, Dataset]] = []
        self.roles: list[Any] = []
        ae = AE(ae_title="KEEPER")
        ae.add_supported_context(PUSH_MODEL, SYNTAXES, scu_role=True, scp_role=True)

        def take(event: evt.Event) -> tuple[int, None]:
            self.reports.append((event.event_type, event.event_information))
            self.roles += event.assoc.requestor.role_selection.values()
            return status, None

        self.server: Any = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, take)])
        self.port = self.server.server_address[1]

    def stop(self) -> None:
        threading.Thread(target=self.server.shutdown).start()


def test_a_report_says_where_each_instance_can_be_had_or_why_not() -> None:
    machine = Machine()
    failed = Outcome(STRAY, failure=Reason.NO_SUCH_INSTANCE)
    notify(peer(machine.port), "CXR_NODE", "1.2.7", [Outcome(DOCUMENT, "ARCHIVE"), failed])
    notify(peer(machine.port), "CXR_NODE", "1.2.7", [Outcome(DOCUMENT, "ARCHIVE")])
    notify(peer(machine.port), "CXR_NODE", "1.2.7", [failed])
    (both, mixed), (all_, whole), (none, lost) = machine.reports
    assert (both, all_, none) == (2, 1, 2)
    (item,), (other,) = mixed.ReferencedSOPSequence, mixed.FailedSOPSequence
    assert (item.ReferencedSOPInstanceUID, item.RetrieveAETitle) == ("1.2.9.1", "ARCHIVE")
    assert (other.ReferencedSOPInstanceUID, other.FailureReason) == ("1.2.9.2", 0x0112)
    assert "FailedSOPSequence" not in whole
    assert "ReferencedSOPSequence" not in lost
    assert all((role.scu_role, role.scp_role) == (False, True) for role in machine.roles)
    assert len(machine.roles) == 3
    machine.stop()


def test_a_machine_that_does_not_take_the_report() -> None:
    machine = Machine(0x0115)
    with pytest.raises(Permanent, match="0x0115"):
        notify(peer(machine.port), "CXR_NODE", "1.2.7", [Outcome(DOCUMENT, "ARCHIVE")])
    machine.stop()
