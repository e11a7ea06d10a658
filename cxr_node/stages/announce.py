"""announce: what the RIS is to be told of a study, written once and put into the queue of its destination.

A result that it has and that does not stand is taken back: when the study is withdrawn, and before the next result
where it was told of another patient or order. What the RIS has said itself, a merge, another number, it is not told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cxr_node.documents import Profile, codes
from cxr_node.documents.language import named, sentence
from cxr_node.documents.wording import finding_code, percent
from cxr_node.domain.clock import Clock
from cxr_node.domain.correction import Rejection
from cxr_node.domain.finding import Analysis, Cutoffs, Tier, tenths
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.priority import Priority
from cxr_node.domain.reading import OPEN
from cxr_node.domain.study import Judging
from cxr_node.errors import Ineligible, Permanent
from cxr_node.hl7.outbound import Ours, Recipient, Result, priority_message, result_message
from cxr_node.hl7.retraction import filed, retraction_message
from cxr_node.imaging.correction import with_identity
from cxr_node.imaging.part10 import read_film_header
from cxr_node.imaging.request import Requested, requested
from cxr_node.message import Message
from cxr_node.spool import Spool
from cxr_node.stages.stage import Commit, SingleStage
from cxr_node.store import (
    events,
    identities,
    messages,
    results,
    retraction,
    revisions,
    studies,
    tellings,
    withdrawal,
    worklist,
)
from cxr_node.store.db import Store, Tx
from cxr_node.store.messages import RETRACTION, Outgoing
from cxr_node.store.revisions import Settled
from cxr_node.store.studies import Stored

_WRONG = (Rejection.SAFETY, Rejection.WRONG_ENTRY)
"""It may be of another patient; else there is no result, of an order that was cancelled or of films that were bad."""


@dataclass(frozen=True, slots=True)
class Announce(SingleStage):
    """Writes ORU^R01 for a revision, or to take one back, or OMI^O23 or ORM^O01 for a tier.

    The target is what of it, and to whom.

    `recipients` by name, none in shadow; `profile` is how results are put, `device` who observes (OBX-18); `charsets`
    as in `Receive`.
    """

    store: Store
    spool: Spool
    recipients: Mapping[str, Recipient]
    ours: Ours
    profile: Profile
    judging: Judging
    device: tuple[str, str]
    charsets: Mapping[str, str]
    clock: Clock

    def run(self, job: Job) -> Commit:
        about, _, name = job.target.partition("/")
        to = self.recipients.get(name)
        if to is None:
            raise Permanent("DESTINATION_UNKNOWN", Message("no [[worklist.hl7]] is named {name!r} any more", name=name))
        if about == RETRACTION:
            return lambda tx: self._take_back(tx, job.subject, to)
        if to.message == "ORU":
            control_id, content = self._result(job.subject, int(about), to)
            return lambda tx: self._tell(tx, Outgoing(control_id, name, job.subject, to.kind, about, content), to)
        control_id, content = self._priority(job.subject, Tier(about), to)
        asked = Outgoing(control_id, name, job.subject, to.kind, to.priorities[Tier(about)], content)
        return lambda tx: self._queue(tx, asked)

    def _queue(self, tx: Tx, message: Outgoing) -> list[NewJob]:
        now = self.clock()
        known = {"destination": message.destination, "message": message.kind, "control_id": message.control_id}
        events.append(tx, now, "message.written", message.study_instance_uid, **known, about=message.about)
        return messages.add(tx, message, now)

    def _tell(self, tx: Tx, message: Outgoing, to: Recipient) -> list[NewJob]:
        """A result; what stands elsewhere of the study is taken back before."""
        study = message.study_instance_uid
        told, before = tellings.standing(tx, study).get(to.name), list[NewJob]()
        if told and self._misfiled(tx, told, message, to):
            before = self._queue(tx, self._retraction(tx, told, to, wrong=True))
        about = tellings.named(tx, study, to.name, message.about)
        return [*before, *self._queue(tx, replace(message, about=about))]

    def _misfiled(self, tx: Tx, told: Outgoing, now: Outgoing, to: Recipient) -> bool:
        """Whether a result was told of another patient or order than it is of now, for all that the RIS has said."""
        before, after = filed(told.content, self.ours, to), filed(now.content, self.ours, to)
        renumbered = "AccessionNumber" in identities.stands(tx, told.study_instance_uid)
        elsewhere = before.accession != after.accession and not renumbered
        return elsewhere or identities.as_known(tx, before.patient).value != after.patient.value

    def _take_back(self, tx: Tx, study: str, to: Recipient) -> list[NewJob]:
        told = tellings.standing(tx, study).get(to.name)
        if told is None or not retraction.is_void(tx, study):
            return []  # it stands again, or another has taken it back
        number = int(told.about.partition(" ")[0])
        title = withdrawal.title(tx, study, number, self.judging)
        return self._queue(tx, self._retraction(tx, told, to, wrong=title in _WRONG))

    def _retraction(self, tx: Tx, told: Outgoing, to: Recipient, *, wrong: bool) -> Outgoing:
        study = told.study_instance_uid
        at = retraction.since(tx, study)
        control_id, content = retraction_message(told.content, wrong=wrong, at=at, ours=self.ours, to=to)
        about = tellings.named(tx, study, to.name, RETRACTION)
        return replace(told, control_id=control_id, content=content, about=about)

    def _result(self, study: str, number: int, to: Recipient) -> tuple[str, bytes]:
        with self.store.reading() as tx:
            found = revisions.numbered(tx, study, number)
            if found is None:
                raise Permanent("REVISION_UNKNOWN", Message("there is no revision {number} to tell of", number=number))
            film, analysis = _leading(tx, found)
            at = results.analysed_at(tx, film.arrival.digest, found.model_digest) or found.at
            retracted = tellings.retracted(tx, study).get(to.name)
        judging = found.judging
        cutoffs = judging.cutoffs if judging else self.profile.cutoffs
        prevalence = judging.prevalence if judging else self.profile.prevalence
        result = self._put(analysis, cutoffs, found.revision.tier, at, calibrated=prevalence is not None)
        again = max(found.at, retracted) if retracted is not None else None
        return result_message(result, self._header(film, found.revision.identity), self.ours, to, again)

    def _put(self, analysis: Analysis, cutoffs: Cutoffs, tier: Tier, at: float, *, calibrated: bool) -> Result:
        """A judgement in the terms of a message; the same words as in the documents."""
        said, positive = self.profile.language, cutoffs.positive(analysis.probability)
        measure = named(codes.PROBABILITY if calibrated else codes.CERTAINTY, said)
        finding = finding_code(analysis, analysis.finding, said)
        category = self.profile.triage_category.get(tier)
        code = named(codes.TRIAGE[category], said) if category else None
        coded = (code.value, code.meaning, code.scheme_designator) if code else ()
        return Result(
            observed_at=at,
            measure=(measure.value, measure.meaning, measure.scheme_designator),
            percent=tenths(analysis.probability),
            threshold=percent(cutoffs.threshold),
            finding=(finding.value, finding.meaning, finding.scheme_designator) if positive else None,
            category=(*coded, str(tier), f"tier {tier}", "L"),
            abnormal=("AA" if tier is Tier.HIGH else "A") if positive else "N",
            model=f"{analysis.model.name} {analysis.model.version}",
            device=self.device,
            remark=sentence(f"intended_use.{self.profile.mode}", said),
        )

    def _priority(self, study: str, tier: Tier, to: Recipient) -> tuple[str, bytes]:
        with self.store.reading() as tx:
            _require_wanted(tx, study)
            images = studies.images(tx, study, self.judging.model_digest)
            judged = [image for image in images if image.probability is not None]
            if not judged:
                raise Ineligible("NOT_JUDGED", Message("the model in service has not judged a film of the study"))
            leading = max(judged, key=lambda image: image.probability or 0.0).digest
            film = studies.by_digest(tx, leading)
            at, identity = results.analysed_at(tx, leading, self.judging.model_digest), identities.stands(tx, study)
        assert film is not None  # noqa: S101 - it was found in this transaction, with its result
        assert at is not None  # noqa: S101
        return priority_message(tier, self._header(film, identity), at, self.ours, to)

    def _header(self, film: Stored, identity: Mapping[str, str]) -> Requested:
        charset = self.charsets.get(film.arrival.calling_ae_title)
        return requested(with_identity(read_film_header(self.spool.path(film.arrival.path), charset), identity))


def _leading(tx: Tx, settled: Settled) -> tuple[Stored, Analysis]:
    """The film of a revision that sets its tier, and its judgement; those that were pending are not looked at."""
    revision = settled.revision
    digests = [digest for uid, digest in revision.images.items() if uid not in revision.pending]
    found = [(digest, results.load(tx, digest, settled.model_digest)) for digest in digests]
    digest, analysis = max(
        ((digest, analysis) for digest, analysis in found if analysis), key=lambda pair: pair[1].probability
    )
    film = studies.by_digest(tx, digest)
    assert film is not None  # noqa: S101 - a revision is made of films that are kept
    return film, analysis


def _require_wanted(tx: Tx, study: str) -> None:
    """Raises Ineligible where a priority is not to be asked for: nobody waits for it, or it is asked for already."""
    if worklist.state(tx, study) not in OPEN:
        raise Ineligible("STUDY_CLOSED", Message("the study has left the worklist, or is held"))
    if worklist.is_frozen(tx):
        raise Ineligible("FROZEN", Message("the worklist is frozen: the model moves nothing, in the RIS neither"))
    if worklist.priority(tx, study) in (Priority.STAT, Priority.HIGH):
        raise Ineligible("PRIORITY_STANDS", Message("a person or the RIS has said already that the study is urgent"))
