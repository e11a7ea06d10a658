"""The processes of one run, as torchrun starts them: their parts of the work, and what they tell each other.

Each has the whole network and, of every batch, a part of its own. A process alone is a run of one, to which nothing of
this costs anything.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from cxr_node.errors import ConfigError, Transient
from training.options import processes

T = TypeVar("T")

PATIENCE = timedelta(hours=1)
"""How long the others wait for the first, which alone prepares and judges the validation films."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which of how many processes this one is, counted from 0. All of them must make the same calls in one order."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes, speaks and judges."""
        return self.rank == 0

    def part(self, whole: Sequence[T]) -> Sequence[T]:
        """This process's part of `whole`: parts follow each other in the order of ranks, and differ by one at most."""
        ends = [len(whole) * rank // self.count for rank in (self.rank, self.rank + 1)]
        return whole[slice(*ends)]

    def by_first(self, work: Callable[[], T]) -> T:
        """What `work` returns in the first process, where alone it is done."""
        if self.count == 1:
            return work()
        told: list[Any] = [work() if self.first else None]
        distributed.broadcast_object_list(told)
        answer: T = told[0]
        return answer

    def total(self, part: Tensor) -> Tensor:
        """The sum of the processes' tensors, without a gradient."""
        whole = part.detach().clone()
        if self.count > 1:
            distributed.all_reduce(whole)
        return whole

    def lengths(self, part: int) -> list[int]:
        """How much each process has, of which this one has `part`."""
        found: list[int] = self.total(nn.functional.one_hot(torch.tensor(self.rank), self.count) * part).tolist()
        return found

    def mean(self, losses: Tensor) -> Tensor:
        """Of losses (n,) of this part what, averaged over the processes, is the mean over the films of all of them."""
        if self.count == 1:
            return losses.mean()
        return losses.sum() * (self.count / sum(self.lengths(len(losses))))

    def whole(self, part: Tensor) -> Tensor:
        """The processes' tensors (n, ...), which may differ in n, one after the other; without a gradient."""
        if self.count == 1:
            return part
        lengths = self.lengths(len(part))
        sent = part.detach().new_zeros(max(lengths), *part.shape[1:])
        sent[: len(part)] = part
        got = [torch.empty_like(sent) for _ in lengths]
        distributed.all_gather(got, sent)
        return torch.cat([each[:length] for each, length in zip(got, lengths, strict=True)])

    def alike(self, module: nn.Module) -> None:
        """Give every process the first one's parameters and buffers."""
        if self.count > 1:
            for value in module.state_dict().values():
                distributed.broadcast(value, 0)

    def shared(self, module: nn.Module) -> nn.Module:
        """The same module, whose gradients come out averaged over the processes for what requires them now."""
        return module if self.count == 1 else DistributedDataParallel(module)


ALONE = Ranks()


@contextmanager
def launched(device: str, environment: Mapping[str, str] = os.environ) -> Iterator[Ranks]:
    """The processes that torchrun started with this one, joined by gloo and, on graphics cards, NCCL; else this one.

    torchrun tells each by its `environment` who it is.

    Raises:
        ConfigError: there are more processes on this machine than graphics cards.
        Transient: PROCESS: another process has ended before its work was done.
    """
    count = processes(environment)
    if count == 1:
        yield ALONE
        return
    if device == "cuda":
        _take_card(int(environment["LOCAL_RANK"]))
    # Said of convolutions of one pixel, whose weights lie alike under either order of their axes.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    try:
        distributed.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo", timeout=PATIENCE)
        yield Ranks(distributed.get_rank(), count)
        distributed.destroy_process_group()  # not after a failure: it would wait for those that are gone
    except RuntimeError as error:
        if not (isinstance(error, distributed.DistError) or "gloo" in str(error)):
            raise
        raise Transient(
            "PROCESS",
            "Another process of this run has ended or cannot be reached. It has said why, or the system ended it (no "
            "memory). Go on with --resume.",
        ) from error


def _take_card(place: int) -> None:
    """Make a graphics card this process's own."""
    cards = torch.cuda.device_count()
    if place >= cards:
        raise ConfigError(
            f"More processes were started on this machine than it has graphics cards, {cards}; take --nproc-per-node "
            f"{cards}, or --device cpu."
        )
    torch.cuda.set_device(place)
