"""commit: does a destination keep what it was sent? Asked by storage commitment, or else by C-FIND."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from cxr_node.dimse.inquiry import Asking
from cxr_node.dimse.sender import Peer
from cxr_node.domain.clock import Clock
from cxr_node.domain.commitment import Held, Reference, Reply, Report, Status, Terms
from cxr_node.domain.job import Job, NewJob
from cxr_node.errors import Permanent, Transient
from cxr_node.message import Message
from cxr_node.stages.stage import Commit, Stage, attempt
from cxr_node.store import commitments, events
from cxr_node.store.commitments import Sent
from cxr_node.store.db import Store, Tx

log = structlog.get_logger()

_REQUESTS = 3  # without an answer, each with twice the wait of the one before
_RESENDINGS = 3  # of a document that the destination does not keep

Pair = tuple[Job, Sent]


@dataclass(frozen=True, slots=True)
class Commitment(Stage):
    """Asks for what waits at a destination in one request; the report comes whenever it comes, and ends the job.

    `inquire` as in `dimse.inquiry`, `reported` takes a report that comes at once, `new_uid` gives Transaction UIDs.
    """

    store: Store
    peers: Mapping[str, Peer]
    terms: Mapping[str, Terms]
    inquire: Callable[[Peer, Sequence[Reference], Asking | None], Reply]
    reported: Callable[[Report], Status]
    new_uid: Callable[[], str]
    clock: Clock

    def run_batch(self, jobs: Sequence[Job]) -> Sequence[Commit | Exception]:
        outcomes: dict[int, Commit | Exception] = {}
        for name in {job.target for job in jobs}:
            batch = [job for job in jobs if job.target == name]
            found = attempt(partial(self._at, name), batch)
            outcomes |= dict.fromkeys((job.id for job in batch), found) if isinstance(found, Exception) else found
        return [outcomes[job.id] for job in jobs]

    def _at(self, name: str, batch: Sequence[Job]) -> dict[int, Commit | Exception]:
        """What comes of the jobs of one destination."""
        if name not in self.peers:
            raise Permanent("DESTINATION_UNKNOWN", Message("no [[destination]] is named {name!r} any more", name=name))
        self._give_up_waiting(name, batch)
        with self.store.reading() as tx:
            known = [(job, commitments.sent(tx, job.subject, name)) for job in batch]
        outcomes: dict[int, Commit | Exception] = {job.id: _nothing for job in batch}
        asking: list[Pair] = []
        looking: list[Pair] = []
        for job, sent in known:
            if sent is None or sent.sent_at is None:
                continue  # it is to be sent again first
            if sent.failure is not None:
                outcomes[job.id] = self._refused(job, sent)
            elif self.terms[name].wanted == "off" or sent.unanswered >= _REQUESTS:
                looking.append((job, sent))
            else:
                asking.append((job, sent))
        outcomes |= self._inquired(name, asking, self._asking(name, asking))
        return outcomes | self._inquired(name, looking, None)

    def _inquired(self, name: str, pairs: Sequence[Pair], asking: Asking | None) -> dict[int, Commit | Exception]:
        if not pairs:
            return {}
        reply = attempt(
            lambda references: self.inquire(self.peers[name], references, asking),
            [sent.reference for _, sent in pairs],
        )
        if isinstance(reply, Exception):
            return {job.id: reply for job, _ in pairs}
        return {job.id: self._judged(job, sent, reply) for job, sent in pairs}

    def _give_up_waiting(self, name: str, batch: Sequence[Job]) -> None:
        now, overdue = self.clock(), 0
        with self.store.transaction() as tx:
            for job in batch:
                sent = commitments.sent(tx, job.subject, name)
                if sent and sent.asked_at is not None and sent.failure is None and now >= self._due(sent):
                    overdue += 1
                    commitments.give_up_waiting(tx, job.subject, name)
                    self._record(tx, "commitment.overdue", sent, requests=sent.unanswered + 1)
        if overdue:
            log.warning("commitment.overdue", destination=name, documents=overdue)

    def _due(self, sent: Sent) -> float:
        """When the report on the newest request should have come."""
        assert sent.asked_at is not None  # noqa: S101 - only asked of what was asked for
        return sent.asked_at + self.terms[sent.destination].patience * 2.0**sent.unanswered

    def _asking(self, name: str, pairs: Sequence[Pair]) -> Asking:
        def begin() -> str:
            uid, now = self.new_uid(), self.clock()
            with self.store.transaction() as tx:
                commitments.begin(tx, uid, name, [job.subject for job, _ in pairs], now)
            return uid

        return Asking(begin, self.reported)

    def _judged(self, job: Job, sent: Sent, reply: Reply) -> Commit | Exception:
        """What follows from a reply for one document."""
        uid, wanted = sent.reference.sop_instance_uid, self.terms[job.target].wanted
        if reply.asked:
            return partial(self._wait, job)
        if wanted == "on":
            return reply.refusal or Permanent(
                "COMMITMENT_OVERDUE",
                Message(
                    "{target} took {requests} requests for commitment and reported on none",
                    target=job.target,
                    requests=_REQUESTS,
                ),
            )
        if reply.held is None:
            return _nothing  # `sent` is final
        if uid not in reply.held:
            return Transient(
                "QUERY_UNFINISHED",
                Message("{target} answers C-FIND too slowly for all that is asked", target=job.target),
            )
        return self._looked(job, sent, reply.held[uid])

    def _wait(self, job: Job, tx: Tx) -> Iterable[NewJob]:
        sent = commitments.sent(tx, job.subject, job.target)
        assert sent  # noqa: S101 - the job was asked about, and deliveries are never deleted
        self._record(tx, "commitment.requested", sent)
        return [NewJob("commit", job.subject, job.target, not_before=self._due(sent))]

    def _looked(self, job: Job, sent: Sent, held: Held | None) -> Commit | Exception:
        now, patience = self.clock(), self.terms[job.target].patience
        if held is not None and held.sop_class_uid in ("", sent.reference.sop_class_uid):
            return partial(self._found, job, sent)
        assert sent.sent_at is not None  # noqa: S101 - only what was sent is looked for
        if now < sent.sent_at + patience:  # an archive may take its time to index what it has
            return lambda _: [NewJob("commit", job.subject, job.target, not_before=now + min(60.0, patience / 5))]
        why = Message("{target} acknowledged the document and does not have it", target=job.target)
        return self._again(job, sent, "NOT_KEPT", why)

    def _found(self, job: Job, sent: Sent, tx: Tx) -> Iterable[NewJob]:
        if commitments.confirm(tx, job.subject, job.target, "query", self.clock()):
            self._record(tx, "document.found", sent)
        return ()

    def _refused(self, job: Job, sent: Sent) -> Commit | Exception:
        why = Message(
            "{target} does not commit to the document: Failure Reason 0x{failure:04X} (PS3.3 C.14.1.1)",
            target=job.target,
            failure=sent.failure,
        )
        return self._again(job, sent, "NOT_COMMITTED", why)

    def _again(self, job: Job, sent: Sent, code: str, why: Message) -> Commit | Exception:
        """Send a document that is not kept again after a pause, unless that was done often enough."""
        if sent.resent >= _RESENDINGS:
            return Permanent(code, Message("{why}; it was sent {count} times", why=why, count=sent.resent + 1))
        pause = self.terms[job.target].patience / 10 * 2.0**sent.resent
        log.warning("document.not_kept", destination=job.target, code=code, reason=why, seconds=pause)

        def commit(tx: Tx) -> Iterable[NewJob]:
            commitments.send_again(tx, job.subject, job.target)
            self._record(tx, "document.not_kept", sent, code=code, reason=why)
            return [NewJob("deliver", job.subject, job.target, not_before=self.clock() + pause)]

        return commit

    def _record(self, tx: Tx, event: str, sent: Sent, **detail: object) -> None:
        document = sent.reference
        events.append(
            tx, self.clock(), event, document.study_instance_uid,
            kind=sent.kind, sop_instance_uid=document.sop_instance_uid, destination=sent.destination, **detail,
        )  # fmt: skip


def _nothing(tx: Tx) -> Iterable[NewJob]:  # noqa: ARG001 - as a Commit is called
    """There is nothing to write: it was sent, and that is all that can be known; or it waits to be sent again."""
    return ()
