"""What is said over the network about storage commitment: on record before it is answered, or asked."""

import base64
from collections.abc import Collection
from dataclasses import dataclass

import structlog

from cxr_node.dimse.sender import Peer
from cxr_node.domain.clock import Clock
from cxr_node.domain.commitment import Query, Report, Request, Status
from cxr_node.domain.job import NewJob
from cxr_node.domain.study import Waiting
from cxr_node.errors import Transient
from cxr_node.stages.stage import attempt
from cxr_node.store import commitments, events, jobs, results, windows
from cxr_node.store.db import Store, Tx

log = structlog.get_logger()

_MOST_REFERENCES = 5000  # of one request


@dataclass(frozen=True, slots=True)
class CommitmentLedger:
    """Of one node. `requesters` are the AE titles of the X-ray machines that can be answered; `waiting` is how
    long studies wait for further films.

    What follows is done by jobs, which are found by polling: nobody waits for it.
    """

    store: Store
    waiting: Waiting
    requesters: Collection[str]
    clock: Clock

    def reported(self, report: Report) -> Status:
        return _answer(attempt(self._report, report))

    def requested(self, request: Request) -> Status:
        return _answer(attempt(self._request, request))

    def queried(self, peer: Peer, query: Query) -> None:
        """A peer is about to be asked by C-FIND; the audit trail tells with which words (PS3.15 A.5.3.10).

        Raises Transient when it cannot be recorded, so that nothing is asked.
        """
        with self.store.transaction() as tx:
            events.append(
                tx, self.clock(), "peer.queried", query.reference.study_instance_uid or None,
                ae_title=peer.ae_title, host=peer.host, information_model_uid=query.information_model_uid,
                transfer_syntax_uid=query.transfer_syntax_uid, identifier=base64.b64encode(query.identifier).decode(),
            )  # fmt: skip

    def _report(self, report: Report) -> Status:
        now = self.clock()
        known = {"committed": len(report.committed), "failed": len(report.failed)}
        with self.store.transaction() as tx:
            destination = commitments.destination_of(tx, report.transaction_uid)
            if destination is None:
                events.append(tx, now, "commitment.unknown", None, transaction_uid=report.transaction_uid, **known)
            else:
                for uid in report.committed:
                    self._committed(tx, uid, destination, now)
                for uid, failure in report.failed.items():
                    if commitments.refuse(tx, uid, destination, report.transaction_uid, failure):
                        jobs.enqueue(tx, [NewJob("commit", uid, destination)], now)
        if destination is None:
            log.warning("commitment.unknown", reason="a report on a request that this node did not make", **known)
            return Status.INVALID_ARGUMENT
        log.info("commitment.reported", destination=destination, **known)
        return Status.SUCCESS

    def _committed(self, tx: Tx, uid: str, destination: str, now: float) -> None:
        document = results.document(tx, uid)
        if document and commitments.confirm(tx, uid, destination, "commitment", now):
            jobs.end(tx, "commit", uid, destination, now)
            events.append(
                tx, now, "document.committed", document.study_instance_uid,
                kind=document.kind, sop_instance_uid=uid, destination=destination,
            )  # fmt: skip

    def _request(self, request: Request) -> Status:
        now, known = self.clock(), {"requester": request.requester, "instances": len(request.references)}
        status = Status.SUCCESS
        if request.requester not in self.requesters:
            status, why = Status.NOT_AUTHORISED, "no [[modality]] has this AE title, so it could not be answered"
        elif len(request.references) > _MOST_REFERENCES:
            status, why = Status.RESOURCE_LIMITATION, f"more than {_MOST_REFERENCES} instances in one request"
        with self.store.transaction() as tx:
            if status is Status.SUCCESS:
                commitments.add_request(tx, request, now)
                jobs.enqueue(tx, [NewJob("confirm", request.transaction_uid, request.requester)], now)
                self._end_waits(tx, request, now)
                events.append(tx, now, "commitment.asked", None, transaction_uid=request.transaction_uid, **known)
            else:
                events.append(tx, now, "commitment.refused", None, reason=why, **known)
        if status is Status.SUCCESS:
            log.info("commitment.asked", **known)
        else:
            log.warning("commitment.refused", reason=why, status=f"0x{status:04X}", **known)
        return status

    def _end_waits(self, tx: Tx, request: Request, now: float) -> None:
        """What a machine lists is complete: where all of it is here, its studies need not wait for more."""
        for study in commitments.studies(tx, request.requester, request.transaction_uid):
            due = windows.films_due(tx, study, self.waiting)
            if due is not None:
                jobs.hasten(tx, NewJob("settle", study, not_before=max(due, now)))


def _answer(outcome: Status | Exception) -> Status:
    """A peer is answered whatever goes wrong here."""
    if isinstance(outcome, Transient):
        log.warning("commitment.unrecorded", code=outcome.code, reason=outcome.message)
        return Status.RESOURCE_LIMITATION
    if isinstance(outcome, Exception):
        log.error("commitment.unrecorded", exc_info=outcome)
        return Status.PROCESSING_FAILURE
    return outcome
