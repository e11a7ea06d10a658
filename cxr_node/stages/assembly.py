"""What the document stages share: a revision of a study put together from what is stored, and a document put away."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from cxr_node.documents import Document, Form, Profile, Reference, Source, StudyReport
from cxr_node.domain.clock import Clock, moment
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.outputs import Target, Taste
from cxr_node.domain.report_class import REPORT_CLASSES, ReportClass
from cxr_node.errors import Permanent
from cxr_node.imaging.correction import with_identity
from cxr_node.imaging.part10 import read_film_header
from cxr_node.message import Message
from cxr_node.spool import Spool
from cxr_node.stages import ties
from cxr_node.stages.picture import picture_of
from cxr_node.stages.remembered import remembered
from cxr_node.stages.stage import SingleStage
from cxr_node.store import events, report_classes, results, revisions
from cxr_node.store.db import Store, Tx
from cxr_node.store.results import Written
from cxr_node.store.studies import Stored


@dataclass(frozen=True, slots=True)
class Desk:
    """Where documents are put together.

    By mode: how they are rendered, and which destinations get them; by destination: how it takes them (`tastes`); by
    mode and kind of job: the job that writes what comes next (`following`). `charsets` as in `Receive`, and
    `key_objects` as in `Deliver`. `pauses`, in seconds, lie between the looks for a picture that is being drawn.
    """

    store: Store
    spool: Spool
    profiles: Mapping[str, Profile]
    destinations: Mapping[str, Sequence[str]]
    tastes: Mapping[str, Taste]
    following: Mapping[tuple[str, str], str]
    charsets: Mapping[str, str]
    key_objects: bool
    clock: Clock
    pauses: Iterable[float] = ()

    def assemble(self, study: str, target: str) -> StudyReport:
        """The revision that `target` names. Raises Permanent when it is not there."""
        wanted = Target.parse(target)
        number, mode = wanted.revision, wanted.mode
        with self.store.reading() as tx:
            found = revisions.numbered(tx, study, number)
            if found is None or mode not in self.profiles:
                raise Permanent(
                    "REVISION_UNKNOWN",
                    Message("there is no revision {number} in mode {mode!r} to report", number=number, mode=mode),
                )
            before = revisions.numbered(tx, study, number - 1)
            films = remembered(tx, found)
        revision = found.revision
        sources = tuple(Source(header=self._header(film.stored, revision.identity), **film.known) for film in films)
        profile, judging = self.profiles[mode], found.judging
        if judging is not None:  # as it was concluded, whatever model is in service since
            profile = replace(
                profile, cutoffs=judging.cutoffs, prevalence=judging.prevalence, restricted=judging.restricted
            )
        analysed_at = moment(max((time for film in films for time in film.times), default=found.at))
        corrected = before is not None and revision.corrects(before.revision)
        return StudyReport(
            sources, profile, number, analysed_at, corrected=corrected, again=revision.again, identity=revision.identity
        )

    def _header(self, stored: Stored, identity: Mapping[str, str]) -> Dataset:
        """The film's data set without its pixels, in the character set of its sender, and as whose it is known."""
        charset = self.charsets.get(stored.arrival.calling_ae_title)
        return with_identity(read_film_header(self.spool.path(stored.arrival.path), charset), identity)

    def predecessor(self, study: str, target: Target, form: Form) -> Reference | None:
        """The report that a revision in this form follows: of the same class, where there is one."""
        with self.store.reading() as tx:
            written = results.documents(tx, study)
        before = [
            one for one in written if one.kind == "sr" and one.mode == target.mode and one.revision < target.revision
        ]
        alike = [one for one in before if one.sop_class_uid == REPORT_CLASSES[form.sr_class]]
        return reference((alike or before)[-1]) if before else None

    def forms(self, target: Target) -> Mapping[Form, Sequence[str]]:
        """The forms in which a report is due, each with the destinations that get it.

        Without any destination it is the one that says most.
        """
        if target.sr_class:
            taste = self.tastes.get(target.destination, Taste())
            sr_class = cast(ReportClass, target.sr_class)
            return {Form(sr_class, taste.whole_image): (target.destination,)}
        found: dict[Form, list[str]] = {}
        with self.store.reading() as tx:
            for name in self.destinations.get(target.mode, ()):
                taste = self.tastes[name]
                sr_class = report_classes.accepted(tx, name, taste.sr_class, self.clock())
                found.setdefault(Form(sr_class, taste.whole_image), []).append(name)
        return found or {Form(): ()}

    def follow(self, tx: Tx, job: Job) -> Iterable[NewJob]:
        """The job that writes the documents which come after those of `job`, if there are any."""
        target = Target.parse(job.target)
        if not target.destination and (kind := self.following.get((target.mode, job.kind))):
            yield NewJob(kind, job.subject, job.target)
        else:
            yield from self.tie(tx, job.subject, target)

    def tie(self, tx: Tx, study: str, target: Target) -> Iterable[NewJob]:
        """No more documents are made: the selections that are due then."""
        return ties.due(tx, study, target, self.destinations.get(target.mode, ())) if self.key_objects else ()

    def put_away(
        self, tx: Tx, document: Document, path: str, target: Target, destinations: Sequence[str]
    ) -> Iterable[NewJob]:
        """Record a document that stands in the outbox, and one delivery for each of the destinations."""
        number, mode = target.revision, target.mode
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
        for destination in destinations:
            results.add_delivery(tx, written.sop_instance_uid, destination)
            yield NewJob("deliver", written.sop_instance_uid, destination)

    def picture(self, source: Source) -> NDArray[np.uint8]:
        """As `picture_of`; one that is being drawn is waited for."""
        path = self.spool.picture(source.digest)
        for pause in self.pauses:
            if path.is_file():
                break
            time.sleep(pause)
        return picture_of(self.store, self.spool, source.digest)

    def write(self, document: Document) -> str:
        """The document's bytes in the outbox, durably; its path relative to the spool."""
        return self.spool.write(self.spool.outbox / f"{document.sop_instance_uid}.dcm", document.content)


@dataclass(frozen=True, slots=True)
class Writing(SingleStage):
    """A stage that writes documents at the desk; when it cannot, none come after."""

    desk: Desk

    def abandoned(self, tx: Tx, job: Job) -> Iterable[NewJob]:
        return self.desk.tie(tx, job.subject, Target.parse(job.target))


def reference(written: Written) -> Reference:
    """A document as others refer to it."""
    return Reference(written.sop_class_uid, written.sop_instance_uid, written.series_instance_uid)
