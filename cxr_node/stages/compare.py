"""compare: other bytes came under a SOP Instance UID that we hold; what changed decides what follows.

Another coding of the same film changes nothing. A corrected identity or order makes the new version the current one,
and a new revision of the study. Other pixels under the same UID break the rules of DICOM (PS3.3 C.12.1.1): a person
decides.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.dataset import Dataset

from cxr_node.domain.clock import Clock
from cxr_node.domain.instance import InstanceState
from cxr_node.domain.job import Job, NewJob
from cxr_node.errors import Ineligible, Permanent
from cxr_node.imaging.film import pixel_digest
from cxr_node.imaging.part10 import read_film
from cxr_node.imaging.pixels import decode
from cxr_node.spool import Spool
from cxr_node.stages.receive import Waiting
from cxr_node.stages.stage import Commit, SingleStage
from cxr_node.store import events, jobs, studies, worklist
from cxr_node.store.db import Store, Tx
from cxr_node.store.studies import Stored
from cxr_node.store.worklist import Judging

IDENTITY = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "OtherPatientIDsSequence",
    "StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "AccessionNumber", "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName", "RequestAttributesSequence", "StudyDescription", "ProcedureCodeSequence",
    "RequestedProcedureID", "RequestedProcedurePriority",
)  # fmt: skip
"""The attributes that say whose film it is and which order it answers."""


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
            raise Permanent("INSTANCE_UNKNOWN", "there is no earlier version to compare with any more")
        before, after = (read_film(self.spool.path(one.arrival.path)) for one in (old, new))
        old_pixels, new_pixels = _pixels(before), _pixels(after)
        changed = [keyword for keyword in IDENTITY if _shown(before, keyword) != _shown(after, keyword)]
        if new_pixels is None or (old_pixels is not None and old_pixels != new_pixels):
            return lambda tx: self._quarantine(tx, new)
        if changed or old_pixels is None:
            return lambda tx: self._supersede(tx, old, new, changed)
        return lambda tx: self._keep(tx, new)

    def abandoned(self, tx: Tx, job: Job) -> Iterable[NewJob]:
        set_aside(tx, job.subject)
        return ()

    def _quarantine(self, tx: Tx, new: Stored) -> Iterable[NewJob]:
        studies.set_state(tx, new.arrival.digest, InstanceState.QUARANTINED)
        reason = "other pixels came under a SOP Instance UID that is already here; the first version stays in use"
        self._record(tx, "instance.quarantined", new, reason=reason)
        return ()

    def _keep(self, tx: Tx, new: Stored) -> Iterable[NewJob]:
        studies.set_state(tx, new.arrival.digest, InstanceState.REPEATED)
        self._record(tx, "instance.repeated", new)
        return ()

    def _supersede(self, tx: Tx, old: Stored, new: Stored, changed: list[str]) -> Iterable[NewJob]:
        now, header = self.clock(), new.arrival.header
        studies.set_state(tx, old.arrival.digest, InstanceState.SUPERSEDED)
        studies.set_state(tx, new.arrival.digest, InstanceState.CURRENT)
        self._record(tx, "instance.corrected", new, changed=changed, supersedes=old.arrival.digest)
        worklist.arrive(tx, header, now)
        if new.refusal is None:
            jobs.enqueue(tx, [NewJob("analyse", new.arrival.digest, self.judging.model_digest)], now)
        for study in {header.study_instance_uid, old.arrival.header.study_instance_uid}:
            worklist.refresh(tx, study, self.judging, now)
        due = studies.settle_due(tx, header.study_instance_uid, self.waiting.settle, self.waiting.maximum)
        return [NewJob("settle", header.study_instance_uid, not_before=due or now)]

    def _record(self, tx: Tx, event: str, new: Stored, **detail: object) -> None:
        header = new.arrival.header
        known = {"sop_instance_uid": header.sop_instance_uid, "digest": new.arrival.digest}
        events.append(tx, self.clock(), event, header.study_instance_uid, **known, **detail)


def set_aside(tx: Tx, digest: str) -> None:
    """A version that could not be compared stays out of use until a person looks at it."""
    studies.set_state(tx, digest, InstanceState.QUARANTINED)


def _pixels(dataset: Dataset) -> str | None:
    """The digest of what the film shows, or None where it shows nothing."""
    try:
        return pixel_digest(decode(dataset), dataset)
    except (Permanent, Ineligible):
        return None


def _shown(dataset: Dataset, keyword: str) -> str:
    """A digest of an attribute's value, whatever its form: two values are compared, never shown."""
    element = dataset.get_item(keyword)
    text = "" if element is None else repr(dataset.get(keyword)).strip()
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
