"""One run of the gate: features of samples through the frozen stages, the heads over them, and the limits.

A run is a folder: recipe.json, log.jsonl, weights.safetensors, limits.json. It takes minutes on one processor core, so
there is nothing to resume.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional

from cxr_node.domain.quality import Limits
from cxr_node.errors import ConfigError
from cxr_node.imaging import Prepared, resized
from cxr_node.inference.build import WEIGHTS, sha256
from cxr_node.inference.gate_network import SIDE, GateHeads, GateNetwork, Outputs, layout
from cxr_node.inference.network import channels_last, fold_norms
from training.data import Film
from training.files import write_bytes, write_text
from training.gate.recipe import GateRecipe
from training.gate.samples import BLANK, FRONTAL, LATERAL, NOT_ASKED, OTHER, SIZE, Maker, Sample, answers_of, pools_of
from training.networks import NETWORKS
from training.networks.weights import read_state
from training.pictures import prepared_film
from training.preparation import PrepareRecipe

BATCH = 32
CROPPED_WEIGHT = 0.5
"""Of its loss: how much of a chest is missing is the least sharp of the questions."""

console = Console()


@dataclass(frozen=True, slots=True)
class GateRun:
    """Where a run leaves what the export needs."""

    directory: Path

    @property
    def weights(self) -> Path:
        """The whole network (safetensors)."""
        return self.directory / WEIGHTS

    def recipe(self) -> GateRecipe:
        """The recipe that the run was made with."""
        return GateRecipe.model_validate_json(self._text("recipe.json"))

    def limits(self) -> Limits:
        """What validation films set."""
        return Limits(**json.loads(self._text("limits.json")))

    def network(self) -> GateNetwork:
        """The finished network in evaluation mode."""
        network = GateNetwork()
        network.load_state_dict({name: value.float() for name, value in load_file(self.weights).items()})
        return network.eval()

    def keep_results(self, results: dict[str, Any]) -> None:
        """Keep what `evaluate` found."""
        write_text(self.directory / "results.json", json.dumps(results, indent=2) + "\n")

    def results(self) -> dict[str, Any]:
        """What `evaluate` found."""
        found: dict[str, Any] = json.loads(self._text("results.json"))
        return found

    def _text(self, name: str) -> str:
        try:
            return (self.directory / name).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"{self.directory / name} cannot be read ({error.strerror}); run the step before."
            ) from error


def fit(recipe: GateRecipe, films: Sequence[Film], run: GateRun, public: Path) -> None:
    """Train the gate into the folder of `run`; `public` is the file of the public weights.

    Raises:
        ConfigError: the weights are missing or others, or a source has no films in a split.
    """
    network = starting_network(recipe, public)
    write_text(run.directory / "recipe.json", recipe.model_dump_json(indent=2) + "\n")
    backbone = starting_network(recipe, public)
    fold_norms(backbone)
    channels_last(backbone)
    train, answers, kinds = _samples(backbone, films, recipe, "train")
    network.heads = fit_heads(train, answers, recipe, run.directory / "log.jsonl")
    sound = np.isin(kinds, ("upright", "framed"))
    fit_distance(network.heads, train[torch.from_numpy(sound)])
    write_bytes(run.weights, save({name: _small(value) for name, value in network.state_dict().items()}))
    network = run.network()
    held, right, kinds = _samples(backbone, films, recipe, "val")
    plain = features_of(backbone, plain_films([film for pool in pools_of(films, recipe, "val") for film in pool]))
    limits = choose_limits(said_of(network.heads, held), right, kinds, said_of(network.heads, plain), recipe)
    write_text(run.directory / "limits.json", json.dumps(asdict(limits), indent=2) + "\n")


def _small(value: Tensor) -> Tensor:
    """Kernels and matrices in float16, which changes no figure; what is added, or divides, as it is."""
    return (value.half() if value.is_floating_point() and value.ndim > 1 else value).contiguous()


def starting_network(recipe: GateRecipe, public: Path) -> GateNetwork:
    """The network with the public weights in its frozen stages, in evaluation mode.

    Raises:
        ConfigError: the file is not there, or is another one.
    """
    known = NETWORKS["efficientnet_lite0"].public
    if not public.is_file():
        where = f" Get it from {known.where}." if known else ""
        raise ConfigError(f"The public weights of EfficientNet-Lite0 are not at hand ({public} is missing).{where}")
    if sha256(public) != recipe.weights_sha256:
        raise ConfigError(f"{public} is not the file whose SHA-256 is {recipe.weights_sha256}.")
    network = GateNetwork()
    own = network.state_dict()
    network.load_state_dict({name: value for name, value in read_state(public).items() if name in own}, strict=False)
    return network.eval()


def features_of(backbone: GateNetwork, pictures: Iterable[Prepared]) -> Tensor:
    """Feature maps (n, 80, 7, 7), float16, of pictures as the node prepares them."""
    maps: list[Tensor] = []
    batch: list[Prepared] = []
    for picture in pictures:
        batch.append(resized(picture, SIDE))
        if len(batch) == BATCH:
            maps.append(_maps(backbone, batch))
            batch = []
    return torch.cat([*maps, _maps(backbone, batch)] if batch else maps)


def _maps(backbone: GateNetwork, batch: Sequence[Prepared]) -> Tensor:
    with torch.inference_mode():
        return backbone.features(torch.from_numpy(np.stack(batch))[:, None]).half()


def plain_films(films: Iterable[Film]) -> Iterable[Prepared]:
    """Films as they are."""
    return (prepared_film(film, SIZE, PrepareRecipe()) for film in films)


def _samples(
    backbone: GateNetwork, films: Sequence[Film], recipe: GateRecipe, split: str
) -> tuple[Tensor, NDArray[np.int64], NDArray[np.str_]]:
    """Features, answers and kinds of the samples of a split."""
    counts = recipe.samples if split == "train" else recipe.samples.times(recipe.limits.validation)
    maker = Maker(pools_of(films, recipe, split), recipe, recipe.seed + (split != "train"))
    kept: list[Sample] = []

    def pictures() -> Iterable[Prepared]:
        total = sum(count for _, count in counts)
        for sample in track(maker.make(counts), f"samples, {split}", total, console=console, transient=True):
            kept.append(Sample(sample.kind, np.empty((0, 0), np.float32), sample.answers))
            yield sample.picture

    maps = features_of(backbone, pictures())
    return maps, answers_of([each.answers for each in kept]), np.array([each.kind for each in kept])


def fit_heads(features: Tensor, answers: NDArray[np.int64], recipe: GateRecipe, log: Path) -> GateHeads:
    """Heads trained on feature maps (n, 80, 7, 7) and answers (n, 4); the mean loss of each epoch goes to `log`."""
    torch.manual_seed(recipe.seed)
    wanted, right = recipe.fit, torch.from_numpy(answers)
    heads = GateHeads()
    steps = max(1, len(features) // wanted.batch)
    optimiser = torch.optim.AdamW(heads.parameters(), lr=wanted.rate, weight_decay=wanted.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, wanted.rate, total_steps=wanted.epochs * steps)
    heads.train()
    lines = []
    for epoch in range(wanted.epochs):
        losses = []
        for chosen in torch.split(torch.randperm(len(features))[: steps * wanted.batch], wanted.batch):
            loss = _loss(heads(features[chosen].float()), right[chosen], wanted.label_smoothing)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        lines.append(json.dumps({"epoch": epoch, "loss": float(np.mean(losses))}) + "\n")
        log.write_text("".join(lines), encoding="utf-8")
    return heads.eval()


def _loss(said: Outputs, right: Tensor, smoothing: float) -> Tensor:
    """The sum of the questions' cross entropies, each over the samples that it is asked of."""
    view, quarters, inverted, cropped = right.unbind(dim=1)

    def several(logits: Tensor, answer: Tensor) -> Tensor:
        return functional.cross_entropy(logits, answer, ignore_index=NOT_ASKED, label_smoothing=smoothing)

    def binary(logits: Tensor, answer: Tensor) -> Tensor:
        asked = answer != NOT_ASKED
        return functional.binary_cross_entropy_with_logits(logits[asked], answer[asked].float())

    found = several(said.view, view) + several(said.turn, quarters) + binary(said.inverted, inverted)
    return found + CROPPED_WEIGHT * binary(said.cropped, cropped)


