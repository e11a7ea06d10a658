"""Work that is to be done again: by an operator's word, or because another model is in service."""

import json
from collections.abc import Collection, Mapping

from cxr_node.domain.instance import InstanceState
from cxr_node.domain.job import NewJob
from cxr_node.domain.study import Judging
from cxr_node.errors import Permanent
from cxr_node.message import Message
from cxr_node.store import commitments, events, jobs, studies, worklist
from cxr_node.store.db import Tx
from cxr_node.store.kept import keep
from cxr_node.store.served import UNJUDGED

_AGAIN = """
    UPDATE job SET state = 'ready', attempt = 0, crash_count = 0, alone = 0, not_before = ?, error_code = NULL,
        error = NULL, changed_at = ?
"""


def requeue_failed(tx: Tx, now: float) -> int:
    """Make every failed job ready again, its history of crashes forgotten; how many there were."""
    commitments.forget_failures(tx, None)
    count = tx.execute(_AGAIN + "WHERE state = 'failed'", (now, now))
    events.append(tx, now, "jobs.requeued", None, count=count)
    return count


def requeue_study(tx: Tx, study: str, judging: Judging, now: float) -> int:
    """Judge a study's eligible films again, and try again what failed of its documents; how many jobs that makes.

    Raises Permanent("STUDY_UNKNOWN").
    """
    if not studies.of_study(tx, study):
        raise Permanent("STUDY_UNKNOWN", f"no film of study {study} has been received")
    of_study = """
        WHERE state IN ('failed', 'skipped') AND kind != 'analyse'
            AND coalesce(error_code, '') NOT IN ('SUPERSEDED', 'WITHDRAWN') AND subject IN (
            SELECT ? UNION SELECT digest FROM instance WHERE study_instance_uid = ?
            UNION SELECT sop_instance_uid FROM document WHERE study_instance_uid = ?
            UNION SELECT control_id FROM message WHERE study_instance_uid = ?)
    """
    films = tx.rows(
        "SELECT digest FROM instance WHERE study_instance_uid = ? AND state = ? AND refusal_code IS NULL",
        (study, InstanceState.CURRENT),
    )
    commitments.forget_failures(tx, study)
    failed = tx.execute(_AGAIN + of_study, (now, now, study, study, study, study))
    jobs.enqueue(tx, [NewJob("analyse", row["digest"], judging.model_digest) for row in films], now)
    worklist.refresh(tx, study, judging, now)
    events.append(tx, now, "study.requeued", study, films=len(films), failed=failed)
    return len(films) + failed


def requeue_unjudged(tx: Tx, model_digest: str, since: float, now: float) -> int:
    """Have a model judge what it has not of the studies of which a film came at `since` or later; how many films.

    What it said beside another one does not count. They are taken as retries, so that none of them stands before a film
    that comes now.
    """
    count = tx.execute(
        f"""
        INSERT INTO job (kind, subject, target, attempt, not_before, changed_at)
        SELECT 'analyse', digest, :model, 1, :now, :now FROM instance i
        WHERE state = :current AND refusal_code IS NULL
            AND study_instance_uid IN (SELECT study_instance_uid FROM instance WHERE received_at >= :since)
            AND {UNJUDGED}
        ORDER BY id
        """,  # noqa: S608 - a constant condition
        {"model": model_digest, "now": now, "current": InstanceState.CURRENT, "since": since},
    )
    events.append(tx, now, "films.requeued", None, count=count, model=model_digest)
    return count


def drop_beside(tx: Tx, wanted: Mapping[str, Collection[str]], now: float) -> int:
    """Nobody judges films for models (digests, by kind of job) that are not `wanted` any more; how many jobs waited."""
    reason = Message("this model is not wanted beside the one in service any more")
    return sum(
        tx.execute(
            """
            UPDATE job SET state = 'skipped', error_code = 'MODEL_UNAVAILABLE', error = ?, error_message = ?,
                changed_at = ?
            WHERE kind = ? AND state = 'ready' AND target NOT IN (SELECT value FROM json_each(?))
            """,
            (reason, keep(reason), now, kind, json.dumps(sorted(models))),
        )
        for kind, models in wanted.items()
    )


def adopt_model(tx: Tx, model_digest: str, now: float) -> int:
    """Films that wait to be judged by a model that is no longer in service wait for this one; how many there were.

    Whoever is judging one with another model loses it.
    """
    return tx.execute(
        """
        UPDATE OR REPLACE job SET target = ?, state = 'ready', attempt = 0, crash_count = 0, alone = 0, owner = NULL,
            lease_token = NULL, lease_until = NULL, error_code = NULL, error = NULL, changed_at = ?
        WHERE kind = 'analyse' AND state IN ('ready', 'running') AND target != ?
        """,
        (model_digest, now, model_digest),
    )
