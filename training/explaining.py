"""The explanations of a subject: scored where somebody has drawn lungs or findings, and ten of them to look at."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.annotations import Annotations
from training.assess import plain
from training.data import Film
from training.evaluation import LATERAL
from training.explain import Explainer, Method, faithfulness, located, sanity
from training.priming import film_batches
from training.reading import Reading
from training.scaling import unscaled
from training.subject import Cascade, ClassNetwork, NodeNetwork, Subject

SHOWN = 5
"""Films called rightly, and as many wrongly."""
SEED = 13


def explained_by(subject: Subject, method: Method) -> tuple[ClassNetwork | NodeNetwork, Explainer]:
    """The network whose maps are shown, a cascade's first, and how they are made."""
    network = subject.first if isinstance(subject, Cascade) else subject
    if not isinstance(network, ClassNetwork | NodeNetwork):
        raise TypeError(f"{type(network).__name__} has no maps")
    return network, Explainer(network.network, network.recipe, method, isinstance(network, NodeNetwork))


def explanation(
    subject: Subject,
    readings: Sequence[Reading],
    films: Sequence[Film],
    split: str,
    *,
    method: Method,
    annotations: Annotations,
    most: int,
) -> tuple[dict[str, Any], bytes]:
    """Scores ready for JSON, and the picture of ten films (PNG).

    Where the heat lies is measured on every frontal film of the split that somebody has annotated, whatever its source;
    deletion, insertion and randomised weights, which cost more, on `most` of the films of the subject's `readings`.
    """
    network, explainer = explained_by(subject, method)
    own = next(reading for reading in readings if reading.question == network.questions[0])
    prepare, size = network.recipe.prepare, network.recipe.size
    drawn = [
        film
        for film in films
        if film.split == split and film.view != LATERAL and network.questions[0].target(film) is not None
        and any(annotations.region(film, kind, size, prepare) is not None for kind in ("lungs", "finding"))
    ]  # fmt: skip
    where: dict[str, Any] = {"lungs": None, "finding": None}
    if drawn:
        seen = network.read(drawn)[0]
        where["lungs"] = located(explainer, seen.films, seen.called.tolist(), annotations, "lungs")
        where["finding"] = located(explainer, seen.films, seen.targets.tolist(), annotations, "finding")
    some = np.linspace(0, len(own.films) - 1, min(most, len(own.films))).round().astype(int).tolist()
    sample = own.only(some)
    found = {
        "network": network.name,
        "method": method,
        **where,
        "faithful": faithfulness(explainer, sample.films, sample.called.tolist()),
        "sanity": sanity(explainer, sample.films, sample.called.tolist()),
    }
    content: dict[str, Any] = plain(found)
    return content, _png(gallery(explainer, own))


def gallery(explainer: Explainer, reading: Reading) -> Figure:
    """Films with their heat for the class called: up to five called rightly and five wrongly, drawn at random."""
    right = reading.called == reading.targets
    random = np.random.default_rng(SEED)
    rows = [random.permutation(np.flatnonzero(side))[:SHOWN].tolist() for side in (right, ~right)]
    figure = Figure(figsize=(2.3 * SHOWN, 10.4), layout="constrained")
    axes = figure.subplots(4, SHOWN, squeeze=False)
    for each in axes.ravel():
        each.set_axis_off()
    names = reading.question.classes
    probabilities = (reading.scaling or unscaled(len(names))).probabilities(reading.logits)
    for row, places in enumerate(rows):
        for column, place in enumerate(places):
            called, true = int(reading.called[place]), int(reading.targets[place])
            shown = next(film_batches([reading.films[place]], explainer.recipe))
            heat = explainer.heat(shown, [called])[0]
            above, below = axes[2 * row][column], axes[2 * row + 1][column]
            _film(above, shown[0, 0].numpy())
            said = f"{names[called]} {probabilities[place, called]:.2f}"
            above.set_title(f"{'right' if called == true else 'wrong'}: {said}\n(true: {names[true]})", fontsize=9)
            _film(below, shown[0, 0].numpy())
            if heat.max() > 0:
                share = heat / heat.max()
                below.imshow(share, cmap="inferno", alpha=0.65 * share, vmin=0, vmax=1)
    return figure


def inline(png: bytes) -> str:
    """The picture within HTML."""
    return f'<img alt="films with heat maps" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def _png(figure: Figure) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=100)
    return data.getvalue()


def _film(axes: Axes, film: Any) -> None:
    axes.imshow(film, cmap="gray", vmin=0, vmax=1)
