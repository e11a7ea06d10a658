"""crosscheck: what the PACS says whose a study is, which its films or its order may contradict."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from cxr_node.dimse.inquiry import STUDY_ROOT_FIND
from cxr_node.dimse.sender import Peer
from cxr_node.dimse.studies import Match
from cxr_node.domain.clock import Clock
from cxr_node.domain.doubt import Archived
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.study import EntryState, Judging, Waiting
from cxr_node.errors import Permanent, Transient
from cxr_node.message import Message
from cxr_node.stages.stage import Commit, SingleStage
from cxr_node.store import archived, events, identities, windows, withdrawal, worklist
from cxr_node.store.db import Store, Tx

log = structlog.get_logger()

_AGAIN_SECONDS: Final = 300.0
_WHILE_SECONDS: Final = 86_400.0
_OURS = ("DATABASE_", "DISK_")  # why a query could not be put on record; the PACS has no part in that
_DOCUMENTS = frozenset({"SR", "KO", "PR", "SEG", "OT", "DOC"})
"""The modalities of what the node itself writes: a study of nothing else says nothing of films."""


@dataclass(frozen=True, slots=True)
class Crosscheck(SingleStage):
    """Asks once a film of a study has come. Documents wait for the answer, as for films that are still being analysed.

    A PACS that does not answer holds nothing, and that is on record. For a day it is asked again, every five minutes,
    as long as it does not answer or the study is held: what contradicts may have been corrected there.

    `pacs` is None where nobody is asked; `look_up_study` as in `dimse.studies`.
    """

    store: Store
    pacs: Peer | None
    look_up_study: Callable[[Peer, str, Sequence[str], Callable[[bytes, str], None]], list[Match]]
    judging: Judging
    waiting: Waiting
    clock: Clock

    def run(self, job: Job) -> Commit:
        if self.pacs is None:
            raise Permanent("PACS_UNKNOWN", Message("[corrections] pacs is gone from the configuration"))
        study, pacs = job.subject, self.pacs
        with self.store.reading() as tx:
            accessions = sorted(identities.accessions(tx, study))
        try:
            matches = self.look_up_study(
                pacs, study, accessions, lambda query, syntax: self._queried(pacs, study, query, syntax)
            )
        except (Transient, Permanent) as error:
            if error.code.startswith(_OURS):
                raise
            code, reason = error.code, error.message
            return lambda tx: self._unanswered(tx, study, code, reason)
        found = [one.archived for one in matches if not one.modalities or one.modalities - _DOCUMENTS]
        return lambda tx: self._answered(tx, study, found, pacs)

    def abandoned(self, tx: Tx, job: Job) -> Iterable[NewJob]:
        return [self._settle(tx, job.subject)]

    def _queried(self, pacs: Peer, study: str, query: bytes, syntax: str) -> None:
        """PS3.15 A.5.3.10"""
        with self.store.transaction() as tx:
            events.append(
                tx, self.clock(), "peer.queried", study,
                ae_title=pacs.ae_title, host=pacs.host, information_model_uid=STUDY_ROOT_FIND,
                transfer_syntax_uid=syntax, identifier=b64encode(query).decode(),
            )  # fmt: skip

    def _unanswered(self, tx: Tx, study: str, code: str, reason: str) -> Iterable[NewJob]:
        if archived.heard(tx, study) != code:
            events.append(tx, self.clock(), "pacs.unanswered", study, code=code, reason=reason)
            log.warning("pacs.unanswered", code=code, reason=reason)
        return [self._settle(tx, study), *self._again(tx, study)]

    def _answered(self, tx: Tx, study: str, found: list[Archived], pacs: Peer) -> Iterable[NewJob]:
        now = self.clock()
        if archived.heard(tx, study) != "":
            events.append(tx, now, "pacs.answered", study, ae_title=pacs.ae_title, studies=len(found))
        archived.say(tx, study, found, pacs.ae_title, now)
        withdrawal.follow(tx, study, self.judging, now)
        held = worklist.state(tx, study) is EntryState.HELD
        return [self._settle(tx, study), *(self._again(tx, study) if held else ())]

    def _settle(self, tx: Tx, study: str) -> NewJob:
        now = self.clock()
        due = windows.films_due(tx, study, self.waiting) or now
        return NewJob("settle", study, not_before=max(due, now), only_sooner=True)

    def _again(self, tx: Tx, study: str) -> Iterable[NewJob]:
        now, state = self.clock(), worklist.state(tx, study)
        wanted = state not in (EntryState.READ, EntryState.WITHDRAWN)
        if wanted and now < worklist.received_at(tx, study) + _WHILE_SECONDS:
            yield NewJob("crosscheck", study, not_before=now + _AGAIN_SECONDS)
