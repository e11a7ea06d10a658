"""Which study a job belongs to, whatever it is keyed by."""

from cxr_node.domain.job import Job
from cxr_node.store import messages, results, studies
from cxr_node.store.db import Tx


def study_of(tx: Tx, job: Job) -> str | None:
    """The study of a job's subject: an instance's digest, a document's UID, a message's control id, or the study.

    A request for commitment may be about several.
    """
    if film := film_of(job):
        return studies.study_of(tx, film)
    if job.kind in ("deliver", "commit"):
        document = results.document(tx, job.subject)
        return document.study_instance_uid if document else None
    if job.kind == "transmit":
        return messages.study_of(tx, job.subject)
    if job.kind in ("confirm", "notify", "tell"):
        return None
    return job.subject


def film_of(job: Job) -> str | None:
    """The digest of the film that a job is about; None where it is about more, or about a document."""
    return job.subject if job.kind in ("analyse", "further", "shadow", "compare") else None
