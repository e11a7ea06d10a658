"""The models of a site, each as the site reads it: the one in service, and those beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cxr_node.config import OF_NAMED, Config
from cxr_node.errors import ConfigError
from cxr_node.inference import manifest as models
from cxr_node.inference import site
from cxr_node.inference.manifest import Manifest
from cxr_node.inference.site import SiteCalibration
from cxr_node.message import Message
from cxr_node.store.activations import Activation

Calibrations = dict[tuple[str, str], tuple[SiteCalibration, str]]
"""By digest of the model and finding: a site's calibration, and the digest of its file."""


@dataclass(frozen=True, slots=True)
class Lineup:
    """`further` are the models that the report has beside the one in service, but for one of its name; `shadows` those
    that have no consequence. `missing` and `absent` say why further models, and shadows, are not to be had; `idle` are
    the builds that the site has a calibration for and that do not serve."""

    serving: Manifest
    further: tuple[Manifest, ...] = ()
    shadows: tuple[Manifest, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    idle: tuple[str, ...] = ()


def line_up(config: Config, activation: Activation | None) -> Lineup:
    """Raises ConfigError when the model in service is not there, or a calibration cannot be used; one beside it may be
    missing."""
    calibrations = _calibrations(config)
    serving = _calibrated(_activated(config, activation) if activation else _configured(config), calibrations)
    wanted = [name for name in config.model.further if name.partition(":")[0] != serving.name]
    further, missing = _found(config, wanted, calibrations, {serving.digest})
    shadows, absent = _found(config, config.model.shadow, calibrations, {serving.digest, *further})
    used = {serving.digest, *further, *shadows}
    idle = tuple(f"{each.model} {each.version}" for each, _ in calibrations.values() if each.digest not in used)
    return Lineup(serving, tuple(further.values()), tuple(shadows.values()), missing, absent, idle)


def _found(
    config: Config, names: Sequence[str], calibrations: Calibrations, taken: set[str]
) -> tuple[dict[str, Manifest], dict[str, str]]:
    """The models of these names by digest, but for those that are `taken`, and why others are not to be had."""
    found: dict[str, Manifest] = {}
    absent: dict[str, str] = {}
    for name in names:
        try:
            model = models.named(config.model.directory, name)
        except ConfigError as error:
            absent[name] = error.message
        else:
            if model.digest not in taken:
                found[model.digest] = _calibrated(model, calibrations)
    return found, absent


def calibrated(config: Config, model: Manifest) -> Manifest:
    """Any model as the site reads it. Raises ConfigError where a calibration cannot be used."""
    return _calibrated(model, _calibrations(config))


def by_finding(config: Config, activation: Activation | None) -> Config:
    """The configuration with its prevalence by finding; a number is that of what the configured model finds.

    Raises ConfigError where that model is not there to say what it finds.
    """
    stated = config.model.prevalence
    if OF_NAMED not in stated:
        return config
    number = stated[OF_NAMED]
    try:
        finding = _configured(config).finding
    except ConfigError as error:
        if activation is None:
            raise
        raise ConfigError(
            f"model.prevalence: of what? Write it as {{ finding = {number:g} }}, since the model of model.name is not "
            f"there to say. {error.message}"
        ) from error
    model = config.model.model_copy(update={"prevalence": {finding: number}})
    return config.model_copy(update={"model": model})


def _configured(config: Config) -> Manifest:
    return models.find(config.model.directory, config.model.name, config.model.version)


def _activated(config: Config, activation: Activation) -> Manifest:
    """Raises ConfigError where the build that was activated is gone."""
    name, version, by = activation.name, activation.version, activation.by
    try:
        found = models.find(config.model.directory, activation.name, activation.version)
    except ConfigError as error:
        gone = Message(
            "The model {name} {version}, which {by} activated, is not there. Put it back, or take it out of service "
            "with `cxr-node models rollback`. {why}",
            name=name, version=version, by=by, why=error.message,
        )  # fmt: skip
        raise ConfigError(gone) from error
    if found.digest != activation.digest:
        raise ConfigError(
            Message(
                "The model {name} {version}, which {by} activated, is another build than it was then. Put it back, or "
                "take it out of service with `cxr-node models rollback`.",
                name=name,
                version=version,
                by=by,
            )
        )
    return found


def _calibrations(config: Config) -> Calibrations:
    found = [site.load(path) for path in config.model.calibration]
    by_model = {(each.digest, each.finding): (each, digest) for each, digest in found}
    if len(by_model) < len(found):
        raise ConfigError(f"model.calibration: two files are for the same model: {_named(config.model.calibration)}")
    return by_model


def _calibrated(model: Manifest, calibrations: Calibrations) -> Manifest:
    found = calibrations.get((model.digest, model.finding))
    return site.recalibrated(model, *found) if found else model


def _named(paths: Sequence[object]) -> str:
    return ", ".join(map(str, paths))
