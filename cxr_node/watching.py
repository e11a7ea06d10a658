"""Watching the models of a site: the daily look, what is told when something moved, and the weekly report."""

from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog

from cxr_node.config import Config
from cxr_node.domain.clock import iso
from cxr_node.plan import Plan
from cxr_node.store import events, settings
from cxr_node.store.db import Store
from cxr_node.watch.page import page
from cxr_node.watch.survey import DAY, Watched, survey, week_of

log = structlog.get_logger()

DRIFT, _REPORTED = "drift", "drift_reported"
_REPORTS_KEPT: Final = 53
_TOLD_AGAIN_DAYS: Final = 7.0


def models_of(plan: Plan) -> list[Watched]:
    """The model in service and those beside it, as the site reads them."""
    named = [
        ("service", plan.manifest),
        *(("further", one) for one in plan.further),
        *(("shadow", one) for one in plan.shadows),
    ]
    return [
        Watched(one.name, one.version, one.digest, role, one.finding, plan.judging_of(one).cutoffs.threshold)
        for role, one in named
    ]


def look(plan: Plan, store: Store, now: float) -> dict[str, Any]:
    """The survey of now, with what moved in the past seven days; shape of `drift --json`."""
    config = plan.config
    zone = ZoneInfo(config.node.timezone)
    with store.reading() as tx:
        models = survey(tx, models_of(plan), now, zone)
    return {
        "made_at": iso(now),
        "site": config.node.institution or config.node.ae_title,
        "week": week_of(now - 7 * DAY, zone),
        "models": models,
        "moved": [moved for model in models for moved in _moved(model)],
    }


def _moved(model: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "model": f"{model['name']} {model['version']}", "role": model["role"], "machine": machine["machine"],
            "measure": name, **found,
        }
        for machine in model["machines"]
        for name, found in machine["past_7_days"]["shifts"].items()
        if found["verdict"] in ("moved", "moved_much")
    ]  # fmt: skip


def watch(plan: Plan, store: Store, now: float) -> dict[str, Any]:
    """The daily look: what moved is told, once a week at most, and when a week is over its report is written."""
    found = look(plan, store, now)
    with store.transaction() as tx:
        told = {
            key: at for key, at in settings.get(tx, f"{DRIFT}_told", {}).items() if at > now - _TOLD_AGAIN_DAYS * DAY
        }
        for one in found["moved"]:
            key = f"{one['model']} {one['machine']} {one['measure']}"
            if key not in told:
                told[key] = now
                events.append(tx, now, "model.drifted", None, **one)
                log.warning("model.drifted", model=one["model"], machine=one["machine"], measure=one["measure"],
                            psi=round(one["psi"], 3), by_chance=round(one["by_chance"], 3))  # fmt: skip
        settings.put(tx, f"{DRIFT}_told", told)
        settings.put(tx, DRIFT, _indices(found))
        due = settings.get(tx, _REPORTED, "") != found["week"]
    if due:
        path = write_report(plan.config, found)
        with store.transaction() as tx:
            settings.put(tx, _REPORTED, found["week"])
            events.append(tx, now, "drift.reported", None, week=found["week"], moved=len(found["moved"]))
        log.info("drift.reported", file=path.name, moved=len(found["moved"]))
    return found


def _indices(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The newest indices, for the metrics: model, machine, measure, index and verdict."""
    return [
        {"model": f"{model['name']} {model['version']}", "machine": machine["machine"], "measure": name,
         "psi": shift["psi"], "verdict": shift["verdict"]}
        for model in found["models"]
        for machine in model["machines"]
        for name, shift in machine["past_7_days"]["shifts"].items()
    ]  # fmt: skip


def reports_of(data_dir: Path) -> Path:
    """Where weekly reports lie."""
    return data_dir / "reports"


def write_report(config: Config, found: dict[str, Any]) -> Path:
    """Write the report of a week, whole or not at all; those of the past year stay."""
    folder = reports_of(config.node.data_dir)
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"model-watch-{found['week']}.html"
    part = path.with_suffix(".part")
    part.write_text(page(found, config.node.language), "utf-8")
    part.replace(path)
    for old in sorted(folder.glob("model-watch-*.html"))[:-_REPORTS_KEPT]:
        old.unlink(missing_ok=True)
    return path
