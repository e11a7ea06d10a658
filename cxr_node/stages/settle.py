"""settle: the wait for further films is over; are documents due?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cxr_node.domain.clock import Clock
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.study import EntryState, Image, Judging, Revision, Waiting, assess, revision_due
from cxr_node.message import Message
from cxr_node.stages.stage import Commit, SingleStage
from cxr_node.store import events, studies, windows, worklist
from cxr_node.store.db import Tx


@dataclass(frozen=True, slots=True)
class Settle(SingleStage):
    """Opens a revision when there is something new to say.

    A study that another model has judged is given to the one in service first, so that its documents rest on one model.
    It waits for every film of the study to be judged or given up, and for every correction to be understood, since a
    report that leaves one of them out may have to be revised; but once there is something to report, not for ever.
    `first_document`: by mode, the kind of job that its documents begin with. `informed`: who is told of results by HL7.
    """

    judging: Judging
    waiting: Waiting
    first_document: Mapping[str, str]
    informed: Sequence[str]
    clock: Clock

    def run(self, job: Job) -> Commit:
        return lambda tx: self._settle(tx, job.subject)

    def _settle(self, tx: Tx, study: str) -> Iterable[NewJob]:
        now = self.clock()
        if (state := worklist.state(tx, study)) and state.withheld:
            events.append(tx, now, "study.not_reported", study, reason=_NOT_REPORTED[state])
            return []
        model = self.judging.model_digest
        images = studies.images(tx, study, model)
        if unasked := [image.digest for image in images if image.refusal is None and not image.asked]:
            if _reported(studies.latest_revision(tx, study), images):
                return []
            return [NewJob("analyse", digest, model) for digest in unasked]  # the end of each calls again
        if studies.comparing(tx, study) or any(image.pending for image in images):
            until = windows.results_due(tx, study, model, self.waiting)
            if until is None or now < until:  # the end of each comparison and each analysis calls again, too
                return [] if until is None else [NewJob("settle", study, not_before=until)]
        windows.close(tx, study, now)
        if reason := studies.conflict(tx, study):
            events.append(tx, now, "study.identities_differ", study, reason=reason)
        previous = studies.latest_revision(tx, study)
        if not revision_due(previous, images, self.judging.cutoffs):
            events.append(tx, now, "study.unchanged" if previous else "study.not_reported", study)
            return []
        revision = self._revision(previous, images)
        studies.add_revision(tx, study, revision, now, self.judging)
        known = {"revision": revision.number, "images": len(revision.images), "pending": len(revision.pending)}
        events.append(tx, now, "study.settled", study, **known)
        told = [NewJob("announce", study, f"{revision.number}/{name}") for name in self.informed]
        documents = self.first_document.items()
        return [*told, *(NewJob(kind, study, f"{revision.number}/{mode}") for mode, kind in documents)]

    def _revision(self, previous: Revision | None, images: list[Image]) -> Revision:
        standing = assess(images, self.judging.cutoffs)
        return Revision(
            number=previous.number + 1 if previous else 1,
            images={image.sop_instance_uid: image.digest for image in images},
            pending=frozenset(image.sop_instance_uid for image in images if image.pending),
            tier=standing.tier,
            positive=standing.positive,
        )


_NOT_REPORTED = {
    EntryState.HELD: Message("the study is held"),
    EntryState.WITHDRAWN: Message("the study is withdrawn"),
}


def _reported(previous: Revision | None, images: list[Image]) -> bool:
    """Whether these very images stand in a report already."""
    return previous is not None and previous.images == {image.sop_instance_uid: image.digest for image in images}
