"""The folder of one training run, from the recipe to the results."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from cxr_node.domain.finding import Cutoffs
from cxr_node.errors import ConfigError
from cxr_node.inference.calibration import Calibration
from cxr_node.inference.network import NETWORKS, FilmNetwork, channels_last
from training.recipe import Recipe

OUTPUTS = 2


@dataclass(frozen=True, slots=True)
class Run:
    """Where each step leaves what the next one needs."""

    directory: Path

    @property
    def log(self) -> Path:
        """One JSON line an epoch."""
        return self.directory / "log.jsonl"

    @property
    def checkpoint(self) -> Path:
        """The state to resume from."""
        return self.directory / "checkpoint.pt"

    @property
    def weights(self) -> Path:
        """The averaged weights of the finished run (safetensors)."""
        return self.directory / "weights.safetensors"

    def begin(self, recipe: Recipe) -> None:
        """Make the folder and keep the recipe in it.

        Raises:
            ConfigError: the folder holds a run of another recipe.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / "recipe.json"
        if path.exists() and self.recipe() != recipe:
            raise ConfigError(f"{self.directory} holds a run of another recipe; name another folder.")
        path.write_text(recipe.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def recipe(self) -> Recipe:
        """The recipe that the run was begun with."""
        return Recipe.model_validate(self._read("recipe.json"))

    def state(self) -> dict[str, torch.Tensor]:
        """The finished run's weights by name.

        Raises:
            ConfigError: the run is not finished.
        """
        if not self.weights.is_file():
            raise ConfigError(f"{self.directory} holds no finished run; continue it with --resume.")
        return load_file(self.weights)

    def network(self) -> FilmNetwork:
        """The finished network in evaluation mode."""
        network = NETWORKS[self.recipe().network](OUTPUTS)
        network.load_state_dict(self.state())
        channels_last(network)
        return network.eval()

    def keep_calibration(self, calibration: Calibration, points: Cutoffs) -> None:
        """Keep what `calibrate` found."""
        self._write("calibration.json", {"calibration": asdict(calibration), "operating_points": asdict(points)})

    def calibration(self) -> tuple[Calibration, Cutoffs]:
        """The calibration and the model's own operating points."""
        kept = self._read("calibration.json")
        return Calibration(**kept["calibration"]), Cutoffs(**kept["operating_points"])

    def keep_results(self, results: dict[str, Any]) -> None:
        """Keep what `evaluate` found."""
        self._write("results.json", results)

    def results(self) -> dict[str, Any]:
        """What `evaluate` found."""
        return self._read("results.json")

    def _write(self, name: str, content: dict[str, Any]) -> None:
        (self.directory / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def _read(self, name: str) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads((self.directory / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.directory / name} cannot be read ({error}); run the step before.") from error
        return content
