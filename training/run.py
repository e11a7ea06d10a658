"""The folder of one training run, from the recipe to the results."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from cxr_node.domain.finding import Cutoffs
from cxr_node.errors import ConfigError
from cxr_node.inference.calibration import Calibration, ClassCalibration
from cxr_node.inference.network import FilmNetwork, channels_last
from training.data import Film, write_manifest
from training.files import write_text
from training.networks import build
from training.networks.weights import read_state
from training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Conditions:
    """How a run differs from its recipe; what is shown of its results says so."""

    name: str
    """The recipe's."""
    weights: str
    """SHA-256 of the file that it started from, empty for random weights."""
    from_scratch: bool
    """Random weights although the recipe starts from public ones."""
    limit: int | None
    """Films of each split at most."""
    epochs: int
    """As many as the recipe as it was run has."""
    recipe_epochs: int
    """As many as the recipe has."""
    variants: int | None = None
    """Of a frozen network: each film's random changes come from so many, whose features were computed once."""
    stand_in: str = ""
    """What stands in for the recipe's films, where those are not at hand."""
    device: str = field(default="", compare=False)
    """The graphics card that it was last trained on; empty: the processor."""
    processes: int = field(default=1, compare=False)
    """How many it was last trained in."""
    precision: str = field(default="", compare=False)
    """What its network last multiplied in: bfloat16 or float32 (`training.precision`)."""


def network_of(recipe: Recipe) -> FilmNetwork:
    """The recipe's network with random weights.

    Raises:
        ConfigError: it cannot be built as the recipe says.
    """
    try:
        return build(recipe.network, recipe.outputs, head=recipe.head, front=recipe.front, options=recipe.options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"The network {recipe.network} cannot be built as the recipe says: {error}.") from error


