"""settle: the wait for further films is over; are documents due?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from cxr_node.domain.clock import Clock
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.study import EntryState, Image, Judging, Revision, Waiting, assess, consult, revision_due
from cxr_node.message import Message
from cxr_node.stages.stage import Commit, SingleStage
from cxr_node.store import (
    archived,
    calling_off,
    events,
    identities,
    priors,
    retraction,
    revisions,
    studies,
    tellings,
    windows,
    worklist,
)
from cxr_node.store.db import Tx


@dataclass(frozen=True, slots=True)
class Settle(SingleStage):
    """Opens a revision when there is something new to say.

    A study that another model has judged is given to the one in service first, so that its documents rest on one model.
    It waits for every film of the study to be judged or given up, and for every correction and the PACS's answer to be
    understood, since a report that leaves one of them out may have to be revised; but once there is something to
    report, not for ever.
    So it does for further models (`further`: by what people call them, how each is read; None where it is not there).
    `first_document`: by mode, the kind of job that its documents begin with. `informed`: who is told of results by HL7.
    """

    judging: Judging
    further: Mapping[str, Judging | None]
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
        if priors.silent(tx, study):
            events.append(tx, now, "study.not_reported", study, reason=_PRIOR)
            return []
        model = self.judging.model_digest
        images, previous = studies.images(tx, study, model), revisions.latest(tx, study)
        gone = previous is not None and retraction.is_rejected(tx, study, previous.number)
        if unasked := [image.digest for image in images if image.refusal is None and not image.asked]:
            if not gone and _reported(previous, images, identities.stands(tx, study)):
                return self._take_up(tx, study, previous, now)
            return [NewJob("analyse", digest, model) for digest in unasked]  # the end of each calls again
        beside, identity = self._beside(tx, study, images), identities.stands(tx, study)
        again = gone and any(image.probability is not None for image in images)
        reported = again or revision_due(previous, images, self.judging.cutoffs, identity=identity)
        if reported and (more := self._unasked(beside)):
            return more
        pending = any(image.pending for image in [*images, *chain(*beside.values())])
        if pending or studies.comparing(tx, study) or archived.is_asked(tx, study, now):
            until = windows.results_due(tx, study, model, self.waiting)
            if until is None or now < until:  # the end of each comparison, analysis and question calls again, too
                return [] if until is None else [NewJob("settle", study, not_before=until)]
        windows.close(tx, study, now)
        if reason := studies.conflict(tx, study):
            events.append(tx, now, "study.identities_differ", study, reason=reason)
        consulted = tuple(consult(name, self.further[name], beside[name]) for name in self.further)
        if not (again or revision_due(previous, images, self.judging.cutoffs, consulted, identity)):
            events.append(tx, now, "study.unchanged" if previous else "study.not_reported", study)
            return self._take_up(tx, study, previous, now)
        revision = replace(self._revision(tx, study, images), consulted=consulted)
        revisions.add(tx, study, revision, now, self.judging)
        known = {"revision": revision.number, "images": len(revision.images), "pending": len(revision.pending)}
        events.append(tx, now, "study.settled", study, **known)
        told = [NewJob("announce", study, f"{revision.number}/{name}") for name in self.informed]
        documents = self.first_document.items()
        notes = retraction.due(tx, study, self.judging.notes, now)
        return [*told, *(NewJob(kind, study, f"{revision.number}/{mode}") for mode, kind in documents), *notes]

    def _take_up(self, tx: Tx, study: str, previous: Revision | None, now: float) -> Iterable[NewJob]:
        """There is nothing new to say; what was called off is said after all, if it still stands."""
        notes = retraction.due(tx, study, self.judging.notes, now)
        if previous is None or not retraction.stands(tx, study, previous.number):
            return [*notes, *retraction.untold(tx, study)]
        if resumed := calling_off.resume_documents(tx, study, now):
            events.append(tx, now, "study.deliveries_resumed", study, count=resumed)
        again = [name for name in self.informed if name in tellings.retracted(tx, study)]
        return [*notes, *(NewJob("announce", study, f"{previous.number}/{name}") for name in again)]

    def _beside(self, tx: Tx, study: str, images: Sequence[Image]) -> dict[str, list[Image]]:
        """By further model: the images that the model in service has judged, as that one sees them."""
        judged = [image for image in images if image.probability is not None]
        uids = {image.sop_instance_uid for image in judged}
        return {
            name: [
                image for image in studies.consulted(tx, study, judging.model_digest) if image.sop_instance_uid in uids
            ]
            if judging
            else judged
            for name, judging in self.further.items()
        }

    def _unasked(self, beside: Mapping[str, Sequence[Image]]) -> list[NewJob]:
        """What further models are to judge yet: the end of each job calls again."""
        return [
            NewJob("further", image.digest, judging.model_digest)
            for name, judging in self.further.items()
            for image in beside[name]
            if judging and not image.asked
        ]

    def _revision(self, tx: Tx, study: str, images: list[Image]) -> Revision:
        standing, earlier = assess(images, self.judging.cutoffs), revisions.all_of(tx, study)
        identity = identities.stands(tx, study)
        number, films = 1 + len(earlier), {image.sop_instance_uid: image.digest for image in images}
        return Revision(
            number=number,
            images=films,
            again=number if any((one.images, one.identity) == (films, identity) for one in earlier) else 0,
            identity=identity,
            pending=frozenset(image.sop_instance_uid for image in images if image.pending),
            tier=standing.tier,
            positive=standing.positive,
            failures={image.sop_instance_uid: image.failure for image in images if image.failure},
        )


_PRIOR = Message("it is a study of before that was taken in to be analysed alone")
_NOT_REPORTED = {
    EntryState.HELD: Message("the study is held"),
    EntryState.WITHDRAWN: Message("the study is withdrawn"),
}


def _reported(previous: Revision | None, images: list[Image], identity: Mapping[str, str]) -> bool:
    """Whether these very images stand in a report already, under this identity."""
    films = {image.sop_instance_uid: image.digest for image in images}
    return previous is not None and (previous.images, previous.identity) == (films, identity)
