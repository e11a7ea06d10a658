"""Which study a job belongs to, whatever it is keyed by."""

from cxr_node.domain.job import Job
from cxr_node.store import results, studies
from cxr_node.store.db import Tx


def study_of(tx: Tx, job: Job) -> str | None:
    """The study of a job's subject: an instance's digest, a document's UID, or the study itself."""
    if job.kind in ("analyse", "compare"):
        return studies.study_of(tx, job.subject)
    if job.kind == "deliver":
        document = results.document(tx, job.subject)
        return document.study_instance_uid if document else None
    return job.subject
