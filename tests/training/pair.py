"""What two processes compute together against what one computes alone; each of the two runs this as a program."""

import copy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from training import recipe as recipes
from training.data import read_manifest
from training.epochs import prepared
from training.fit import fit
from training.ranks import ALONE, Ranks, launched
from training.robust import Robust, WorstGroups
from training.run import Run
from training.together import synchronise

FILMS = 7
"""Which two processes cannot share evenly."""


class Layers(nn.Module):
    """Both kinds of batch norm and dropout, on maps and behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(1, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.3))
        self.head = nn.Sequential(nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))

    def forward(self, films: Tensor) -> Tensor:
        found: Tensor = self.head(self.maps(films).mean(dim=(2, 3)))
        return found


def layers_see_the_whole_batch(ranks: Ranks, _: Sequence[str]) -> None:
    """Loss, gradients, statistics and the evaluation that follows are those of one process."""
    torch.manual_seed(3)
    alone, films, targets = Layers().double(), torch.rand(FILMS, 1, 8, 8).double(), torch.randint(3, (FILMS,))
    together = copy.deepcopy(alone)
    synchronise(together, ranks, torch.device("cpu"))
    results = []
    for network, of in ((alone, ALONE), (together, ranks)):
        torch.manual_seed(4)
        shared = of.shared(network)
        losses = nn.functional.cross_entropy(shared(of.part(films)), of.part(targets), reduction="none")
        loss = of.mean(losses)
        torch.autograd.backward(loss)
        results.append(of.total(loss) / of.count)
    torch.testing.assert_close(results[0], results[1])
    for (name, one), two in zip(alone.named_parameters(), together.parameters(), strict=True):
        assert torch.allclose(one.grad, two.grad), name
    assert together.state_dict().keys() == alone.state_dict().keys()
    torch.testing.assert_close(together.state_dict(), alone.state_dict())
    torch.testing.assert_close(together.eval()(films), alone.eval()(films))


def losses_are_joined_over_all_films(ranks: Ranks, _: Sequence[str]) -> None:
    """The worst group is that of all films, and partners to mix come from all of them."""
    torch.manual_seed(5)
    losses, groups = torch.rand(FILMS), torch.tensor([0, 0, 1, 1, 1, 2, 0])
    found = []
    for of in (ALONE, ranks):
        part, worst = of.part(losses).clone().requires_grad_(), WorstGroups(4, 0.5, of)
        joined = worst(part, of.part(groups))
        (slope,) = torch.autograd.grad(joined, part)
        found.append((of.total(joined) / of.count, of.whole(slope) / of.count, worst.weights))
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two)
    recipe = recipes.load(recipes.shipped()["cxr-pneumonia-1.0"]).changed({"fit.mixup": 0.4})
    films, batch = torch.rand(FILMS, 1, 4, 4), {"source": torch.tensor([0, 1, 0, 1, 2, 2, 0]), "known": groups > 0}
    for of in (ALONE, ranks):
        torch.manual_seed(6)
        robust = Robust(recipe.fit, nn.Module(), [{"source": np.int64(2), "group": np.int64(2)}], of)
        mixed = robust.mixed(of.part(films), {name: of.part(value) for name, value in batch.items()})
        assert mixed is not None
        shown, others, own = of.whole(mixed[0]), {name: of.whole(value) for name, value in mixed[1].items()}, mixed[2]
        found.append((shown, others["source"], others["known"], torch.tensor(own)))
    for one, two in zip(*found[2:], strict=True):
        assert one.equal(two)


def films_are_prepared_once(ranks: Ranks, arguments: Sequence[str]) -> None:
    """Each process prepares its part, and has all of them."""
    films = read_manifest(Path(arguments[0]))[:FILMS]
    recipe = recipes.load(recipes.shipped()["000-lenet5"])
    assert prepared(films, recipe, ranks, Console(quiet=True)).equal(
        prepared(films, recipe, ALONE, Console(quiet=True))
    )


def a_frozen_network_computes_its_features_in_parts(ranks: Ranks, arguments: Sequence[str]) -> None:
    """A run of which only the head learns comes to what one process comes to."""
    small = {"size": 64, "weights_sha256": "", "data.films_per_epoch": 21}
    small |= {"fit.warm_up_epochs": 2, "fit.epochs": 0, "fit.batch": FILMS}
    recipe = recipes.load(recipes.shipped()["cxr-pneumonia-1.0"]).changed(small)
    films, folder = read_manifest(Path(arguments[0])), Path(arguments[1])
    fit(recipe, films, Run(folder / "together"), variants=2, ranks=ranks)
    if ranks.first:
        fit(recipe, films, Run(folder / "alone"), variants=2)
        one, two = ([each["loss"] for each in Run(folder / name).history()] for name in ("alone", "together"))
        np.testing.assert_allclose(one, two, rtol=1e-2)


CHECKS: tuple[Callable[[Ranks, Sequence[str]], None], ...] = (
    layers_see_the_whole_batch,
    losses_are_joined_over_all_films,
    films_are_prepared_once,
    a_frozen_network_computes_its_features_in_parts,
)

if __name__ == "__main__":
    torch.set_num_threads(1)
    with launched("cpu") as group:
        for check in CHECKS:
            check(group, sys.argv[1:])
            print(f"{group.rank}: {check.__name__}", flush=True)
