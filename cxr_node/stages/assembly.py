"""What the document stages share: a revision of a study put together from what is stored, and a document put away."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cxr_node.documents import Document, Predecessor, Profile, Source, StudyReport
from cxr_node.domain.clock import Clock, moment
from cxr_node.domain.job import NewJob
from cxr_node.domain.quality import grade
from cxr_node.errors import Permanent
from cxr_node.imaging.part10 import read_film_header
from cxr_node.spool import Spool
from cxr_node.store import assessments, events, results, studies
from cxr_node.store.db import Store, Tx
from cxr_node.store.results import Written


@dataclass(frozen=True, slots=True)
class Desk:
    """Where documents are put together. By mode: how they are rendered, and which destinations get them.

    `charsets` as in `Receive`.
    """

    store: Store
    spool: Spool
    profiles: Mapping[str, Profile]
    destinations: Mapping[str, Sequence[str]]
    charsets: Mapping[str, str]
    clock: Clock

    def assemble(self, study: str, target: str) -> StudyReport:
        """The revision that `target` ("number/mode") names. Raises Permanent when it is not there."""
        number, mode = _parse(target)
        with self.store.reading() as tx:
            found = studies.revision(tx, study, number)
            if found is None or mode not in self.profiles:
                raise Permanent("REVISION_UNKNOWN", f"there is no revision {number} in mode {mode!r} to report")
            revision, model_digest = found.revision, found.model_digest
            stored = [one for digest in revision.images.values() if (one := studies.by_digest(tx, digest))]
            pending = {revision.images[uid] for uid in revision.pending}  # whatever came of them since
            judged = [one.arrival.digest for one in stored if one.arrival.digest not in pending]
            times = [results.analysed_at(tx, digest, model_digest) for digest in judged]
            analyses = {digest: results.load(tx, digest, model_digest) for digest in judged}
            flagged = {digest: assessments.flags(tx, digest) for digest in judged}
            predecessor = _predecessor(results.documents(tx, study), number, mode)
        sources = tuple(
            Source(
                header=read_film_header(
                    self.spool.path(one.arrival.path), self.charsets.get(one.arrival.calling_ae_title)
                ),
                digest=one.arrival.digest,
                received_at=moment(one.arrival.received_at),
                analysis=analyses.get(one.arrival.digest),
                quality=grade(flagged.get(one.arrival.digest)),
                pending=one.arrival.digest in pending,
                flags=flagged.get(one.arrival.digest) or (),
            )
            for one in sorted(stored, key=lambda one: (one.arrival.received_at, one.arrival.digest))
            if one.refusal is None
        )
        profile, judging = self.profiles[mode], found.judging
        if judging is not None:  # as it was concluded, whatever model is in service since
            profile = replace(profile, cutoffs=judging.cutoffs, prevalence=judging.prevalence)
        return StudyReport(sources, profile, number, moment(max(filter(None, times), default=found.at)), predecessor)

    def put_away(self, tx: Tx, document: Document, path: str, target: str) -> Iterable[NewJob]:
        """Record a document that stands in the outbox, and one delivery for each destination of its mode."""
        number, mode = _parse(target)
        now = self.clock()
        written = Written(
            sop_instance_uid=document.sop_instance_uid,
            study_instance_uid=document.study_instance_uid,
            revision=number,
            mode=mode,
            kind=document.kind,
            sop_class_uid=document.sop_class_uid,
            series_instance_uid=document.series_instance_uid,
            path=path,
        )
        results.add_document(tx, written, now)
        events.append(
            tx, now, "document.written", written.study_instance_uid,
            kind=written.kind, sop_instance_uid=written.sop_instance_uid, revision=number, mode=mode,
            notes=list(document.notes),
        )  # fmt: skip
        for destination in self.destinations.get(mode, ()):
            results.add_delivery(tx, written.sop_instance_uid, destination)
            yield NewJob("deliver", written.sop_instance_uid, destination)

    def write(self, document: Document) -> str:
        """The document's bytes in the outbox, durably; its path relative to the spool."""
        return self.spool.write(self.spool.outbox / f"{document.sop_instance_uid}.dcm", document.content)


def _parse(target: str) -> tuple[int, str]:
    number, _, mode = target.partition("/")
    return int(number), mode


def _predecessor(written: Sequence[Written], number: int, mode: str) -> Predecessor | None:
    for one in reversed(written):
        if one.kind == "sr" and one.mode == mode and one.revision < number:
            return Predecessor(one.sop_class_uid, one.sop_instance_uid, one.series_instance_uid)
    return None
