"""How a network's weights are moved: the part of a recipe that the trainer reads."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from training.augmentation import FROZEN, NotNegative, Positive, Share


class Optimiser(BaseModel):
    """How the weights are moved; the rates stand beside the epochs."""

    model_config = FROZEN

    name: Literal["adamw", "adam", "nadam", "sgd", "rmsprop"] = "adamw"
    momentum: Share = 0.0
    nesterov: bool = False
    decay: NotNegative = 0.0
    """The rate is divided by 1 + decay * steps, as Keras did."""


class FitRecipe(BaseModel):
    """The optimisation: a warm-up of the head alone, then the whole network; either may have no epochs."""

    model_config = FROZEN

    warm_up_epochs: Annotated[int, Field(ge=0)]
    epochs: Annotated[int, Field(ge=0)]
    batch: Annotated[int, Field(ge=2)]
    head_rate: Positive
    rate: Positive
    weight_decay: NotNegative = 0.0
    label_smoothing: Share = 0.0
    average_decay: Share = 0.0
    """Of the exponential moving average of the weights, which is what is kept; 0: the last weights themselves."""
    optimiser: Optimiser = Optimiser()
    warm_up_optimiser: Optimiser | None = None
    """Where the warm-up has one of its own; else one optimiser goes through both."""
    schedule: Literal["cosine", "constant"] = "cosine"
    class_weights: Literal["even", "balanced"] | tuple[Positive, ...] = "even"
    """Of the loss: all one; (1 / n_c) * N / classes, which for two is document 001's formula; or one for each class."""
    learns: tuple[str, ...] = ()
    """What learns in the warm-up, by the beginnings of parameter names; the head where none is named."""
    frozen: tuple[str, ...] = ()
    """What keeps its starting weights throughout, by the beginnings of parameter names."""
    within_sources: bool = False
    """Of classes: a film is told only from those that its source has too, so that to know the source is of no use."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Ends the run after so many epochs of the whole network without a smaller validation loss."""
    clip: NotNegative = 5.0
    """The largest norm of a step's gradient; 0: any."""
    mixup: NotNegative = 0.0
    """Films are mixed with those of another source, in shares from Beta(mixup, mixup); 0: none."""
    worst_groups: NotNegative = 0.0
    """How fast weight goes to the source and class with the largest loss; 0: films weigh the same."""
    adversary: NotNegative = 0.0
    """How much the features are moved so that the source cannot be told from them; 0: not at all."""

    @property
    def all_epochs(self) -> int:
        """Warm-up and whole-network epochs together."""
        return self.warm_up_epochs + self.epochs
