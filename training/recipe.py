"""What a run is made of: a frozen, validated recipe, read from TOML."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from cxr_node.errors import ConfigError
from training.about import Published, Served, StandIn
from training.augmentation import FROZEN, AugmentRecipe, JitterRecipe, Share
from training.data import PNEUMONIA, SPLITS
from training.networks import NETWORKS
from training.networks.parts import FRONTS, HEADS
from training.optimisation import FitRecipe
from training.preparation import PrepareRecipe
from training.settings import checked, read_settings


class _Frozen(BaseModel):
    model_config = FROZEN


class DataRecipe(_Frozen):
    """Which films there are, how they are split anew, and which of them an epoch shows."""

    shares: dict[str, Share] = {}
    """Each source's share of an epoch (they sum to one), labels balanced within a source."""
    films_per_epoch: Annotated[int, Field(gt=0)] | None = None
    """With shares: how many films are drawn; without, an epoch shows every film once."""
    sources: tuple[str, ...] = ()
    """Without shares: the sources to take films from, or `source:label` for one label; all where none is named."""
    leave_out: tuple[str, ...] = ()
    """Films of these, each a `source:label`, are not used although their source is."""
    per_class: Annotated[int, Field(gt=0)] | None = None
    """At most so many training films of each class."""
    few: dict[str, Annotated[int, Field(gt=0)]] = {}
    """At most so many training films of a source, evenly over its labels: a hospital that begins."""
    merge: tuple[Literal["train", "val", "test"], ...] = ()
    """These splits are put together and patients are dealt out anew, by `parts`."""
    parts: dict[str, Share] = {}

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name, shares in (("shares", self.shares), ("parts", self.parts)):
            if shares and abs(sum(shares.values()) - 1) > 1e-6:
                raise ValueError(f"{name} sum to {sum(shares.values()):g}, not 1")
        if bool(self.shares) != (self.films_per_epoch is not None):
            raise ValueError("shares and films_per_epoch go together")
        if unknown := self.parts.keys() - set(SPLITS):
            raise ValueError(f"parts are of {', '.join(SPLITS)}, not {min(unknown)!r}")
        if bool(self.merge) != bool(self.parts):
            raise ValueError("merge and parts go together")
        named = self.shares.keys() | {each.split(":")[0] for each in self.sources}
        if named and (unknown := self.few.keys() - named):
            raise ValueError(f"few are of {', '.join(sorted(named))}, not {min(unknown)!r}")
        return self

    def takes(self, source: str, label: str) -> bool:
        """Whether films of this source with this label are used."""
        if f"{source}:{label}" in self.leave_out:
            return False
        named = self.shares or self.sources
        return not named or source in named or f"{source}:{label}" in named


class SearchRecipe(_Frozen):
    """Variants to try: for each key of the recipe (`options.widths`, `fit.rate`) the values that it may take."""

    variants: Annotated[int, Field(ge=1)]
    choices: dict[str, tuple[Any, ...]]


class Cascade(_Frozen):
    """The films that the network of another recipe calls `called` come to this one (document 002)."""

    first: str
    called: str


