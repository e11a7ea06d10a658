"""What a person does with studies, by a page or a program."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from cxr_node.domain.priority import Priority
from cxr_node.domain.reading import Actor
from cxr_node.domain.study import Judging
from cxr_node.errors import Permanent
from cxr_node.store import reading, withdrawal, worklist
from cxr_node.store.db import Tx
from cxr_node.web import shapes
from cxr_node.web.access import Caller
from cxr_node.web.accounts import Role
from cxr_node.web.api import NAME
from cxr_node.web.operations import FORM, JSON, Operation, Parameter
from cxr_node.web.parts import Parts, allowed, form, wants_json

_NONE: Final = "none"
_LONGEST_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class _Wish:
    """What somebody wants with a study; `priority` as it came."""

    study: str
    actor: Actor
    judging: Judging
    now: float
    priority: str | None


_MOVES: Final[Mapping[str, Callable[[Tx, _Wish], object]]] = {
    "claim": lambda tx, wish: reading.claim(tx, wish.study, wish.actor, wish.now),
    "release": lambda tx, wish: reading.release(tx, wish.study, wish.actor, wish.judging, wish.now),
    "read": lambda tx, wish: reading.mark_read(tx, wish.study, wish.actor, wish.now),
    "reopen": lambda tx, wish: reading.reopen(tx, wish.study, wish.actor, wish.judging, wish.now),
    "priority": lambda tx, wish: reading.prioritise(tx, wish.study, _priority(wish.priority), wish.actor, wish.now),
}


@dataclass(frozen=True, slots=True)
class Actions:
    """Claim, release, read, reopen and priority of a study; taking it back; the kill switch of the list."""

    parts: Parts

    @allowed(Role.READER)
    def act(self, request: Request, caller: Caller) -> Response:
        """POST /studies/{name}/{action}, and the same below /api."""
        study, fields, site = self.parts.study(request), form(request), self.parts.site
        move = _MOVES.get(request.path_params["action"])
        if move is None:
            raise Permanent("FORM_INVALID", f"a study can be given {', '.join(_MOVES)}")
        wish = _Wish(study, caller.actor, site.judging, site.clock(), fields.get("priority"))
        with site.store.transaction() as tx:
            move(tx, wish)
        return self._done(request, fields, f"/studies/{site.pseudonym(study)}")

    @allowed(Role.ADMIN)
    def withdraw(self, request: Request, caller: Caller) -> Response:
        """POST /studies/{name}/withdraw, and the same below /api: take a study back, for a reason."""
        study, fields, site = self.parts.study(request), form(request), self.parts.site
        reason = fields.get("reason", "").strip()
        if not 0 < len(reason) <= _LONGEST_REASON:
            raise Permanent("REASON_MISSING", f"reason says why, in up to {_LONGEST_REASON} characters")
        with site.store.transaction() as tx:
            withdrawal.withdraw(tx, study, reason, caller.actor, judging=site.judging, now=site.clock())
        return self._done(request, fields, f"/studies/{site.pseudonym(study)}")

    @allowed(Role.ADMIN)
    def reinstate(self, request: Request, caller: Caller) -> Response:
        """POST /studies/{name}/reinstate, and the same below /api: what is held or withdrawn stands."""
        study, site = self.parts.study(request), self.parts.site
        with site.store.transaction() as tx:
            withdrawal.release(tx, study, caller.actor, site.judging, site.clock())
        return self._done(request, form(request), f"/studies/{site.pseudonym(study)}")

    @allowed(Role.ADMIN)
    def freeze(self, request: Request, caller: Caller) -> Response:
        """POST /worklist/freeze with frozen=1 or 0."""
        fields = form(request)
        if fields.get("frozen") not in ("0", "1"):
            raise Permanent("FORM_INVALID", "frozen is 1 or 0")
        with self.parts.site.store.transaction() as tx:
            worklist.freeze(tx, fields["frozen"] == "1", self.parts.site.clock(), caller.name, caller.address)
        return self._done(request, fields, "/")

    def _done(self, request: Request, fields: dict[str, str], page: str) -> Response:
        self.parts.live.ring()
        if wants_json(request):
            return JSONResponse({"done": True})
        return RedirectResponse("/" if fields.get("back") == "list" else page, 303)


def _priority(text: str | None) -> Priority | None:
    if text == _NONE:
        return None
    if text not in list(Priority):
        raise Permanent("FORM_INVALID", f"priority is one of {', '.join([*Priority, _NONE])}")
    return Priority(text)


_WHAT: Final = Parameter("action", "what is done with the study", {"enum": list(_MOVES)}, in_path=True)
_FIELDS: Final = {
    "type": "object",
    "properties": {"priority": {"enum": [*map(str, Priority), _NONE], "description": "with the action priority alone"}},
}
_REASON: Final = {
    "type": "object",
    "required": ["reason"],
    "properties": {"reason": {"type": "string", "maxLength": _LONGEST_REASON}},
}
_CORRECTED: Final = {200: {JSON: shapes.DONE}, 409: {JSON: shapes.FAILURE}}
OPERATIONS: Final = (
    Operation("POST", "/api/studies/{name}/withdraw", "withdraw", _CORRECTED, [NAME], {FORM: _REASON}),
    Operation("POST", "/api/studies/{name}/reinstate", "reinstate", _CORRECTED, [NAME]),
    Operation(
        "POST",
        "/api/studies/{name}/{action}",
        "act",
        {200: {JSON: shapes.DONE}, 409: {JSON: shapes.FAILURE}},
        [NAME, _WHAT],
        {FORM: _FIELDS},
        optional=True,
    ),
)
