"""Taking note of what X-ray machines say of their procedure steps: committed before it is answered.

Like `receive` it runs in the listener: the machine waits for its answer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from cxr_node.domain.clock import Clock
from cxr_node.domain.job import NewJob
from cxr_node.domain.step import (
    WRONG_ENTRY,
    Reply,
    Statement,
    Status,
    StepState,
    fault_in_change,
    fault_in_creation,
)
from cxr_node.domain.study import Judging, Waiting
from cxr_node.errors import Transient
from cxr_node.store import events, jobs, steps, windows, withdrawal, worklist
from cxr_node.store.db import Store, Tx
from cxr_node.store.steps import Step
from cxr_node.store.withdrawal import Withdrawn

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Procedure:
    """Keeps the steps, and moves the end of the wait of their studies.

    `judging`, `wake` and `pseudonym` as in `Receive`.
    """

    store: Store
    judging: Callable[[], Judging]
    waiting: Waiting
    clock: Clock
    wake: Callable[[], None]
    pseudonym: Callable[[str], str]

    def create(self, said: Statement) -> Reply:
        if fault := fault_in_creation(said):
            return fault
        try:
            with self.store.transaction() as tx:
                if steps.find(tx, said.sop_instance_uid):
                    return Reply(Status.DUPLICATE_INSTANCE, "the performed procedure step was created before")
                self._begin(tx, said)
        except Transient as error:
            return Reply(Status.RESOURCE_LIMITATION, error.message[:64])
        for study in said.studies or ():
            log.info("step.created", study=self.pseudonym(study), calling=said.calling_ae_title)
        return Reply()

    def change(self, said: Statement) -> Reply:
        try:
            with self.store.transaction() as tx:
                step = steps.find(tx, said.sop_instance_uid)
                if step is None:
                    return Reply(Status.NO_SUCH_INSTANCE, "no such performed procedure step was created here")
                if fault := fault_in_change(step.state, said):
                    return fault
                step, withdrawn = self._follow(tx, said)
        except Transient as error:
            return Reply(Status.RESOURCE_LIMITATION, error.message[:64])
        self.wake()
        for study in step.studies:
            known = {"study": self.pseudonym(study), "calling": said.calling_ae_title}
            log.info("step.changed", state=str(step.state), instances=len(said.instances), **known)
            if one := withdrawn.get(study):
                counts = {"called_off": one.called_off, "delivered": one.delivered}
                log.warning(f"study.{one.state}", reason=one.reason, **counts, **known)
        return Reply()

    def _begin(self, tx: Tx, said: Statement) -> None:
        now = self.clock()
        steps.add(tx, said, now)
        for study in said.studies or ():
            self._record(tx, "step.created", study, said)
            self._settle(tx, study, now, only_sooner=False)

    def _follow(self, tx: Tx, said: Statement) -> tuple[Step, dict[str, Withdrawn | None]]:
        """Take over what is said; the step as it stands now, and which of its studies it withdraws."""
        now = self.clock()
        steps.change(tx, said, now)
        step = steps.find(tx, said.sop_instance_uid)
        assert step is not None  # noqa: S101 - it was there at the beginning of this transaction
        withdrawn = {}
        for study in step.studies if step.state is not StepState.IN_PROGRESS else ():
            self._record(tx, f"step.{step.state.lower()}", study, said)
            worklist.refresh(tx, study, self.judging(), now)
            if step.state is StepState.DISCONTINUED and step.reason == WRONG_ENTRY:
                withdrawn[study] = withdrawal.disown(tx, study, said.calling_ae_title, self.judging(), now)
            self._settle(tx, study, now, only_sooner=True)
        return step, withdrawn

    def _settle(self, tx: Tx, study: str, now: float, *, only_sooner: bool) -> None:
        """While films are waited for, the wait ends when what is known now says; of a withheld study there is none."""
        due = windows.films_due(tx, study, self.waiting)
        if due is not None:
            state = worklist.state(tx, study)
            due = now if state and state.withheld else due
            jobs.enqueue(tx, [NewJob("settle", study, not_before=max(due, now), only_sooner=only_sooner)], now)

    def _record(self, tx: Tx, event: str, study: str, said: Statement) -> None:
        known = {"step": said.sop_instance_uid, "calling": said.calling_ae_title, "instances": len(said.instances)}
        if said.reason:
            known |= {"code": said.reason.value, "reason": said.reason.sentence}
        events.append(tx, self.clock(), event, study, **known)