class Recipe(_Frozen):
    """One training run; everything that decides its result but the films and the starting weights themselves."""

    network: str
    weights_sha256: str = ""
    """The whole digest of the public weights, or as many of its first digits as their file's name has; empty: none."""
    size: Annotated[int, Field(ge=32)]
    seed: int
    data: DataRecipe
    fit: FitRecipe
    augment: AugmentRecipe | None = None
    published: Published | None = None
    classes: dict[str, tuple[str, ...]] = {}
    """The labels of each class, in the order of the outputs; none: two logits, pneumonia, bacterial against viral."""
    head: str = "linear"
    front: str = ""
    options: dict[str, Any] = {}
    prepare: PrepareRecipe = PrepareRecipe()
    jitter: JitterRecipe | None = None
    starts_from: str = ""
    """Another recipe, whose finished run this one goes on from (document 004)."""
    cascade: Cascade | None = None
    search: SearchRecipe | None = None
    stand_in: StandIn | None = None
    points: tuple[Share, ...] = ()
    """Sensitivities at which an operating point is wanted."""
    served: Served | None = None
    """Of a recipe with classes of its own that is to be exported; the node's own question needs none."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        for field, value, known in (
            ("network", self.network, NETWORKS),
            ("head", self.head, HEADS),
            ("front", self.front, {"": None, **FRONTS}),
        ):
            if value not in known:
                raise ValueError(f"{field} {value!r} is not known; there are {', '.join(filter(None, known))}")
        labels = [label for each in self.classes.values() for label in each]
        if self.classes and (len(self.classes) < 2 or len(labels) != len(set(labels))):
            raise ValueError("classes are two or more, and a label belongs to one of them")
        weights = self.fit.class_weights
        if isinstance(weights, tuple) and len(weights) != len(self.classes):
            raise ValueError(f"there are {len(weights)} class_weights for {len(self.classes)} classes")
        if self.served and self.classes and not 0 < len(set(self.served.finding_classes)) < len(self.classes):
            raise ValueError("served.finding_classes are some of the classes, and not all of them")
        if self.served and (unknown := set(self.served.finding_classes) - self.classes.keys()):
            raise ValueError(f"served.finding_classes are of the classes, not {min(unknown)!r}")
        return self

    @property
    def outputs(self) -> int:
        """How many logits the network gives."""
        return len(self.classes) or 2

    @property
    def labels(self) -> frozenset[str]:
        """The labels of the films that it uses."""
        if not self.classes:
            return PNEUMONIA | {"normal"}
        return frozenset(label for each in self.classes.values() for label in each)

    @property
    def frozen(self) -> bool:
        """Whether nothing but the head ever learns."""
        return bool(self.fit.warm_up_epochs) and not self.fit.epochs and not self.fit.learns

    def without(self, source: str) -> "Recipe":
        """The same recipe with the films of a source left out: what it makes of a hospital that it never saw.

        Raises:
            ConfigError: it takes no film from there, or from nowhere else.
        """
        shares = {name: share for name, share in self.data.shares.items() if name != source}
        if shares and len(shares) < len(self.data.shares):
            whole = sum(shares.values())
            return self.changed({"data.shares": {name: share / whole for name, share in shares.items()}})
        sources = tuple(each for each in self.data.sources if each.split(":")[0] != source)
        if not sources or sources == self.data.sources:
            raise ConfigError(f"The recipe cannot do without {source!r}: it names no film from there, or no other.")
        return self.changed({"data.sources": sources})

    def stood_in(self) -> "Recipe":
        """The same recipe on the films that stand in.

        Raises:
            ConfigError: nothing can.
        """
        if self.stand_in is None or not self.stand_in.sources:
            says = self.stand_in.says if self.stand_in else "The recipe names none that could stand in."
            raise ConfigError(f"No film of {', '.join(self.data.sources)} is at hand. {says}")
        return self.changed({"data.sources": self.stand_in.sources})

    def shortened(self, epochs: int | None) -> "Recipe":
        """The same recipe with at most so many epochs in all; warm-up first."""
        if epochs is None:
            return self
        warm_up = min(self.fit.warm_up_epochs, epochs)
        rest = min(self.fit.epochs, epochs - warm_up)
        return self.model_copy(
            update={"fit": self.fit.model_copy(update={"warm_up_epochs": warm_up, "epochs": rest})}
        )  # fmt: skip

    def changed(self, changes: Mapping[str, Any]) -> "Recipe":
        """The same recipe with other values at dotted keys, without its search.

        Raises:
            ConfigError: a key or a value is not understood.
        """
        content = self.model_dump() | {"search": None}
        for key, value in changes.items():
            *path, last = key.split(".")
            place = content
            for step in path:
                place = place.setdefault(step, {})
            place[last] = value
        return checked(content, Recipe, f"the variant {dict(changes)}")


def load(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        ConfigError: the file is missing, is no TOML, or says something that is not understood; all mistakes at once.
    """
    return read_settings(path, Recipe)


def shipped() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    installed = Path(__file__).parent / "_recipes"
    folder = installed if installed.is_dir() else Path(__file__).parents[1] / "config" / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def find(name: str) -> tuple[str, Recipe]:
    """A recipe and its name, from the name of a shipped one or the path of a file.

    Raises:
        ConfigError: there is none, or it is not understood.
    """
    known = shipped()
    path = known.get(name, Path(name))
    if name not in known and path.suffix != ".toml":
        raise ConfigError(f"There is no recipe {name!r}; `cxr-train list` shows them, and a path ends with .toml.")
    return path.stem, load(path)
