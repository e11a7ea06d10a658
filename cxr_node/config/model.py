"""The table of the configuration that says which models judge, and how they are read."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from cxr_node.config.basis import Probability, Section

BuildName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*(:[0-9]+\.[0-9]+\.[0-9]+)?$")]

OF_NAMED = ""


class Model(Section):
    """The model in service, those beside it, and where the site reads their outputs as positive."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")] = "cxr-pneumonia"
    version: Annotated[str, Field(pattern=r"^(latest|[0-9]+\.[0-9]+\.[0-9]+)$")] = "latest"
    directory: Path | None = None
    further: tuple[BuildName, ...] = ()
    shadow: tuple[BuildName, ...] = ()
    gate: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9._-]*)?$")] = "cxr-gate"
    thresholds: dict[str, Probability] = {}
    calibration: tuple[Path, ...] = ()
    prevalence: dict[str, Probability] = {}
    """By finding; under `OF_NAMED` that of what the model of `name` finds."""

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        """A report has one model of a name: what is said of a film stays the same thing over versions of its model."""
        names = [called.partition(":")[0] for called in self.further]
        for name in names:
            if name == self.name or names.count(name) > 1:
                where = "in service already, as name" if name == self.name else "there twice"
                raise ValueError(f"further: the model {name!r} is {where}; a report has one version of a model")
        if both := sorted({*self.further} & {*self.shadow}):
            raise ValueError(f"further and shadow both have {', '.join(map(repr, both))}; leave it out of shadow")
        return self

    @field_validator("calibration", mode="before")
    @classmethod
    def _one_or_several(cls, stated: object) -> object:
        return [stated] if isinstance(stated, str) else stated

    @field_validator("prevalence", mode="before")
    @classmethod
    def _of_the_named(cls, stated: object) -> object:
        if isinstance(stated, int | float):
            if not 0 < stated < 1:
                raise ValueError("a prevalence lies between 0 and 1")
            return {OF_NAMED: stated}
        if not isinstance(stated, dict):
            raise ValueError("write a number such as 0.2, or a table by finding such as { pneumonia = 0.2 }")
        return stated
