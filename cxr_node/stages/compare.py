"""compare: other bytes came under a SOP Instance UID that we hold; what changed decides what follows.

Another coding of the same film changes nothing. A corrected identity or order makes the new version the current one,
and a new revision of the study. Other pixels under the same UID break the rules of DICOM (PS3.3 C.12.1.1): a person
decides.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from cxr_node.domain.clock import Clock
from cxr_node.domain.instance import InstanceState
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.study import Judging, Waiting
from cxr_node.errors import Ineligible, Permanent
from cxr_node.imaging.film import pixel_digest
from cxr_node.imaging.header import read
from cxr_node.imaging.part10 import read_film
from cxr_node.imaging.pixels import decode
from cxr_node.message import Message
from cxr_node.spool import Spool
from cxr_node.stages.stage import Commit, SingleStage
from cxr_node.store import events, jobs, messages, orders, results, studies, windows, withdrawal, worklist
from cxr_node.store.db import Store, Tx
from cxr_node.store.studies import Stored

IDENTITY = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "OtherPatientIDsSequence",
    "StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "AccessionNumber", "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName", "RequestAttributesSequence", "StudyDescription", "ProcedureCodeSequence",
    "RequestedProcedureID", "RequestedProcedurePriority",
)  # fmt: skip
"""The attributes that say whose film it is and which order it answers."""
_CORRECTED = Message("the identity it carries was corrected")


@dataclass(frozen=True, slots=True)
class Compare(SingleStage):
    """Settles which version of an instance counts."""

    store: Store
    spool: Spool
    judging: Judging
    waiting: Waiting
    clock: Clock

    def run(self, job: Job) -> Commit:
        with self.store.reading() as tx:
            new = studies.by_digest(tx, job.subject)
            old = studies.current_version(tx, new.arrival.header.sop_instance_uid) if new else None
        if new is None or old is None or old.arrival.digest == job.subject:
            raise Permanent("INSTANCE_UNKNOWN", Message("there is no earlier version to compare with any more"))
        before, after = (read_film(self.spool.path(one.arrival.path)) for one in (old, new))
        old_pixels, new_pixels = _pixels(before), _pixels(after)
        changed = [keyword for keyword in IDENTITY if _said(before, keyword) != _said(after, keyword)]
        readmitted = (old.refusal is None) != (new.refusal is None)
        if new_pixels is None or (old_pixels is not None and old_pixels != new_pixels):
            return lambda tx: self._quarantine(tx, new)
        if changed or readmitted or old_pixels is None:
            return lambda tx: self._supersede(tx, old, new, changed)
        return lambda tx: self._keep(tx, new)

    def abandoned(self, tx: Tx, job: Job) -> Iterable[NewJob]:
        return set_aside(tx, job.subject, self.waiting, self.clock())

    def _quarantine(self, tx: Tx, new: Stored) -> Iterable[NewJob]:
        reason = Message(
            "other pixels came under a SOP Instance UID that is already here; the first version stays in use"
        )
        self._record(tx, "instance.quarantined", new, reason=reason)
        return set_aside(tx, new.arrival.digest, self.waiting, self.clock())

    def _keep(self, tx: Tx, new: Stored) -> Iterable[NewJob]:
        studies.set_state(tx, new.arrival.digest, InstanceState.REPEATED)
        self._record(tx, "instance.repeated", new)
        return _settle(tx, _studies(tx, new), self.waiting, self.clock())

    def _supersede(self, tx: Tx, old: Stored, new: Stored, changed: list[str]) -> Iterable[NewJob]:
        now, header = self.clock(), new.arrival.header
        left = old.arrival.header.study_instance_uid
        studies.set_state(tx, old.arrival.digest, InstanceState.SUPERSEDED)
        studies.set_state(tx, new.arrival.digest, InstanceState.CURRENT)
        self._record(tx, "instance.corrected", new, changed=changed, supersedes=old.arrival.digest)
        worklist.arrive(tx, header, old.arrival.received_at, corrected=True)
        orders.film_came(tx, header.study_instance_uid, now)
        jobs.enqueue(tx, messages.call_off(tx, left, "SUPERSEDED", _CORRECTED, now), now)
        if called_off := results.call_off(tx, left, "SUPERSEDED", _CORRECTED, now):
            events.append(tx, now, "study.deliveries_called_off", left, count=called_off)
        model = self.judging.model_digest
        waiting = studies.unjudged(tx, header.study_instance_uid, model)
        jobs.enqueue(tx, [NewJob("analyse", digest, model) for digest in waiting], now)
        for study in {header.study_instance_uid, left}:
            worklist.refresh(tx, study, self.judging, now)
            withdrawal.follow(tx, study, self.judging, now)
        return _settle(tx, {header.study_instance_uid, left}, self.waiting, now)

    def _record(self, tx: Tx, event: str, new: Stored, **detail: object) -> None:
        header = new.arrival.header
        known = {"sop_instance_uid": header.sop_instance_uid, "digest": new.arrival.digest}
        events.append(tx, self.clock(), event, header.study_instance_uid, **known, **detail)


def set_aside(tx: Tx, digest: str, waiting: Waiting, now: float) -> Iterable[NewJob]:
    """A version that contradicts the first, or cannot be compared, stays out of use until a person looks at it."""
    studies.set_state(tx, digest, InstanceState.QUARANTINED)
    new = studies.by_digest(tx, digest)
    return _settle(tx, _studies(tx, new), waiting, now) if new else ()


def _studies(tx: Tx, new: Stored) -> set[str]:
    """The studies whose documents may have waited for a comparison: that of the new version, and that of the old."""
    old = studies.current_version(tx, new.arrival.header.sop_instance_uid)
    return {one.arrival.header.study_instance_uid for one in (old, new) if one}


def _settle(tx: Tx, waited: set[str], waiting: Waiting, now: float) -> list[NewJob]:
    """Documents are due when the wait for further films ends, or now."""
    dues = {study: windows.films_due(tx, study, waiting) for study in sorted(waited)}
    return [NewJob("settle", study, not_before=max(due or now, now), only_sooner=True) for study, due in dues.items()]


def _pixels(dataset: Dataset) -> str | None:
    """The digest of what the film shows, or None where it shows nothing."""
    try:
        return pixel_digest(decode(dataset), dataset)
    except (Permanent, Ineligible):
        return None


def _said(dataset: Dataset, keyword: str) -> str:
    """What an attribute says, whatever its coding; the same for one that is empty and one that is absent."""
    value = read(dataset, keyword)
    if value is None or (isinstance(value, Sequence) and not value):
        return ""
    try:
        return json.dumps(dataset[keyword].to_json_dict(None, 0), sort_keys=True)
    except (TypeError, ValueError, AttributeError):
        return str(value)  # it does not fit its VR: compared as it stands
