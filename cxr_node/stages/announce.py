"""announce: what the RIS is to be told of a study, written once and put into the queue of its destination."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cxr_node.documents import Profile, codes
from cxr_node.documents.language import named, sentence
from cxr_node.documents.wording import finding_code, percent
from cxr_node.domain.clock import Clock
from cxr_node.domain.finding import Analysis, Cutoffs, Tier, tenths
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.priority import Priority
from cxr_node.domain.reading import OPEN
from cxr_node.domain.study import Judging
from cxr_node.errors import Ineligible, Permanent
from cxr_node.hl7.outbound import Ours, Recipient, Result, priority_message, result_message
from cxr_node.imaging.correction import with_identity
from cxr_node.imaging.part10 import read_film_header
from cxr_node.imaging.request import Requested, requested
from cxr_node.message import Message
from cxr_node.spool import Spool
from cxr_node.stages.stage import Commit, SingleStage
from cxr_node.store import events, identities, messages, results, revisions, studies, worklist
from cxr_node.store.db import Store, Tx
from cxr_node.store.messages import Outgoing
from cxr_node.store.revisions import Settled
from cxr_node.store.studies import Stored


@dataclass(frozen=True, slots=True)
class Announce(SingleStage):
    """Writes ORU^R01 for a revision, or OMI^O23 or ORM^O01 for a tier; the target is what of it, and to whom.

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
        if to.message == "ORU":
            control_id, content = self._result(job.subject, int(about), to)
        else:
            control_id, content = self._priority(job.subject, Tier(about), to)
            about = to.priorities[Tier(about)]
        message = Outgoing(control_id, name, job.subject, to.kind, about, content)

        def commit(tx: Tx) -> Iterable[NewJob]:
            now = self.clock()
            known = {"destination": name, "message": to.kind, "control_id": control_id, "about": about}
            events.append(tx, now, "message.written", job.subject, **known)
            return messages.add(tx, message, now)

        return commit

    def _result(self, study: str, number: int, to: Recipient) -> tuple[str, bytes]:
        with self.store.reading() as tx:
            found = revisions.numbered(tx, study, number)
            if found is None:
                raise Permanent("REVISION_UNKNOWN", Message("there is no revision {number} to tell of", number=number))
            film, analysis = _leading(tx, found)
            at = results.analysed_at(tx, film.arrival.digest, found.model_digest) or found.at
        judging = found.judging
        cutoffs = judging.cutoffs if judging else self.profile.cutoffs
        prevalence = judging.prevalence if judging else self.profile.prevalence
        result = self._put(analysis, cutoffs, found.revision.tier, at, calibrated=prevalence is not None)
        return result_message(result, self._header(film, found.revision.identity), self.ours, to)

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
