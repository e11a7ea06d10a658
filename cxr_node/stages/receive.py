"""Taking responsibility for an object that a peer sends (Law 2).

A film is acknowledged when its bytes are synced under their final name and its row is committed, together with the
jobs that follow from it. What cannot be taken for a film is kept aside, and the sender is told why.
"""

import errno
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from pydicom.dataset import Dataset

from cxr_node.domain.clock import Clock
from cxr_node.domain.eligibility import PROJECTION_CLASSES, SECONDARY_CAPTURE, Rules, judge
from cxr_node.domain.instance import Header, InstanceState
from cxr_node.domain.intake import Answer, Received, Verdict
from cxr_node.domain.job import NewJob
from cxr_node.domain.study import Judging, Waiting
from cxr_node.errors import Permanent, Transient
from cxr_node.imaging.instance import read_instance
from cxr_node.imaging.note import KEY_OBJECTS, read_note
from cxr_node.imaging.part10 import read_complete
from cxr_node.message import Message
from cxr_node.spool import Spool
from cxr_node.stages.notes import Notes
from cxr_node.store import (
    corrections,
    events,
    jobs,
    orders,
    priors,
    steps,
    studies,
    windows,
    withdrawal,
    worklist,
)
from cxr_node.store.db import Store, Tx
from cxr_node.store.studies import Arrival, Stored

log = structlog.get_logger()

_FILM_CLASSES = frozenset({*PROJECTION_CLASSES, SECONDARY_CAPTURE})
_MISMATCH = Permanent("UID_MISMATCH", "the SOP UIDs of the data set differ from those of the command")
_ANSWERS = {
    errno.ENOSPC: Answer.OUT_OF_RESOURCES,
    errno.EDQUOT: Answer.OUT_OF_RESOURCES,
    errno.EFBIG: Answer.NOT_UNDERSTOOD,  # it will not get smaller by trying again
}


