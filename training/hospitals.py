"""What a run makes of hospitals that gave it no training film: the next hospital is what counts.

Leave-one-hospital-out: a run of a recipe without a source is tried on that source's films. Test splits are not read
here, so that recipes can be chosen by it.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cxr_node.inference.calibration import Calibration
from cxr_node.inference.network import FilmNetwork
from cxr_node.inference.outputs import Classes, FindingAndKind, Outputs
from training import metrics
from training.assess import FEWEST, plain
from training.bootstrap import Resamples, patients_of, resamples
from training.data import PNEUMONIA, Film
from training.evaluation import LATERAL
from training.export import CLASSES
from training.metrics import Floats
from training.operating import threshold_at
from training.priming import film_batches
from training.recipe import Recipe
from training.run import Run
from training.splits import films_of
from training.subject import read_logits

NORMAL = "normal"
SAME = {("covid_radiography_db", NORMAL): "nih_chestxray14"}
"""Films of one hospital in another's collection: those normals are RSNA's, which are NIH's."""
ENOUGH = 30
"""Films with the finding, and without, that an area under a curve needs."""
SENSITIVITIES = (0.8, 0.85)
"""At which the specificity is given, by a threshold of the hospital's own films."""


def hospital_of(film: Film) -> str:
    """The hospital that a film is from, by the name of its first source."""
    return SAME.get((film.source, film.label), film.source)


@dataclass(frozen=True, slots=True)
class _Reader:
    """How a calibrated run judges films."""

    recipe: Recipe
    network: FilmNetwork
    outputs: Outputs
    threshold: float

    @classmethod
    def of(cls, run: Run, device: str) -> "_Reader":
        recipe, (calibration, points) = run.recipe(), run.calibrated()
        outputs: Outputs = (
            FindingAndKind(CLASSES, calibration)
            if isinstance(calibration, Calibration)
            else Classes(tuple(recipe.classes), recipe.served.finding_classes if recipe.served else (), calibration)
        )
        return cls(recipe, run.network(device), outputs, points.threshold)

    def scores(self, films: Sequence[Film], adapt: bool) -> Floats:
        """The finding's probability on each film, 0..1."""
        network = normalised_anew(self.network, film_batches(films, self.recipe)) if adapt else self.network
        return np.array([self.outputs.read(row.tolist())[0] for row in read_logits(network, films, self.recipe)])

    def own(self, films: Sequence[Film]) -> list[Film]:
        """The films of the sources that it learned from."""
        return films_of(self.recipe, films)


def elsewhere(
    run: Run,
    films: Sequence[Film],
    sensitivity: float | None = None,
    *,
    beside: Sequence[Run] = (),
    adapt: bool = False,
    device: str = "cpu",
) -> dict[str, Any]:
    """By source of hospitals that gave the run no training film, ready for JSON: how well it tells the finding there.

    A film is positive from the run's own threshold, or from that which so much `sensitivity` (0..1) needs on the run's
    own validation films. With other runs `beside` it is an ensemble that judges: probabilities and thresholds are the
    mean of all. With `adapt` the network is first normalised anew on the films of each source, unlabelled.

    Raises:
        ConfigError: a run is not finished or not calibrated.
    """
    readers = [_Reader.of(each, device) for each in (run, *beside)]
    ill = _ill(readers[0].recipe)

    def read(chosen: Sequence[Film], adapt: bool = False) -> Floats:
        mean: Floats = np.mean([reader.scores(chosen, adapt) for reader in readers], axis=0)
        return mean

    threshold = float(np.mean([reader.threshold for reader in readers]))
    if sensitivity is not None:
        own = readers[0].own(films)
        threshold = threshold_at(read([film for film in own if film.split == "val" and film.label in ill]), sensitivity)
    seen = {hospital_of(film) for reader in readers for film in reader.own(films) if film.split == "train"}
    groups: dict[str, list[Film]] = {}
    for film in films:
        if film.split != "test" and film.view != LATERAL and hospital_of(film) not in seen:
            groups.setdefault(film.source, []).append(film)
    return {
        name: plain(_figures(members, read(members, adapt), ill, threshold))
        for name, members in sorted(groups.items())
        if len(members) >= FEWEST
    }


@torch.no_grad()
def normalised_anew(network: FilmNetwork, batches: Iterable[Tensor]) -> FilmNetwork:
    """A copy of a network whose batch normalisation has the statistics of these films (n, 1, size, size).

    Adaptive batch normalisation (Li et al., 2016, arXiv 1603.04779): it needs no label, but films of the hospital.
    """
    adapted = copy.deepcopy(network)
    for module in adapted.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the plain mean over all batches
            module.train()
    device = next(adapted.parameters()).device
    for batch in batches:
        adapted(batch.to(device).contiguous(memory_format=torch.channels_last))
    return adapted.eval()


def _ill(recipe: Recipe) -> frozenset[str]:
    """The labels of films with the finding."""
    if not recipe.classes or recipe.served is None:
        return PNEUMONIA
    return frozenset(label for name in recipe.served.finding_classes for label in recipe.classes[name])


def _figures(films: Sequence[Film], scores: Floats, ill: frozenset[str], threshold: float) -> dict[str, Any]:
    drawn = resamples(patients_of(films))
    labels = np.array([film.label for film in films])
    found = np.isin(labels, sorted(ill))
    told = np.flatnonzero(found | (labels == NORMAL))
    enough = min(found.sum(), (labels == NORMAL).sum()) >= ENOUGH
    return {
        "films": len(films),
        "patients": drawn.patients,
        "threshold": threshold,
        "roc_auc": _area(scores[told], found[told], drawn.among(told.tolist())) if enough else None,
        "specificity_at": _specificities(scores, found, labels == NORMAL, drawn) if enough else {},
        "called": {
            label: {
                "films": int((labels == label).sum()),
                "positive": drawn.estimate(partial(_share, scores >= threshold, labels == label)),
            }
            for label in sorted(set(labels.tolist()))
            if (labels == label).sum() >= FEWEST
        },
    }


def _area(scores: Floats, found: metrics.Truths, drawn: Resamples) -> Any:
    return drawn.estimate(partial(metrics.roc_area, found, scores))


def _specificities(
    scores: Floats, found: metrics.Truths, normal: metrics.Truths, drawn: Resamples
) -> Mapping[float, Any]:
    """The share of normal films below what each sensitivity needs, with intervals at that threshold."""
    return {
        wanted: drawn.estimate(partial(_share, scores < threshold_at(scores[found], wanted), normal))
        for wanted in SENSITIVITIES
    }


def _share(which: metrics.Truths, among: metrics.Truths, weights: Floats) -> Floats:
    return metrics.share(which, weights * among)


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """`elsewhere` of several runs, by the run's name, as Markdown."""
    head = "| run | films of | AUC | specificity at sensitivity 0.8 / 0.85 | called positive |"
    lines = [head, "| --- | --- | ---: | ---: | --- |"]
    for run, sources in found.items():
        for source, figures in sources.items():
            area = "too few" if figures["roc_auc"] is None else shown(figures["roc_auc"])
            at = " / ".join(shown(each) for each in figures["specificity_at"].values()) or "too few"
            called = "; ".join(
                f"{label} {shown(each['positive'])} of {each['films']}" for label, each in figures["called"].items()
            )
            lines.append(f"| {run} | {source} | {area} | {at} | {called} |")
    return "\n".join(lines)


def shown(estimate: Mapping[str, float]) -> str:
    """An estimate with its interval."""
    return f"{estimate['value']:.2f} ({estimate['low']:.2f} to {estimate['high']:.2f})"
