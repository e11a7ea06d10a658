"""transmit: one message to the RIS, as the bytes that stand in its queue, until it has taken it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from cxr_node.domain.clock import Clock
from cxr_node.domain.job import Job, NewJob
from cxr_node.errors import Ineligible, Permanent, Transient
from cxr_node.hl7.acknowledgement import Acknowledgement, read
from cxr_node.hl7.message import Unreadable, parse
from cxr_node.hl7.mllp import Peer
from cxr_node.message import Message
from cxr_node.stages.stage import Commit, SingleStage
from cxr_node.store import events, messages, tellings, worklist
from cxr_node.store.db import Store, Tx
from cxr_node.store.messages import Outgoing

OnError = Literal["hold", "retry"]
_NOT_SENT = ("UNREACHABLE", "TLS_FAILED")


@dataclass(frozen=True, slots=True)
class Transmit(SingleStage):
    """Sends a message and looks at the answer; `exchange` gives it or raises Transient.

    The same bytes with the same control id are sent each time, so that a RIS that had taken them, and whose answer was
    lost, knows them again. `on_error`: by destination, whether what it finds faulty (AE) is held for a person. While
    a message is tried again, those behind it wait; when it is held or sent, the next has its turn.
    """

    store: Store
    told: Mapping[str, Peer]
    on_error: Mapping[str, OnError]
    exchange: Callable[[Peer, bytes], bytes]
    clock: Clock

    def run(self, job: Job) -> Commit:
        peer = self.told.get(job.target)
        if peer is None:
            raise Permanent(
                "DESTINATION_UNKNOWN", Message("no [[worklist.hl7]] is named {name!r} any more", name=job.target)
            )
        with self.store.reading() as tx:
            message, overtaken = messages.find(tx, job.subject), messages.overtaken(tx, job.subject)
        if message is None:
            raise Permanent("MESSAGE_UNKNOWN", Message("the message of this job is not in the database"))
        if overtaken:
            raise Ineligible(
                "OVERTAKEN", Message("a later message about the same study was sent while this one was held")
            )
        answer = _answer_to(message, self._exchange(peer, message), peer)
        with self.store.transaction() as tx:
            messages.answered(tx, message.control_id, answer.code, answer.text)
            if answer.code != "AA":
                tellings.not_taken(tx, message.control_id)
        self._judge(answer, peer)
        return self._sent(message, peer)

    def _exchange(self, peer: Peer, message: Outgoing) -> bytes:
        """It is on record before that the RIS may have the message: what it has may have to be taken back."""
        with self.store.transaction() as tx:
            first = tellings.tried(tx, message.control_id, self.clock())
        try:
            return self.exchange(peer, message.content)
        except Transient as error:
            if first and error.code in _NOT_SENT:
                with self.store.transaction() as tx:
                    tellings.not_taken(tx, message.control_id)
            raise

    def abandoned(self, tx: Tx, job: Job) -> Iterable[NewJob]:
        return messages.next_up(tx, job.target)

    def _judge(self, answer: Acknowledgement, peer: Peer) -> None:
        """What is no acceptance is raised. The RIS's own words may name a patient: they stand in the database alone."""
        why = " ".join(part for part in (answer.code, answer.error, answer.place) if part)
        if answer.code == "AR":
            raise Transient("MESSAGE_REJECTED", Message("{name} rejects the message ({why})", name=peer.name, why=why))
        if answer.code == "AE":
            sentence = Message(
                "{name} finds the message faulty ({why}); its words stand in the study", name=peer.name, why=why
            )
            held = self.on_error[peer.name] == "hold"
            raise Permanent("MESSAGE_FAULTY", sentence) if held else Transient("MESSAGE_FAULTY", sentence)

    def _sent(self, message: Outgoing, peer: Peer) -> Commit:
        now, study = self.clock(), message.study_instance_uid

        def commit(tx: Tx) -> Iterable[NewJob]:
            messages.sent(tx, message.control_id, now)
            events.append(
                tx, now, "message.sent", study, destination=peer.name, message=message.kind, about=message.about,
                control_id=message.control_id, host=peer.host, **worklist.whose(tx, study),
            )  # fmt: skip
            return messages.next_up(tx, peer.name)

        return commit


def _answer_to(message: Outgoing, data: bytes, peer: Peer) -> Acknowledgement:
    """The acknowledgement of this message. Raises Transient where it is none, or is of another one."""
    try:
        answer = read(parse(data, "8859/1"))
    except Unreadable as error:
        raise Transient(
            "ANSWER_INVALID",
            Message("{name} answered with no message: {sentence}", name=peer.name, sentence=error.fault.sentence),
        ) from error
    if answer is None:
        raise Transient(
            "ANSWER_INVALID",
            Message("{name} answered with a message that is no acknowledgement (MSA)", name=peer.name),
        )
    if answer.control_id != message.control_id:
        raise Transient(
            "ANSWER_INVALID",
            Message("{name} answered another message: MSA-2 is not the control id (MSH-10)", name=peer.name),
        )
    return answer
