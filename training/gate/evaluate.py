"""What a finished gate does with films that it never saw, and with every fault; shares with exact intervals."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from rich.progress import track
from scipy.stats import beta
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr_node.domain.eligibility import Refusal
from cxr_node.domain.quality import Flag, assess
from cxr_node.imaging import Prepared
from cxr_node.inference.gate import read
from cxr_node.inference.gate_network import layout
from training.data import Film, patient_key
from training.gate.fit import GateRun, console, features_of, plain_films
from training.gate.recipe import GateRecipe
from training.gate.samples import Maker, pools_of

LATERAL = "LATERAL"
FAULTS = 300
"""Samples of each fault."""
FOLDS = 5
EXPECTED = {
    "framed": "analysed",
    "turned": "turned",
    "inverted": "inverted",
    "cropped": "cropped",
    "halved": "cropped",
    "lateral": "LATERAL",
    "patch": "refused",
    "shuffled": "refused",
    "picture": "refused",
    "drawing": "refused",
    "blank": "BLANK",
}
"""What is to become of each fault; all else counts as missed."""


def interval(count: int, of: int) -> tuple[float, float]:
    """The exact 95 % interval of a share (Clopper and Pearson, Biometrika 26:404, 1934)."""
    low = 0.0 if count == 0 else float(beta.ppf(0.025, count, of - count + 1))
    high = 1.0 if count == of else float(beta.ppf(0.975, count + 1, of - count))
    return low, high


def evaluate(run: GateRun, films: Sequence[Film], each: int = FAULTS) -> dict[str, Any]:
    """Everything that the card reports, ready for JSON; with so many samples of each fault."""
    return {
        "films": _sound(run, films),
        "faults": _faults(run, films, each),
        "cross_validation": _cross_validation(run, films),
    }


def _share(count: int, of: int) -> dict[str, Any]:
    low, high = interval(count, of)
    return {"count": count, "of": of, "share": count / of, "low": low, "high": high}


def _outcomes(run: GateRun, pictures: Iterable[Prepared]) -> Iterator[set[str]]:
    """Of each picture: `refused` and the code, or `analysed` and the flags."""
    network, limits = run.network(), run.limits()
    for picture in pictures:
        found = assess(partial(read, network, picture), limits)
        yield {"refused", found.code} if isinstance(found, Refusal) else {"analysed", *found[1]}


def _sound(run: GateRun, films: Sequence[Film]) -> dict[str, Any]:
    """By source and split (for the gate's own sources, only test films), and the lateral films apart."""
    groups: dict[str, list[Film]] = defaultdict(list)
    own = run.recipe().sources
    for film in films:
        if film.view == LATERAL:
            groups[f"{film.source}, lateral"].append(film)
        elif film.source not in own or film.split == "test":
            groups[f"{film.source}, test" if film.source in own else film.source].append(film)
    found = {}
    for name, members in sorted(groups.items()):
        counts: Counter[str] = Counter()
        watched = track(plain_films(members), name, len(members), console=console, transient=True)
        for outcome in _outcomes(run, watched):
            counts.update(outcome)
            counts["flagged"] += bool(outcome & set(Flag))
        named = {
            code: count for code, count in sorted(counts.items()) if code not in ("analysed", "refused", "flagged")
        }
        found[name] = {
            "refused": _share(counts["refused"], len(members)),
            "flagged": _share(counts["flagged"], len(members)),
            "named": named,
        }
    return found


def _faults(run: GateRun, films: Sequence[Film], each: int) -> dict[str, Any]:
    """Each fault, made from test films that are otherwise as they came."""
    recipe: GateRecipe = run.recipe()
    maker = Maker(pools_of(films, recipe, "test"), recipe, recipe.seed + 2, changed=False)
    found = {}
    for kind, expected in EXPECTED.items():
        outcomes = list(_outcomes(run, (sample.picture for sample in maker.several(kind, each))))
        met = sum(any(word.startswith(expected) for word in outcome) for outcome in outcomes)
        found[kind] = {"expected": expected, **_share(met, len(outcomes))}
    return found


def _cross_validation(run: GateRun, films: Sequence[Film]) -> dict[str, Any] | None:
    """Lateral against frontal, learned and tried within the sources that have laterals, by patients.

    What the frozen stages would give with films to learn from: a logistic regression on their features. None without
    laterals.
    """
    sources = {film.source for film in films if film.view == LATERAL}
    chosen = [film for film in films if film.source in sources]
    if len({patient_key(film) for film in chosen if film.view == LATERAL}) < FOLDS:
        return None
    features = layout(features_of(run.network(), plain_films(chosen)).float()).numpy()
    truth = np.array([film.view == LATERAL for film in chosen])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=2000))
    groups = [patient_key(film) for film in chosen]
    said = cross_val_predict(model, features, truth, groups=groups, cv=GroupKFold(FOLDS))
    return {
        "laterals": _share(int(said[truth].sum()), int(truth.sum())),
        "frontals": _share(int(said[~truth].sum()), int((~truth).sum())),
    }
