"""How films are changed at random in training: the part of a recipe that the transforms read."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Range = tuple[Positive, Positive]


FROZEN = ConfigDict(frozen=True, extra="forbid")
"""Of every part of a recipe: nothing in it changes, and a key that it does not know is a mistake."""


class AugmentRecipe(BaseModel):
    """How far each random change goes; the comments of the shipped recipes give units."""

    model_config = FROZEN

    flip: Share
    rotation: NotNegative
    scale: Share
    aspect: Share
    shift: Share
    gamma: NotNegative
    contrast: Share
    blur: NotNegative
    jpeg: Annotated[int, Field(ge=1, le=100)]
    marker: Share
    processed: Share = 0.0
    local_contrast: NotNegative = 0.0
    equalised: Share = 0.0
    curve: NotNegative = 0.0
    """How unevenly a random rising tone curve rises: the deviation of the logarithm of its slopes; 0: none is drawn."""


class JitterRecipe(BaseModel):
    """The documents' own random changes, each from a range: factors, and degrees for the shear."""

    model_config = FROZEN

    flip: Share = 0.0
    zoom: Range = (1.0, 1.0)
    """Above 1 the film is enlarged about its middle."""
    shear: NotNegative = 0.0
    brightness: Range = (1.0, 1.0)
    contrast: Range = (1.0, 1.0)