@dataclass(frozen=True, slots=True)
class Run:
    """Where each step leaves what the next one needs."""

    directory: Path

    @property
    def log(self) -> Path:
        """One JSON line an epoch: losses, accuracies and further figures of training and validation."""
        return self.directory / "log.jsonl"

    @property
    def splits(self) -> Path:
        """The manifest of the films that the run uses, with the splits that it gave them."""
        return self.directory / "splits.csv"

    @property
    def checkpoint(self) -> Path:
        """The state to resume from."""
        return self.directory / "checkpoint.pt"

    @property
    def weights(self) -> Path:
        """The averaged weights of the finished run (safetensors)."""
        return self.directory / "weights.safetensors"

    @property
    def explained(self) -> Path:
        """The picture of ten films with their heat, where `evaluate --explain` drew one (PNG)."""
        return self.directory / "explained.png"

    def begin(self, recipe: Recipe, conditions: Conditions, films: Sequence[Film]) -> None:
        """Make the folder and keep in it what decides the run's result.

        Raises:
            ConfigError: the folder holds a run of another recipe, or under other conditions.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / "recipe.json"
        if path.exists() and (self.recipe() != recipe or self.conditions() != conditions):
            raise ConfigError(
                f"{self.directory} holds a run of another recipe, or of this one under other conditions (limit, "
                "epochs, weights); name another folder."
            )
        path.write_text(recipe.model_dump_json(indent=2) + "\n", encoding="utf-8")
        self._write("conditions.json", asdict(conditions))
        write_manifest(films, self.splits)

    def recipe(self) -> Recipe:
        """The recipe that the run was begun with."""
        return Recipe.model_validate(self._read("recipe.json"))

    def conditions(self) -> Conditions:
        """How the run differs from its recipe."""
        return Conditions(**self._read("conditions.json"))

    @property
    def epochs_done(self) -> int:
        """Epochs that the run has come through."""
        return len(self.history())

    def history(self) -> list[dict[str, float]]:
        """The lines of the log: one entry an epoch."""
        if not self.log.is_file():
            return []
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    @property
    def begun(self) -> bool:
        """Whether the folder holds a run at all."""
        return (self.directory / "conditions.json").is_file()

    @property
    def finished(self) -> bool:
        """Whether the weights are there."""
        return self.weights.is_file()

    @property
    def outcome(self) -> Path:
        """What `evaluate` found."""
        return self.directory / "results.json"

    @property
    def evaluated(self) -> bool:
        """Whether `evaluate` has kept its results."""
        return self.outcome.is_file()

    def keep_log(self, entries: Sequence[Mapping[str, float]]) -> None:
        """Write one line for each epoch so far."""
        self.log.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")

    def state(self) -> dict[str, torch.Tensor]:
        """The finished run's weights by name.

        Raises:
            ConfigError: the run is not finished, or its file is damaged.
        """
        if not self.finished:
            raise ConfigError(f"{self.directory} holds no finished run; continue it with --resume.")
        return read_state(self.weights)

    def network(self, device: str = "cpu") -> FilmNetwork:
        """The finished network in evaluation mode, on the device.

        Raises:
            ConfigError: the run is not finished, or its weights are of another network than its recipe's.
        """
        network = network_of(self.recipe())
        try:
            network.load_state_dict(self.state())
        except RuntimeError as error:
            raise ConfigError(f"{self.weights} is of another network than the run's recipe: {error}") from error
        channels_last(network)
        return network.to(device).eval()

    def keep_calibration(self, calibration: Calibration | ClassCalibration, points: Cutoffs) -> None:
        """Keep what `calibrate` found."""
        self._write("calibration.json", {"calibration": asdict(calibration), "operating_points": asdict(points)})

    def calibration(self) -> tuple[Calibration, Cutoffs]:
        """The calibration and the model's own operating points, of a recipe for the node's own question.

        Raises:
            ConfigError: the recipe has classes of its own.
        """
        calibration, points = self.calibrated()
        if isinstance(calibration, ClassCalibration):
            raise ConfigError(f"{self.directory} is of a recipe with classes of its own.")
        return calibration, points

    @property
    def has_calibration(self) -> bool:
        """Whether `calibrate` kept something."""
        return (self.directory / "calibration.json").is_file()

    def calibrated(self) -> tuple[Calibration | ClassCalibration, Cutoffs]:
        """The calibration and the model's own operating points, of any recipe."""
        kept = self._read("calibration.json")
        points, found = Cutoffs(**kept["operating_points"]), kept["calibration"]
        if "scales" in found:
            return ClassCalibration(tuple(found["scales"]), tuple(found["biases"]), found["prevalence"]), points
        return Calibration(**found), points

    def keep_results(self, results: dict[str, Any]) -> None:
        """Keep what `evaluate` found."""
        self._write("results.json", results)

    def results(self) -> dict[str, Any]:
        """What `evaluate` found."""
        return self._read("results.json")

    def keep_elsewhere(self, found: dict[str, Any]) -> None:
        """Keep what `hospitals` found."""
        self._write("hospitals.json", found)

    @property
    def tried_elsewhere(self) -> bool:
        """Whether `hospitals` kept something."""
        return (self.directory / "hospitals.json").is_file()

    def elsewhere(self) -> dict[str, Any]:
        """What `hospitals` found."""
        return self._read("hospitals.json")

    def accuracy(self) -> float | None:
        """The accuracy on test films that `results` holds; None where there is none, or the run was cut short.

        A run of less than a tenth of its recipe's epochs has no figure.
        """
        if not self.evaluated or 10 * self.epochs_done < self.conditions().recipe_epochs:
            return None
        accuracy: float | None = self.results().get("accuracy", {}).get("value")
        return accuracy

    def _write(self, name: str, content: dict[str, Any]) -> None:
        write_text(self.directory / name, json.dumps(content, indent=2) + "\n")

    def _read(self, name: str) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads((self.directory / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.directory / name} cannot be read ({error}); run the step before.") from error
        return content
