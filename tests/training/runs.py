"""Small runs that several tests evaluate."""

from typing import Any

from training import recipe as recipes
from training.recipe import Recipe


def small_recipe(name: str, **changes: Any) -> Recipe:
    """A document's recipe on a small CNN and 64 pixels, a few epochs."""
    content = recipes.load(recipes.shipped()[name]).model_dump()
    content |= {"network": "plain_cnn", "size": 64, "front": "", "head": "linear", "weights_sha256": "", "jitter": None}
    content |= {"options": {"size": 64, "widths": [8, 8, 16], "dense": [16], "dropout": 0.1}}
    content |= {"prepare": {}, "data": {"sources": ("kermany",)}}
    content["fit"] |= {
        "warm_up_epochs": 0,
        "epochs": 12,
        "batch": 6,
        "rate": 3e-3,
        "learns": (),
        "optimiser": {"name": "adam"},
    }
    return Recipe.model_validate(content | changes)  # fmt: skip
