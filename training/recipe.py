"""What a run is made of: a frozen, validated recipe, read from TOML."""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cxr_node.errors import ConfigError

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataRecipe(_Frozen):
    """Which films an epoch shows: each source's share (they sum to one), labels balanced within a source."""

    shares: dict[str, Share]
    films_per_epoch: Annotated[int, Field(gt=0)]


class FitRecipe(_Frozen):
    """The optimisation: AdamW with a cosine schedule after a warm-up of the head alone."""

    warm_up_epochs: Annotated[int, Field(ge=0)]
    epochs: Annotated[int, Field(ge=1)]
    batch: Annotated[int, Field(ge=2)]
    head_rate: Positive
    rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Share
    average_decay: Share

    @property
    def all_epochs(self) -> int:
        """Warm-up and whole-network epochs together."""
        return self.warm_up_epochs + self.epochs


class AugmentRecipe(_Frozen):
    """How far each random change goes; the comments of the shipped recipes give units."""

    flip: Share
    rotation: Annotated[float, Field(ge=0)]
    scale: Share
    aspect: Share
    shift: Share
    gamma: Annotated[float, Field(ge=0)]
    contrast: Share
    blur: Annotated[float, Field(ge=0)]
    jpeg: Annotated[int, Field(ge=1, le=100)]
    marker: Share


class Recipe(_Frozen):
    """One training run; everything that decides its result but the films and the starting weights themselves."""

    network: str
    weights_sha256: str
    size: Annotated[int, Field(ge=32)]
    seed: int
    data: DataRecipe
    fit: FitRecipe
    augment: AugmentRecipe


def load(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        ConfigError: the file is missing, is no TOML, or says something that is not understood; all mistakes at once.
    """
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from error
    except ValidationError as error:
        mistakes = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ConfigError(f"{path}: {mistakes}.") from error
