"""What a stage is: it does the work of a job, and says what to write when the work is done."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from cxr_node.domain.job import Job, NewJob

if TYPE_CHECKING:  # a process that decodes films has no use for the database
    from cxr_node.store.db import Tx

T = TypeVar("T")
R = TypeVar("R")

Commit = Callable[["Tx"], Iterable[NewJob]]
"""Writes a job's results and gives its successors; runs in the transaction that completes the job."""


def attempt(function: Callable[[T], R], argument: T) -> R | Exception:
    """The value of the call, or what it raised: one job's failure must not become its neighbour's."""
    try:
        return function(argument)
    except Exception as error:  # noqa: BLE001 - every kind of failure is the caller's to sort; nothing is swallowed
        return error


class Stage(ABC):
    """Does the jobs of one kind. Running a job again must lead to the same state (Law 3)."""

    @abstractmethod
    def run_batch(self, jobs: Sequence[Job]) -> Sequence[Commit | Exception]:
        """One outcome for each job, in their order."""

    def abandoned(self, tx: "Tx", job: Job) -> Iterable[NewJob]:  # noqa: ARG002 - for those that override it
        """What follows when a job has ended without a result; in the transaction that ends it."""
        return ()


class SingleStage(Stage):
    """A stage that does its jobs one by one."""

    @abstractmethod
    def run(self, job: Job) -> Commit:
        """Do the work. Raises Ineligible, Transient or Permanent; anything else is a bug."""

    def run_batch(self, jobs: Sequence[Job]) -> Sequence[Commit | Exception]:
        return [attempt(self.run, job) for job in jobs]
