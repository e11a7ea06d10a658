"""`cxr-node models compare`: how far two models agree on the films that both have judged."""

from dataclasses import asdict
from typing import Any
from zoneinfo import ZoneInfo

from cxr_node.config import Config
from cxr_node.domain.agreement import Agreement, Pair, agreement, by_week
from cxr_node.errors import Permanent
from cxr_node.inference import manifest as models
from cxr_node.inference.manifest import Manifest
from cxr_node.lineup import calibrated
from cxr_node.plan import Plan
from cxr_node.store import judgements
from cxr_node.store.db import Store
from cxr_node.store.judgements import Judgement
from cxr_node.tables import aligned


def compare(config: Config, store: Store, one: str, other: str, since: float) -> dict[str, Any]:
    """The agreement of two models, by NAME or NAME:VERSION, on films that came at `since` or later; shape of `--json`.

    Both are read as the site reads them now, whenever the films were judged. Raises ConfigError for a model that is not
    there, Permanent("NO_FILMS") where no film was judged by both.
    """
    plan = Plan.in_service(config)
    first, second = (calibrated(config, models.named(config.model.directory, name)) for name in (one, other))
    read = {model.digest: _Reading(plan, model) for model in (first, second)}
    with store.reading() as tx:
        pairs = [
            read[first.digest].pair(read[second.digest], film.received_at, film.judgement, said)
            for film, said in judgements.of_both(tx, first.digest, second.digest, since)
        ]
    if not pairs:
        raise Permanent(
            "NO_FILMS",
            f"no film was judged by both {first.called} and {second.called}; one of them has to stand in model.shadow, "
            "or in model.further, for a while",
        )
    weeks = by_week(pairs, ZoneInfo(config.node.timezone))
    return {
        "a": _described(plan, first),
        "b": _described(plan, second),
        **_shown(agreement(pairs)),
        "weeks": [{"week": week, **_shown(found)} for week, found in weeks.items()],
    }


class _Reading:
    """How the site reads a model now."""

    def __init__(self, plan: Plan, model: Manifest) -> None:
        self._judging, self._model = plan.judging_of(model), model

    def probability(self, said: Judgement) -> float:
        if not said.logits:  # of an earlier release
            return said.probability
        return self._model.outputs.read(said.logits, self._judging.prevalence)[0]

    def positive(self, probability: float) -> bool:
        return self._judging.cutoffs.positive(probability)

    def pair(self, other: "_Reading", received_at: float, said: Judgement, others: Judgement) -> Pair:
        mine, theirs = self.probability(said), other.probability(others)
        return Pair(received_at, mine, theirs, self.positive(mine), other.positive(theirs))


def _described(plan: Plan, model: Manifest) -> dict[str, Any]:
    return {
        "model": model.name,
        "version": model.version,
        "finding": model.finding,
        "threshold": plan.judging_of(model).cutoffs.threshold,
        "in_service": model.digest == plan.manifest.digest,
    }


def _shown(found: Agreement) -> dict[str, Any]:
    names = {"only_one": "only_a", "only_other": "only_b", "mean_one": "mean_a", "mean_other": "mean_b"}
    return {names.get(key, key): value for key, value in asdict(found).items()}


def table(found: dict[str, Any]) -> str:
    """The same for a terminal."""
    a, b = (f"{found[each]['model']}:{found[each]['version']}" for each in ("a", "b"))
    lines = [
        f"{key.upper()}  {name}{' (in service)' if found[key]['in_service'] else ''}: {found[key]['finding']}, "
        f"positive from {found[key]['threshold']:.3f}"
        for key, name in (("a", a), ("b", b))
    ]
    if found["a"]["finding"] != found["b"]["finding"]:
        lines.append("They find different things: where they differ, both may be right.")
    share = (found["both_positive"] + found["both_negative"]) / found["films"]
    lines += [
        "",
        aligned(
            [
                ("films", "both positive", "both negative", "only A", "only B", "agree"),
                (
                    *(str(found[key]) for key in ("films", "both_positive", "both_negative", "only_a", "only_b")),
                    f"{share:.1%}",
                ),
            ]
        ),
        "",
        f"Cohen's kappa     {_number(found['kappa'])}",
        f"McNemar, exact    p = {found['mcnemar_p']:.3g}",
        f"correlation       {_number(found['correlation'])}",
        f"mean difference   {found['mean_difference']:+.3f} (A {found['mean_a']:.3f}, B {found['mean_b']:.3f})",
        "",
    ]
    head = ("week", "films", "positive A", "positive B", "mean A", "mean B", "kappa")
    rows = [
        (
            each["week"],
            str(each["films"]),
            *(f"{(each['both_positive'] + each[only]) / each['films']:.1%}" for only in ("only_a", "only_b")),
            f"{each['mean_a']:.3f}",
            f"{each['mean_b']:.3f}",
            _number(each["kappa"]),
        )
        for each in found["weeks"]
    ]
    return "\n".join([*lines, aligned([head, *rows])])


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
