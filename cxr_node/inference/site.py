"""A site's calibration of a released model: a small file that changes how its outputs are read, and never the model."""

import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cxr_node.domain.finding import Cutoffs
from cxr_node.errors import ConfigError
from cxr_node.inference.calibration import Calibration, ClassCalibration, logit, shift, sigmoid
from cxr_node.inference.manifest import Manifest
from cxr_node.inference.outputs import Outputs
from cxr_node.message import Message

Share = Annotated[float, Field(gt=0, lt=1)]


class SiteCalibration(BaseModel):
    """The content of the file. At the site the finding's log-odds are `scale * log-odds + bias` of the released model.

    They are right at `prevalence`, the share of the films that it was made from; `threshold` and `high` are the site's
    own operating points there, where it had labels to choose them by.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str
    version: str
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    finding: str
    method: Literal["labels", "prevalence"]
    made_at: str
    studies: Annotated[int, Field(gt=0)]
    scale: Annotated[float, Field(gt=0)]
    bias: float
    prevalence: Share
    interval: tuple[float, float]
    """Of the bias (labels) or of the prevalence, 95 %."""
    threshold: Share | None = None
    high: Share | None = None

    @model_validator(mode="after")
    def _points_together(self) -> Self:
        if (self.threshold is None) != (self.high is None):
            raise ValueError("threshold and high belong together; one of them is missing")
        if self.threshold is not None and self.high is not None and self.high < self.threshold:
            raise ValueError("high must not be below threshold")
        return self

    def text(self) -> str:
        """The file."""
        lines = [
            f"# How {self.model} {self.version} is read at this site; made by `cxr-node models calibrate`.",
            "# It takes effect where [model] calibration names it. Do not edit: results carry its digest.",
        ]
        for name, value in self.model_dump(exclude_none=True).items():
            shown = f'"{value}"' if isinstance(value, str) else list(value) if isinstance(value, tuple) else value
            lines.append(f"{name} = {shown}")
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Recalibrated:
    """Outputs as a site reads them: as those of the released model, with the finding's log-odds calibrated anew."""

    released: Outputs
    site: SiteCalibration
    digest: str

    @property
    def classes(self) -> tuple[str, ...]:
        return self.released.classes

    @property
    def calibration(self) -> Calibration | ClassCalibration:
        return self.released.calibration

    @property
    def site_calibration(self) -> str:
        return self.digest

    @property
    def finding_classes(self) -> tuple[str, ...]:
        return self.released.finding_classes

    @property
    def kinds(self) -> tuple[str, ...]:
        return self.released.kinds

    @property
    def count(self) -> int:
        return self.released.count

    @property
    def prevalence(self) -> float:
        return self.site.prevalence

    def read(self, logits: Sequence[float], prevalence: float | None = None) -> tuple[float, dict[str, float]]:
        """As of `Outputs`; proportions among the classes on either side of the finding are the released model's."""
        released, classes = self.released.read(logits)
        finding = shift(self.moved(released), self.prevalence, prevalence)
        factors = {True: finding / max(released, _LEAST), False: (1 - finding) / max(1 - released, _LEAST)}
        moved = {name: share * factors[name in self.finding_classes] for name, share in classes.items()}
        total = sum(moved.values())
        return finding, {name: share / total for name, share in moved.items()}

    def moved(self, probability: float) -> float:
        """The site's probability for one of the released model."""
        return sigmoid(self.site.scale * logit(probability) + self.site.bias)

    def evidence(self, maps: NDArray[np.float32], logits: Sequence[float], *, closed_form: bool) -> NDArray[np.float32]:
        return self.released.evidence(maps, logits, closed_form=closed_form)


_LEAST = 1e-300


def load(path: Path) -> tuple[SiteCalibration, str]:
    """The file's content, and the SHA-256 of its bytes.

    Raises:
        ConfigError: it is missing, no TOML, or says something that is not understood; all mistakes at once.
    """
    try:
        data = path.read_bytes()
        return SiteCalibration.model_validate(tomllib.loads(data.decode())), hashlib.sha256(data).hexdigest()
    except OSError as error:
        why = Message("model.calibration: cannot read {path}: {error}", path=path, error=error.strerror)
        raise ConfigError(why) from error
    except ValidationError as error:
        mistakes = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'file'}: {each['msg']}" for each in error.errors())
        raise ConfigError(Message("model.calibration: {path}: {mistakes}", path=path, mistakes=mistakes)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        why = Message("model.calibration: {path} is not valid TOML: {error}", path=path, error=error)
        raise ConfigError(why) from error


def recalibrated(model: Manifest, site: SiteCalibration, digest: str) -> Manifest:
    """The model as the site reads it; `digest` is that of the file.

    Raises:
        ConfigError: the calibration is of another build, or of another finding.
    """
    if (site.digest, site.finding) != (model.digest, model.finding):
        raise ConfigError(
            Message(
                "model.calibration is for {name} {version}, and not for this build of it",
                name=site.model,
                version=site.version,
            )
        )
    outputs = Recalibrated(model.outputs, site, digest)
    points = Cutoffs(
        *(outputs.moved(each) for each in (model.points.threshold, model.points.medium, model.points.high))
    )
    if site.threshold is not None and site.high is not None:
        points = Cutoffs(threshold=site.threshold, medium=site.threshold, high=site.high)
    return replace(model, outputs=outputs, points=points)
