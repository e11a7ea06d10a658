"""What a run of the gate is made of: a frozen, validated recipe, read from TOML."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from training.augmentation import AugmentRecipe
from training.recipe import shipped as recipes
from training.settings import read_settings

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SampleRecipe(_Frozen):
    """How many samples of each kind are made for training; the comments of the shipped recipe say what they are."""

    upright: Count
    framed: Count
    turned: Count
    inverted: Count
    cropped: Count
    halved: Count
    lateral: Count
    patch: Count
    shuffled: Count
    picture: Count
    drawing: Count
    blank: Count

    def times(self, share: float) -> "SampleRecipe":
        """As many of each kind times `share`, and at least one."""
        return SampleRecipe(**{kind: max(1, round(count * share)) for kind, count in self})


class HeadsRecipe(_Frozen):
    """The optimisation of the heads, by AdamW, the rate on one cycle."""

    epochs: Count
    batch: Annotated[int, Field(ge=2)]
    rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]


class LimitRecipe(_Frozen):
    """Which share of validation films may be called what they are not."""

    validation: Share
    refused: Share
    repaired: Share
    turned: Share
    cropped: Share
    doubt: Share
    least: Share


class GateRecipe(_Frozen):
    """One run; everything that decides its result but the films and the starting weights themselves."""

    weights_sha256: Annotated[str, Field(min_length=64, max_length=64)]
    seed: int
    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    samples: SampleRecipe
    fit: HeadsRecipe
    limits: LimitRecipe
    augment: AugmentRecipe


def load(path: Path) -> GateRecipe:
    """Read a recipe.

    Raises:
        ConfigError: the file is missing, is no TOML, or says something that is not understood; all mistakes at once.
    """
    return read_settings(path, GateRecipe)


def is_gate_run(directory: Path) -> bool:
    """Whether a folder holds a finished run of a gate."""
    return (directory / "limits.json").is_file()


def shipped() -> dict[str, Path]:
    """The gate's recipes that come with the package, by name; they lie in a folder beside the others."""
    beside = next(iter(recipes().values()))
    return {path.stem: path for path in sorted((beside.parent / "gate").glob("*.toml"))}