def fit_distance(heads: GateHeads, features: Tensor) -> None:
    """Set the centre and the whitening of the distance by the feature maps of sound films.

    Raises:
        ConfigError: there are fewer films than directions.
    """
    found = layout(features.float())
    if len(found) < heads.whitening.shape[1]:
        raise ConfigError(f"{len(found)} upright and framed samples are too few; {heads.whitening.shape[1]} at least.")
    centre = found.mean(dim=0)
    _, spread, directions = torch.linalg.svd(found - centre, full_matrices=False)
    count = heads.whitening.shape[1]
    heads.centre.copy_(centre)
    heads.whitening.copy_(directions[:count].T / (spread[:count] / len(found) ** 0.5))


def said_of(heads: GateHeads, features: Tensor) -> Outputs:
    """What the heads say of feature maps, as probabilities instead of logits."""
    with torch.inference_mode():
        said = [heads(each.float()) for each in torch.split(features, 512)]
    view, turn, inverted, cropped, distance = (torch.cat(each) for each in zip(*said, strict=True))
    return Outputs(view.softmax(dim=1), turn.softmax(dim=1), inverted.sigmoid(), cropped.sigmoid(), distance)


def choose_limits(
    said: Outputs, right: NDArray[np.int64], kinds: NDArray[np.str_], plain: Outputs, recipe: GateRecipe
) -> Limits:
    """The limits that let no larger share of validation samples be called what they are not than the recipe says.

    `said` and `plain` are of the samples and of the films as they came, as probabilities.
    """
    view, quarters, inverted, _ = right.T
    wanted = recipe.limits
    frontal = (view == FRONTAL) & (inverted == 0)
    upright = frontal & (quarters == 0)
    turn = said.turn[:, 1:].amax(dim=1)

    def above(values: Tensor, chosen: NDArray[np.bool_], share: float, least: float = wanted.least) -> float:
        return max(least, float(np.quantile(values.numpy()[chosen], 1 - share)))

    return Limits(
        lateral=above(said.view[:, LATERAL], frontal, wanted.refused, least=0.0),
        no_chest=above(said.view[:, OTHER] + said.view[:, BLANK], frontal, wanted.refused),
        frontal=float(np.quantile(plain.view[:, 0].numpy(), wanted.doubt)),
        inverted=above(said.inverted, frontal, wanted.repaired),
        turned=above(turn, upright, wanted.turned),
        cropped=above(said.cropped, np.isin(kinds, ("upright", "framed")), wanted.cropped),
        distance=float(np.quantile(plain.distance.numpy(), 1 - wanted.doubt)),
    )
