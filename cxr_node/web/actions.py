"""What a person does with studies, by a page or a program."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from cxr_node.domain.priority import Priority
from cxr_node.errors import Permanent
from cxr_node.store import reading, worklist
from cxr_node.store.db import Tx
from cxr_node.web.access import Caller
from cxr_node.web.accounts import Role
from cxr_node.web.parts import Parts, allowed, form, wants_json

_NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class Actions:
    """Claim, release, read, reopen and priority of a study; the kill switch of the list."""

    parts: Parts

    @allowed(Role.READER)
    def act(self, request: Request, caller: Caller) -> Response:
        """POST /studies/{name}/{action}, and the same below /api."""
        study, action, fields = self.parts.study(request), request.path_params["action"], form(request)
        site, actor = self.parts.site, caller.actor
        now = site.clock()
        moves: dict[str, Callable[[Tx], None]] = {
            "claim": lambda tx: reading.claim(tx, study, actor, now),
            "release": lambda tx: reading.release(tx, study, actor, site.judging, now),
            "read": lambda tx: reading.mark_read(tx, study, actor, now),
            "reopen": lambda tx: reading.reopen(tx, study, actor, site.judging, now),
            "priority": lambda tx: reading.prioritise(tx, study, _priority(fields.get("priority")), actor, now),
        }
        if action not in moves:
            raise Permanent("FORM_INVALID", f"a study can be given {', '.join(moves)}")
        with site.store.transaction() as tx:
            moves[action](tx)
        return self._done(request, fields, f"/studies/{site.pseudonym(study)}")

    @allowed(Role.ADMIN)
    def freeze(self, request: Request, caller: Caller) -> Response:
        """POST /worklist/freeze with frozen=1 or 0."""
        fields = form(request)
        if fields.get("frozen") not in ("0", "1"):
            raise Permanent("FORM_INVALID", "frozen is 1 or 0")
        with self.parts.site.store.transaction() as tx:
            worklist.freeze(tx, fields["frozen"] == "1", self.parts.site.clock(), caller.name)
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
