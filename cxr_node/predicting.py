"""Which of them computes a model: torch or OpenVINO on this machine, or a pool."""

from typing import TYPE_CHECKING

from cxr_node.config import Config
from cxr_node.inference.manifest import Manifest

if TYPE_CHECKING:  # torch is loaded in the processes that judge films, and there alone
    from cxr_node.inference.pool import Pool
    from cxr_node.inference.predictor import FilmPredictor


def predictor_of(config: Config, model: Manifest) -> "FilmPredictor":
    """A model, loaded and ready as [inference] has it. Raises ConfigError and Permanent as `Predictor` does."""
    from cxr_node.inference.pooled import PooledPredictor  # noqa: PLC0415
    from cxr_node.inference.predictor import Predictor  # noqa: PLC0415

    asked, explanation = config.inference, config.report.explain
    if asked.backend != "ray":
        return Predictor(model, asked.device, explanation, asked.backend)
    own = Predictor(model, asked.device, explanation) if asked.fallback else None
    return PooledPredictor(model, pool_of(config), own)


def pool_of(config: Config) -> "Pool":
    """The pool of a configuration whose backend is one."""
    from cxr_node.inference.pool import Pool  # noqa: PLC0415 - most nodes have none

    return Pool(config.inference.address or "", config.inference.answer_seconds)