@dataclass(frozen=True, slots=True)
class Receive:
    """The intake of one node.

    `judging` is asked in each transaction, since another model may come into service; `charsets` gives the character
    set of senders that misstate it, by calling AE title; `wake` tells the other processes that there is work;
    `pseudonym` gives the name of a study in the log; `asking`: the kinds of the jobs that ask RIS and PACS about a
    study that comes.
    """

    store: Store
    spool: Spool
    rules: Rules
    judging: Callable[[], Judging]
    waiting: Waiting
    charsets: Mapping[str, str]
    clock: Clock
    wake: Callable[[], None]
    pseudonym: Callable[[str], str]
    asking: Sequence[str] = ()

    def accept(self, received: Received) -> Verdict:
        if received.error is not None:
            return self._refuse(received, received.error)
        if self.spool.below_watermark():
            return self._refuse(received, Transient("DISK_WATERMARK", "the disk is almost full"))
        try:
            return self._file(received)
        except (OSError, Transient) as error:
            return self._refuse(received, error)

    def full(self) -> bool:
        return self.spool.below_watermark()

    def released(self, released: frozenset[str]) -> None:
        """With a shorter wait after release configured, move the end of the wait of these studies forward."""
        if self.waiting.after_release is None:
            return
        due = self.clock() + self.waiting.after_release
        with self.store.transaction() as tx:
            for study in released:
                if not steps.in_progress(tx, study):  # its X-ray machine says that more is to come
                    jobs.hasten(tx, NewJob("settle", study, not_before=due))
        self.wake()

    def _file(self, received: Received) -> Verdict:
        if received.sop_class_uid not in {*_FILM_CLASSES, KEY_OBJECTS}:
            return self._drop(received, "not an X-ray image class")
        try:
            dataset = read_complete(received.path, self.charsets.get(received.calling_ae_title))
            if received.sop_class_uid == KEY_OBJECTS:
                return self._selection(received, dataset)
            header = read_instance(dataset)
        except Permanent as error:
            answer = Answer.MISMATCH if error.code.startswith("UID") else Answer.NOT_UNDERSTOOD
            return self._keep_aside(received, error, answer)
        if (header.sop_class_uid, header.sop_instance_uid) != (received.sop_class_uid, received.sop_instance_uid):
            return self._keep_aside(received, _MISMATCH, Answer.MISMATCH)
        if header.sop_class_uid == SECONDARY_CAPTURE and header.modality not in self.rules.modalities:
            return self._drop(received, "a secondary capture that is not a radiograph")
        return self._store(received, header)

    def _selection(self, received: Received, dataset: Dataset) -> Verdict:
        """A Key Object Selection is not kept, but what it rejects is."""
        note = read_note(dataset)
        if note is None:
            return self._drop(received, "not an X-ray image class, and no rejection note")
        if note.sop_instance_uid != received.sop_instance_uid:
            return self._keep_aside(received, _MISMATCH, Answer.MISMATCH)
        Notes(self.store, self.judging, self.clock, self.pseudonym).take(note, received)
        self.wake()
        return Verdict(Answer.STORED)

    def _store(self, received: Received, header: Header) -> Verdict:
        stored = Verdict(Answer.STORED, study=header.study_instance_uid)
        digest = received.digest
        known = self._known(digest)
        if known is not None and self.spool.path(known.arrival.path).is_file():
            self._repeat(known, received)
            return stored
        size = received.path.stat().st_size
        arrival = Arrival(
            digest=digest,
            path=self.spool.keep_film(received.path, received.stream, digest),
            size=size,
            transfer_syntax=received.transfer_syntax,
            calling_ae_title=received.calling_ae_title,
            received_at=self.clock(),
            header=header,
        )
        try:
            self.store.together(lambda tx: self._record(tx, arrival, received.address))
        except sqlite3.IntegrityError:  # it has a row: its file was lost, or it came twice at the same moment
            if self._known(digest) is None:
                raise
            with self.store.transaction() as tx:
                studies.returned(tx, digest)
            return stored
        self.wake()
        study = self.pseudonym(header.study_instance_uid)
        log.info("instance.stored", study=study, film=digest[:12], bytes=size, calling=received.calling_ae_title)
        return stored

    def _repeat(self, known: Stored, received: Received) -> None:
        """The same bytes again: no work. Of a version that was corrected since, a person may want to know."""
        study, digest, calling = known.arrival.header.study_instance_uid, received.digest, received.calling_ae_title
        known_as = {"study": self.pseudonym(study), "film": digest[:12], "calling": calling}
        if known.state is not InstanceState.SUPERSEDED:
            log.info("instance.repeated", **known_as)
            return
        reason = Message("it was corrected since, and the correction stays in use")
        with self.store.transaction() as tx:
            events.append(tx, self.clock(), "instance.outdated", study, reason=reason, digest=digest, calling=calling)
        log.warning("instance.outdated", reason=reason, **known_as)

    def _known(self, digest: str) -> Stored | None:
        with self.store.reading() as tx:
            return studies.by_digest(tx, digest)

    def _record(self, tx: Tx, arrival: Arrival, address: str) -> None:
        header, now = arrival.header, arrival.received_at
        study = header.study_instance_uid
        refusal = judge(header, self.rules)
        comparing = studies.current_version(tx, header.sop_instance_uid) is not None
        rejected = corrections.is_rejected(tx, header.sop_instance_uid)
        studies.add(tx, arrival, InstanceState.COMPARING if comparing else InstanceState.CURRENT, refusal)
        events.append(
            tx, now, "instance.stored", study,
            sop_instance_uid=header.sop_instance_uid, digest=arrival.digest, calling=arrival.calling_ae_title,
            address=address, sop_class_uid=header.sop_class_uid, patient_id=header.patient_id,
            issuer_of_patient_id=header.issuer_of_patient_id, accession_number=header.accession_number,
        )  # fmt: skip
        if comparing:
            jobs.enqueue(tx, [NewJob("compare", arrival.digest)], now)
            return
        if refusal:
            events.append(
                tx, now, "instance.refused", study,
                sop_instance_uid=header.sop_instance_uid, code=refusal.code, reason=refusal.reason,
            )  # fmt: skip
        worklist.arrive(tx, header, now, counts=not rejected)
        orders.film_came(tx, study, now)
        # Not only this film: earlier ones of the study may have been judged by a model that is gone.
        judging = self.judging()
        model = judging.model_digest
        jobs.enqueue(tx, [NewJob("analyse", digest, model) for digest in studies.unjudged(tx, study, model)], now)
        worklist.refresh(tx, study, judging, now)
        priors.film_came(tx, study, arrival.digest, now)
        if moved := withdrawal.follow(tx, study, judging, now):
            log.warning(f"study.{moved.state}", study=self.pseudonym(study), reason=moved.reason)
        due = windows.films_due(tx, study, self.waiting)
        jobs.enqueue(tx, [NewJob("settle", study, not_before=due or now)], now)
        asking = () if priors.marked(tx, study) else self.asking
        for asked in (NewJob(kind, study, not_before=now) for kind in asking):
            jobs.enqueue_unless_open(tx, [asked], now)
            jobs.hasten(tx, asked)  # it may wait to ask again

    def _drop(self, received: Received, why: str) -> Verdict:
        """Objects that a route sends along: recorded, not kept, and no reason for the route to fail."""
        with self.store.transaction() as tx:
            events.append(
                tx, self.clock(), "object.dropped", None,
                sop_class_uid=received.sop_class_uid, sop_instance_uid=received.sop_instance_uid,
                calling=received.calling_ae_title, reason=why,
            )  # fmt: skip
        log.info("object.dropped", sop_class=received.sop_class_uid, reason=why, calling=received.calling_ae_title)
        return Verdict(Answer.STORED)

    def _keep_aside(self, received: Received, error: Permanent, answer: Answer) -> Verdict:
        path = self.spool.keep_aside(received.path, received.stream, received.digest)
        caller = {"calling": received.calling_ae_title, "address": received.address}
        known = {"code": error.code, "reason": error.message, "path": path, **caller}
        with self.store.transaction() as tx:
            events.append(tx, self.clock(), "object.quarantined", None, **known)
        log.warning("object.quarantined", status=f"0x{answer:04X}", **known)
        return Verdict(answer, error.message)

    def _refuse(self, received: Received, error: OSError | Transient) -> Verdict:
        """The node cannot take it now: out of resources where the sender should try again later, else our own fault."""
        if isinstance(error, Transient):
            answer, reason = Answer.OUT_OF_RESOURCES, error.message
        else:
            answer = _ANSWERS.get(error.errno or 0, Answer.FAULT)
            reason = error.strerror or type(error).__name__
        log.error("instance.refused", reason=reason, status=f"0x{answer:04X}", calling=received.calling_ae_title)
        return Verdict(answer, reason)
