"""What the web side is given: values and functions of the node, so that it knows neither the configuration nor others.

What people do and see is recorded here, in the one trail of events.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cxr_node.domain.clock import Clock
from cxr_node.domain.intake import Intake
from cxr_node.domain.study import Judging
from cxr_node.locale import Language
from cxr_node.spool import Spool
from cxr_node.store import events, worklist
from cxr_node.store.db import Store
from cxr_node.ups.desk import Desk
from cxr_node.ups.looks import Looks
from cxr_node.web.access import Caller
from cxr_node.web.board import Places


@dataclass(frozen=True, slots=True)
class Facts:
    """What the pages say of the node.

    `localises`: whether this mode shows where a finding lies. `calibrated`: whether outputs are probabilities at the
    site's prevalence; else they are called certainty, as in the documents.
    """

    version: str
    mode: str
    language: Language
    timezone: str
    model: str
    max_wait_minutes: float
    localises: bool
    calibrated: bool
    viewer_url: str | None
    institution: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """One node, as the web side sees it.

    `places(closed, studies)` are entries of the worklist, `study(uid)` is one study, `status()` the node's health
    without calling its peers, `ready()` whether films are received and analysed: all in the shapes of `--json`.
    `judging` is of the model in service, `reads(name, version)` of any that is installed, None of others. `desk`
    answers for workitems; None where UPS is off. `intake` takes films that come by STOW-RS; None where none may.
    """

    facts: Facts
    store: Store
    spool: Spool
    judging: Judging
    reads: Callable[[str, str], Judging | None]
    places: Places
    study: Callable[[str], dict[str, Any] | None]
    status: Callable[[], dict[str, Any]]
    ready: Callable[[], Mapping[str, Any]]
    pseudonym: Callable[[str], str]
    clock: Clock
    looks: Looks = field(default_factory=Looks)
    desk: Desk | None = None
    intake: Intake | None = None

    def record(self, event: str, caller: Caller, study: str | None = None, **detail: Any) -> None:
        with self.store.transaction() as tx:
            who = {"by": caller.name, "address": caller.address}
            whose = worklist.whose(tx, study)
            events.append(tx, self.clock(), event, study, **who, **whose, **detail)

    def looked(self, caller: Caller, study: str | None = None) -> None:
        """Record that somebody looked at a study, or at the worklist; once a minute, however often they ask."""
        if self.looks.is_new(self.clock(), caller.name, caller.address, study or ""):
            self.record("study.viewed" if study else "worklist.viewed", caller, study)

    def pictured(self, film: Mapping[str, Any], *, judged: bool) -> bool:
        """Whether there is a picture of a film, or one can be drawn of it."""
        return self.spool.picture(film["digest"]).is_file() or (judged and self.spool.path(film["path"]).is_file())
