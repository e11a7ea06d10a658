"""Work that is stopped because a study, or a film of it, does not count, and taken up again when it does."""

from collections.abc import Collection

from cxr_node.domain.job import NewJob
from cxr_node.store import jobs, messages, results
from cxr_node.store.db import Tx
from cxr_node.store.kept import keep

WITHDRAWN = "WITHDRAWN"
"""The code of jobs that are taken up again when their study stands again."""
SUPERSEDED = "SUPERSEDED"
"""The code of those that are not: what they were to write is written otherwise."""

_OF_STUDY = """
    (kind IN ('report', 'heatmap', 'companions', 'key_objects', 'announce') AND subject = :study
    OR kind IN ('deliver', 'commit') AND subject IN (
        SELECT sop_instance_uid FROM document JOIN delivery d USING (sop_instance_uid)
        WHERE study_instance_uid = :study AND d.destination = job.target AND d.rejected_by IS NULL))
"""


def documents(tx: Tx, study: str, code: str, reason: str, now: float) -> int:
    """What has not left of a study is neither written nor sent, messages to the RIS included; how many jobs it was."""
    called_off = results.call_off(tx, study, code, reason, now)
    jobs.enqueue(tx, messages.call_off(tx, study, code, reason, now), now)
    return called_off


def analyses(tx: Tx, digests: Collection[str], reason: str, now: float) -> None:
    """Films are not judged that have not been."""
    for digest in digests:
        tx.execute(
            """
            UPDATE job SET state = 'skipped', error_code = ?, error = ?, error_message = ?, owner = NULL,
                lease_token = NULL, lease_until = NULL, changed_at = ?
            WHERE kind IN ('analyse', 'shadow', 'further') AND subject = ? AND state IN ('ready', 'running')
            """,
            (WITHDRAWN, reason, keep(reason), now, digest),
        )


def resume_analyses(tx: Tx, digests: Collection[str], now: float) -> None:
    """They are judged after all."""
    for digest in digests:
        again = tx.rows(
            "SELECT kind, target FROM job WHERE kind IN ('analyse', 'shadow', 'further') AND subject = ? "
            "AND state = 'skipped' AND error_code = ?",
            (digest, WITHDRAWN),
        )
        jobs.enqueue(tx, [NewJob(row["kind"], digest, row["target"]) for row in again], now)


def resume_documents(tx: Tx, study: str, now: float) -> int:
    """What was called off when the study was withdrawn or held is written and sent after all; how many jobs it is."""
    again = tx.rows(
        f"SELECT kind, subject, target FROM job WHERE state = 'skipped' AND error_code = :code AND {_OF_STUDY}",  # noqa: S608
        {"code": WITHDRAWN, "study": study},
    )
    jobs.enqueue(tx, [NewJob(**row) for row in again], now)
    jobs.enqueue(tx, messages.resume(tx, study, WITHDRAWN), now)
    return len(again)
