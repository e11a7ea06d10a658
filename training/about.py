"""What a recipe says of itself, to people and to the node: its document, its films, the model that it becomes."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from training.augmentation import FROZEN


class Published(BaseModel):
    """The system of a document that a recipe reproduces, and the figure that the document gives."""

    model_config = FROZEN

    document: str
    system: str
    figure: float | None = None
    """Accuracy, 0..1; None where the document gives none."""
    on: str
    """What the document's figure was measured on."""
    differs: str
    """How the run differs from the document's, and what the document leaves open."""


class StandIn(BaseModel):
    """Films to take where those of the recipe's sources are not all at hand; what comes of it is marked so."""

    model_config = FROZEN

    sources: tuple[str, ...] = ()
    """Instead of the recipe's; none: nothing at hand can stand in, for what `says` explains."""
    says: str
    """What stands in for what, in a sentence."""


class Coded(BaseModel):
    """The coded concept that documents name an output by (PS3.3 8.8)."""

    model_config = FROZEN

    value: Annotated[str, Field(min_length=1, max_length=16)]
    scheme: Annotated[str, Field(min_length=1, max_length=16)]
    meanings: dict[Literal["en", "es"], Annotated[str, Field(min_length=1, max_length=64)]]


class Served(BaseModel):
    """What the node is told of the model that the run becomes."""

    model_config = FROZEN

    finding: str
    """The one that sets the severity of a film."""
    finding_classes: tuple[str, ...] = ()
    """Those of the recipe's classes that have it; where it has two logits, none."""
    codes: dict[str, Coded] = {}
    """By output: the finding, its kinds, and further classes that are findings; those that the node has need none."""
    task: str
    description: str
    data_source: str
    population: str
    intended_use: str
    licence: str
    restriction: str = ""
    """What the training films do not allow; such a model is no default."""
