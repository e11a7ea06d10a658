"""The revisions in which studies were reported."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cxr_node.domain.finding import Cutoffs, Tier
from cxr_node.domain.study import Consulted, Judging, Revision
from cxr_node.message import Message
from cxr_node.store.db import Row, Tx


def latest(tx: Tx, study: str) -> Revision | None:
    row = tx.row("SELECT * FROM study_revision WHERE study_instance_uid = ? ORDER BY revision DESC", (study,))
    return _revision(row) if row else None


def all_of(tx: Tx, study: str) -> list[Revision]:
    """Every revision of a study, the first first."""
    rows = tx.rows("SELECT * FROM study_revision WHERE study_instance_uid = ? ORDER BY revision", (study,))
    return [_revision(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Settled:
    """A revision, when it settled (seconds since 1970 UTC), and the model that it rests on.

    `judging` is how that model's outputs were read; None for one of before this was recorded.
    """

    revision: Revision
    at: float
    model_digest: str
    judging: Judging | None


def numbered(tx: Tx, study: str, number: int) -> Settled | None:
    """A revision by its number."""
    row = tx.row("SELECT * FROM study_revision WHERE study_instance_uid = ? AND revision = ?", (study, number))
    if row is None:
        return None
    kept = json.loads(row["judging"]) if row["judging"] else None
    judging = _judging(row["model_digest"], kept) if kept else None
    return Settled(_revision(row), float(row["settled_at"]), str(row["model_digest"]), judging)


def add(tx: Tx, study: str, revised: Revision, settled_at: float, judging: Judging) -> None:
    tx.execute(
        "INSERT INTO study_revision (study_instance_uid, revision, settled_at, model_digest, images, pending, tier, "
        "positive, judging, failures, consulted, correction) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            study, revised.number, settled_at, judging.model_digest, json.dumps(revised.images, sort_keys=True),
            json.dumps(sorted(revised.pending)), revised.tier, int(revised.positive), json.dumps(_read(judging)),
            json.dumps(_plain(revised.failures)), json.dumps([_kept(one) for one in revised.consulted]),
            json.dumps({"again": revised.again, "identity": dict(revised.identity)}, ensure_ascii=False),
        ),
    )  # fmt: skip


def _revision(row: Row) -> Revision:
    correction = json.loads(row["correction"])
    return Revision(
        number=int(row["revision"]),
        images=json.loads(row["images"]),
        pending=frozenset(json.loads(row["pending"])),
        tier=Tier(row["tier"]),
        positive=bool(row["positive"]),
        failures={uid: why for uid, why in _told(json.loads(row["failures"])).items() if why is not None},
        consulted=tuple(_consulted(kept) for kept in json.loads(row["consulted"])),
        again=int(correction.get("again", 0)),
        identity=correction.get("identity", {}),
    )


def _read(judging: Judging) -> dict[str, Any]:
    """How a model was read, without its digest."""
    return {
        "cutoffs": asdict(judging.cutoffs),
        "prevalence": judging.prevalence,
        **({"restricted": True} if judging.restricted else {}),
    }


def _judging(digest: str, kept: dict[str, Any]) -> Judging:
    return Judging(digest, Cutoffs(**kept["cutoffs"]), kept["prevalence"], kept.get("restricted", False))


def _kept(one: Consulted) -> dict[str, Any]:
    judging = {"digest": one.judging.model_digest, **_read(one.judging)} if one.judging else None
    known = {"judged": sorted(one.judged), "lacking": _plain(one.lacking), "positive": one.positive}
    return {"model": one.model, "judging": judging, **known}


def _consulted(kept: dict[str, Any]) -> Consulted:
    judging = _judging(kept["judging"]["digest"], kept["judging"]) if kept["judging"] else None
    return Consulted(kept["model"], judging, frozenset(kept["judged"]), _told(kept["lacking"]), kept["positive"])


def _plain(reasons: Mapping[str, str | None]) -> dict[str, Any]:
    """Reasons as JSON values: messages as what they were made from."""
    return {uid: why.to_json() if isinstance(why, Message) else why for uid, why in reasons.items()}


def _told(kept: dict[str, Any]) -> dict[str, str | None]:
    return {uid: Message.from_json(why) if isinstance(why, list) else why for uid, why in kept.items()}
