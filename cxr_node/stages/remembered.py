"""The films of a revision with what was known of each when it was concluded, whatever came of them since."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cxr_node.documents import Further, Lacking
from cxr_node.domain.clock import moment
from cxr_node.domain.quality import grade
from cxr_node.store import assessments, results, studies
from cxr_node.store.db import Tx
from cxr_node.store.revisions import Settled
from cxr_node.store.studies import Stored


@dataclass(frozen=True, slots=True)
class Remembered:
    """One film: `known` are the fields of its `Source` but for the header, `times` when models judged it."""

    stored: Stored
    known: dict[str, Any]
    times: tuple[float, ...]


def remembered(tx: Tx, settled: Settled) -> list[Remembered]:
    """The films that were for the model, in the order in which they first came, whatever was corrected since."""
    stored = [one for digest in settled.revision.images.values() if (one := studies.by_digest(tx, digest))]
    traced = [(*studies.origin(tx, one), one) for one in stored if one.refusal is None]
    traced.sort(key=lambda each: (each[0], each[2].arrival.header.sop_instance_uid))
    return [_remembered(tx, settled, one, corrected=corrected) for _, corrected, one in traced]


def _remembered(tx: Tx, settled: Settled, stored: Stored, *, corrected: bool) -> Remembered:
    revision, model = settled.revision, settled.model_digest
    digest, uid = stored.arrival.digest, stored.arrival.header.sop_instance_uid
    judged = uid not in revision.pending and uid not in revision.failures
    flags = assessments.flags(tx, digest) if judged else None
    further = list(_further(tx, settled, stored))
    known = {
        "digest": digest,
        "received_at": moment(stored.arrival.received_at),
        "analysis": results.load(tx, digest, model) if judged else None,
        "quality": grade(flags),
        "failure": revision.failures.get(uid),
        "pending": uid in revision.pending,
        "flags": flags or (),
        "further": tuple(further),
        "corrected": corrected,
        "lacking": tuple(
            Lacking(one.model, one.lacking[uid]) for one in revision.consulted if uid in one.lacking
        ),
    }  # fmt: skip
    models = ([model] if judged else []) + [one.analysis.model.digest for one in further]
    times = (results.analysed_at(tx, digest, each) for each in models)
    return Remembered(stored, known, tuple(time for time in times if time is not None))


def _further(tx: Tx, settled: Settled, stored: Stored) -> Iterator[Further]:
    """What further models had said of a film."""
    for one in settled.revision.consulted:
        if one.judging and stored.arrival.header.sop_instance_uid in one.judged:
            analysis = results.load(tx, stored.arrival.digest, one.judging.model_digest)
            assert analysis is not None  # noqa: S101 - it was there when the revision was concluded, and is kept
            yield Further(analysis, one.judging.cutoffs, one.judging.prevalence, one.judging.restricted)
