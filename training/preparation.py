"""What is done to every film before a network sees it: the part of a recipe that `pictures` reads."""

from typing import Annotated

from pydantic import BaseModel, Field

from training.augmentation import FROZEN, Positive, Share

Margin = Annotated[float, Field(ge=0, lt=0.5)]


class Crop(BaseModel):
    """A central crop that grows with the film (document 002): what is cut is `share * side / longest`."""

    model_config = FROZEN

    width: Share
    height: Share
    widest: Positive
    """Pixels of the widest film, from which `width` of the width is cut."""
    highest: Positive
    usual: tuple[Positive, Positive] | None = None
    """Width and height taken for films whose original size is not known; else the file's."""


class PrepareRecipe(BaseModel):
    """What is done to every film before the network sees it, in training and in use."""

    model_config = FROZEN

    crop: Crop | None = None
    equalise: bool = False
    """Histogram equalisation (document 004)."""
    cut_margin: Margin = 0.0
    """The share of each side that is cut off at every edge, where letters and collimation are."""
    blank_margin: Margin = 0.0
    """The share of each side that is made grey at every edge."""
    lungs_only: bool = False
    """Everything is made grey but two ellipses where lungs usually are."""
