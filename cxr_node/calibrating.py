"""`cxr-node models calibrate`: how a model is to be read at this site, from the films that it has judged here."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxr_node.config import Config
from cxr_node.domain.clock import iso
from cxr_node.errors import ConfigError, Permanent
from cxr_node.inference import estimate
from cxr_node.inference.calibration import logit
from cxr_node.inference.manifest import Manifest
from cxr_node.inference.site import SiteCalibration
from cxr_node.store import judgements
from cxr_node.store.db import Store
from cxr_node.store.judgements import Judged

_LABELS = {"1": True, "yes": True, "true": True, "positive": True, "0": False, "no": False, "false": False}
_LABELS |= {"negative": False, "normal": False}


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What was found, in a sentence for each thing that the site should know."""

    calibration: SiteCalibration
    remarks: tuple[str, ...]


def calibrate(
    config: Config, store: Store, model: Manifest, *, labels: Path | None, since: float, sensitivity: float, now: float
) -> Calibrated:
    """A calibration of the released `model` from films that came at `since` or later, with labels or without.

    A study counts once, by its most suspicious film, as in the worklist. Raises ConfigError for labels that cannot be
    used, Permanent as `estimate` does, and TOO_FEW_FILMS where the model has judged none.
    """
    with store.reading() as tx:
        films = [film for film in judgements.of_model(tx, model.digest, since) if film.judgement.logits]
    if not films:
        raise Permanent("TOO_FEW_FILMS", f"{model.called} has judged no film here in this time")
    studies = _studies(model, films)
    known = {
        "model": model.name, "version": model.version, "digest": model.digest, "finding": model.finding,
        "made_at": iso(now),
    }  # fmt: skip
    if labels is None:
        return _unlabelled(model, studies, known)
    truth = read_labels(labels)
    calibration, remarks = _labelled(studies, truth, known, sensitivity)
    if stated := config.model.thresholds.get(model.finding):
        remarks.append(f"model.thresholds states {stated:g} for {model.finding}, which goes before")
    return Calibrated(calibration, tuple(remarks))


@dataclass(frozen=True, slots=True)
class _Study:
    uid: str
    accession: str
    log_odds: float


def _studies(model: Manifest, films: Sequence[Judged]) -> list[_Study]:
    found: dict[str, _Study] = {}
    for film in films:
        log_odds = logit(model.outputs.read(film.judgement.logits)[0])
        before = found.get(film.study)
        if before is None or log_odds > before.log_odds:
            found[film.study] = _Study(film.study, film.accession, log_odds)
    return list(found.values())


def _unlabelled(model: Manifest, studies: Sequence[_Study], known: dict[str, str]) -> Calibrated:
    trained = model.outputs.prevalence
    share, interval = estimate.prevalence(np.array([each.log_odds for each in studies]), trained)
    made = SiteCalibration(
        **known,
        method="prevalence", studies=len(studies), scale=1.0, bias=logit(share) - logit(trained), prevalence=share,
        interval=interval,
    )  # fmt: skip
    return Calibrated(
        made,
        (
            f"{len(studies)} studies without labels: the prevalence of {model.finding} is estimated as {share:.1%} "
            f"(95 % {interval[0]:.1%} to {interval[1]:.1%}), where the model's own is {trained:.1%}",
            "this takes films to look here as they did in training: where those of another machine look iller to the "
            "model, it finds more ill. It changes probabilities and no decision; only labels can move the threshold",
        ),
    )


def _labelled(
    studies: Sequence[_Study], labels: dict[str, bool], known: dict[str, str], sensitivity: float
) -> tuple[SiteCalibration, list[str]]:
    by_key = {each.uid: each for each in studies} | {each.accession: each for each in studies if each.accession}
    joined = {by_key[key].uid: (by_key[key].log_odds, label) for key, label in labels.items() if key in by_key}
    log_odds = np.array([each for each, _ in joined.values()])
    found = estimate.refit(log_odds, np.array([label for _, label in joined.values()], dtype=bool), sensitivity)
    calibration = SiteCalibration(
        **known,
        method="labels", studies=len(joined), scale=found.scale, bias=found.bias, prevalence=found.prevalence,
        interval=found.bias_interval, threshold=found.points.threshold, high=found.points.high,
    )  # fmt: skip
    (low, high), (least, most) = found.scale_interval, found.bias_interval
    return calibration, [
        f"{len(joined)} labelled studies, {found.prevalence:.1%} of them positive; {len(labels) - len(joined)} rows of "
        "the labels are of studies that the model has not judged here",
        f"scale {found.scale:.3f} (95 % {low:.3f} to {high:.3f}), bias {found.bias:+.3f} ({least:+.3f} to {most:+.3f})",
        f"positive from {found.points.threshold:.3f} ({sensitivity:.0%} of the positive studies), tier high from "
        f"{found.points.high:.3f} ({estimate.SPECIFICITY:.0%} of the others lie below)",
    ]


def read_labels(path: Path) -> dict[str, bool]:
    """By study UID or accession number. What stands in a row is not repeated in errors: it may name a patient."""
    found: dict[str, bool] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            columns = set(rows.fieldnames or ())
            key = next((name for name in ("study", "accession") if name in columns), None)
            if key is None or "label" not in columns:
                raise ConfigError(f"{path} needs the columns study (UID) or accession, and label")
            for number, row in enumerate(rows, start=2):
                name, label = (row[key] or "").strip(), _LABELS.get((row["label"] or "").strip().lower())
                if not name or label is None:
                    raise ConfigError(f"{path}, line {number}: a {key} and a label are needed, and a label is 1 or 0")
                if found.setdefault(name, label) != label:
                    raise ConfigError(f"{path}, line {number}: this {key} had the other label before")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} is not a CSV file in UTF-8") from error
    return found
