"""Taking note of what the RIS says of studies: committed before it is answered, as films are (Law 2).

It is no job: the RIS waits for its answer.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from cxr_node.domain.callers import Refusals
from cxr_node.domain.clock import Clock
from cxr_node.domain.correction import Word
from cxr_node.domain.order import Deed, Fault, Notice, Said
from cxr_node.domain.patient import Change
from cxr_node.domain.reading import OPEN, Actor
from cxr_node.domain.study import EntryState, Judging
from cxr_node.errors import Transient
from cxr_node.hl7 import acknowledgement, inbound
from cxr_node.hl7.message import Unreadable, parse
from cxr_node.stages.stage import attempt
from cxr_node.store import corrections, events, identities, messages, orders, reading, watching, withdrawal, worklist
from cxr_node.store.db import Store, Tx

log = structlog.get_logger()

_LISTED = OPEN | {EntryState.HELD}
_WORDS = {Deed.CANCEL: Word.CANCELLED, Deed.ORDER: Word.ORDERED}


@dataclass(frozen=True, slots=True)
class Orders:
    """The desk for messages of the RIS.

    `terms` say how they are written, `charset` (table 0211) in what where they do not say it. `refusals` are told of
    what was no message that is served; `wake` and `pseudonym` as in `Receive`.
    """

    store: Store
    terms: inbound.Terms
    charset: str
    judging: Judging
    refusals: Refusals
    clock: Clock
    wake: Callable[[], None]
    pseudonym: Callable[[str], str]

    def answer(self, data: bytes, address: str) -> bytes:
        """The acknowledgement of a message; AA when what it says is committed."""
        heard, fault = None, None
        try:
            heard = parse(data, self.charset)
            notice = inbound.read(heard, self.terms)
        except Unreadable as error:
            fault = error.fault
            where = f" ({fault.place})" if fault.place else ""
            self.refusals.unserved(address, heard.sender if heard else "", f"{fault.code}: {fault.sentence}{where}")
        else:
            fault = self._taken(notice, hashlib.sha256(data).hexdigest())
        return acknowledgement.answer(heard, fault, self.clock())

    def _taken(self, notice: Notice, digest: str) -> Fault | None:
        """What keeps a message from being taken, if anything does."""
        studies = attempt(lambda one: self._take(one, digest), notice)
        known = {"sender": notice.sender, "kind": notice.kind}
        if isinstance(studies, Transient):
            log.warning("message.not_taken", **known, code=studies.code, reason=studies.message)
            return Fault(206, "the node cannot write now; send the message again later")
        if isinstance(studies, Exception):
            log.error("message.not_taken", **known, exc_info=studies)
            return Fault(207, "an internal error of the node; its log has the details")
        log.info("message.taken", **known, studies=[self.pseudonym(study) for study in studies])
        self.wake()
        return None

    def _take(self, notice: Notice, digest: str) -> list[str]:
        """Do what a message says, in one transaction, and once; the studies that it is about."""
        now, found = self.clock(), []
        with self.store.transaction() as tx:
            if orders.is_answered(tx, notice, digest):
                return []
            for said in notice.said:
                found += self._follow(tx, notice, said, now)
            for change in notice.changes:
                found += self._rename(tx, notice, change, now)
            orders.remember(tx, notice, digest, now)
        return found

    def _follow(self, tx: Tx, notice: Notice, said: Said, now: float) -> list[str]:
        studies = orders.studies_meant(tx, said)
        event = "order.received" if said.deed in (Deed.ORDER, Deed.CANCEL) else "report.received"
        known = {"sender": notice.sender, "control_id": notice.control_id, "kind": notice.kind, "deed": said.deed.value}
        about: list[str | None] = [*studies] or [None]
        for each in about:
            whose = worklist.whose(tx, each)
            more = whose | {"accession_number": said.accession, "priority": said.priority, "code": said.code or None}
            events.append(tx, now, event, each, **known, **more)
        if said.deed is Deed.CANCEL:
            orders.drop(tx, notice.sender, said)
        elif said.priority is not None:
            orders.keep(tx, notice.sender, said, now)
        at = now if notice.at is None else notice.at
        if said.deed in _WORDS and not studies:
            corrections.say_of_order(tx, None, _WORDS[said.deed], said, notice.sender, now=now, at=at)
            for study in orders.studies_named(tx, said):  # of another patient: one of the two is wrong
                self._follow_study(tx, study, notice.sender, now)
        for study in studies:
            if said.deed in _WORDS and worklist.state(tx, study) is not EntryState.READ:
                self._say(tx, study, said, notice.sender, now=now, at=at)
            self._move(tx, study, said, notice.sender, now)
            if said.truth is not None:
                watching.label(tx, study, said.truth, notice.sender, now)
        return studies

    def _rename(self, tx: Tx, notice: Notice, change: Change, now: float) -> list[str]:
        """What an admission says of a patient; of patients without studies there is a fact and no event."""
        identities.say(tx, change, notice.sender, at=now if notice.at is None else notice.at, now=now)
        studies = identities.studies_of(tx, change)
        known = {"sender": notice.sender, "control_id": notice.control_id, "kind": notice.kind}
        for number in change.person.identifiers[:1]:
            known |= {"patient_id": number.value, "issuer_of_patient_id": number.authority}
        for number in change.prior[:1]:
            known |= {"prior_patient_id": number.value, "prior_issuer_of_patient_id": number.authority}
        for study in studies:
            known["accession_number"] = worklist.whose(tx, study)["accession_number"] or ""
            events.append(tx, now, "patient.changed", study, **known, merged=bool(change.prior))
            withdrawal.follow(tx, study, self.judging, now)
        return studies

    def _say(self, tx: Tx, study: str, said: Said, sender: str, *, now: float, at: float) -> None:
        """An order that is cancelled withdraws its study; one that is given again brings it back."""
        corrections.say_of_order(tx, study, _WORDS[said.deed], said, sender, now=now, at=at)
        self._follow_study(tx, study, sender, now)

    def _follow_study(self, tx: Tx, study: str, sender: str, now: float) -> None:
        moved = withdrawal.follow(tx, study, self.judging, now, Actor(sender, overrules=True))
        if moved:
            known = {"reason": moved.reason, "sender": sender, "delivered": moved.delivered}
            log.warning(f"study.{moved.state}", study=self.pseudonym(study), **known)

    def _move(self, tx: Tx, study: str, said: Said, sender: str, now: float) -> None:
        state, actor = worklist.state(tx, study), Actor(sender, overrules=True)
        if said.deed is Deed.ORDER:
            self._order(tx, study, said, actor, now)
        elif said.deed is Deed.FINAL and state in OPEN:
            reading.mark_read(tx, study, actor, now, cause="report")
        elif said.deed is Deed.REOPEN and state is EntryState.READ and reading.reader(tx, study) == sender:
            reading.reopen(tx, study, actor, self.judging, now)

    def _order(self, tx: Tx, study: str, said: Said, actor: Actor, now: float) -> None:
        if said.priority is None or worklist.state(tx, study) not in _LISTED:
            return
        if said.code in messages.priority_told(tx, study):
            events.append(tx, now, "order.echoed", study, sender=actor.name, code=said.code)
        else:
            orders.prioritise(tx, study, said.priority, actor.name, now)
