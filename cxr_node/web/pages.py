"""The pages for people: the worklist, a study, the node's health."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from cxr_node.errors import CxrNodeError, Permanent
from cxr_node.locale import LANGUAGES, Language, translated
from cxr_node.store import worklist
from cxr_node.web import words
from cxr_node.web.access import FORM_COOKIE, LANGUAGE_COOKIE, Caller
from cxr_node.web.accounts import Role
from cxr_node.web.films import films
from cxr_node.web.parts import Parts, allowed, form, json_failure, require_form, status_of, wants_json
from cxr_node.web.rows import Voice, Wanted, chosen
from cxr_node.web.templates import Templates

_YEAR: Final = 365 * 24 * 3600
NOBODY: Final = ""
"""The user of a form that is shown before anybody has signed in."""


@dataclass(frozen=True, slots=True)
class Pages:
    """Every page is made on the server; the script on it makes it live and quick to use, no more."""

    parts: Parts
    templates: Templates

    @allowed(Role.VIEWER)
    def worklist(self, request: Request, caller: Caller) -> Response:
        """GET /"""
        self.parts.site.looked(caller)
        return self.show(request, caller, "worklist.html", **self._list(request, caller, Wanted()))

    @allowed(Role.VIEWER)
    def rows(self, request: Request, caller: Caller) -> Response:
        """POST /worklist: the rows that are asked for. What is searched for may name a patient: it is in no address."""
        self.parts.site.looked(caller)
        wanted = Wanted.of(form(request))
        template = "rows.html" if request.headers.get("x-part") == "rows" else "worklist.html"
        return self.show(request, caller, template, **self._list(request, caller, wanted))

    @allowed(Role.VIEWER)
    def study(self, request: Request, caller: Caller) -> Response:
        """GET /studies/{name}; one that is named by its UID is shown under its pseudonym."""
        site, uid = self.parts.site, self.parts.study(request)
        found = site.study(uid)
        if found is None:
            raise Permanent("STUDY_UNKNOWN", "no film of this study has been received")
        name = site.pseudonym(uid)
        if request.path_params["name"] != name:
            return RedirectResponse(f"/studies/{name}", 303)
        site.looked(caller, uid)
        entry = self.parts.board.entry(uid)
        voice = self._voice(request)
        return self.show(
            request, caller, "study.html", study=found, name=name, entry=entry, films=films(site, found, voice),
            why=voice.why(entry) if entry else "", viewer=self._viewer(entry), may_read=caller.may(Role.READER),
            may_correct=caller.may(Role.ADMIN), priorities=words.PRIORITIES,
            rejected=sum(one["state"] == "rejected" for one in found["instances"]),
            mine=bool(entry and entry["reader"] == caller.name),
        )  # fmt: skip

    @allowed(Role.VIEWER)
    def health(self, request: Request, caller: Caller) -> Response:
        """GET /health"""
        return self.show(request, caller, "health.html", status=self.parts.site.status(), live=True)

    async def language(self, request: Request) -> Response:
        """POST /language: the language of the pages in this browser."""
        fields = form(request)
        wanted, back = fields.get("language", ""), local(fields.get("next"))
        answer = RedirectResponse(back, 303)
        if wanted in LANGUAGES:
            answer.set_cookie(LANGUAGE_COOKIE, wanted, max_age=_YEAR, httponly=True, samesite="lax")
        return answer

    def failure(self, request: Request, error: Exception) -> Response:
        """A failure that the node foresees, as a page or as JSON."""
        if not isinstance(error, CxrNodeError):
            raise error
        if wants_json(request):
            if error.code in words.REFUSALS and not request.url.path.startswith("/api/"):
                sentence = translated(words.REFUSALS[error.code], self._language(request))
                return JSONResponse({"error": error.code, "message": sentence}, status_of(error))
            return json_failure(error)
        known, language = words.REFUSALS.get(error.code), self._language(request)
        sentence = translated(known, language) if known else error.message
        answer = self.show(request, self._known(request), "failure.html", sentence=sentence)
        answer.status_code = status_of(error)
        return answer

    def _known(self, request: Request) -> Caller | None:
        """Who asks; None also where the failure is that of the accounts."""
        try:
            caller = self.parts.door.caller(request)
        except Permanent:
            return None
        return caller if isinstance(caller, Caller) else None

    def show(self, request: Request, caller: Caller | None, template: str, **values: Any) -> Response:
        """A page in the language of the browser, with the token for its forms."""
        cookie = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)
        token = self.parts.door.sessions.form_token(cookie, caller.name if caller else NOBODY)
        language = self._language(request)
        known = {
            "facts": self.parts.site.facts, "caller": caller, "form_token": token, "language": language,
            "languages": words.NAMES, "path": request.url.path if request.method == "GET" else "/",
            "words": words, "voice": self._voice(request), "token": lambda: _field(token),
        }  # fmt: skip
        answer = HTMLResponse(self.templates.render(template, language, known | values))
        if request.cookies.get(FORM_COOKIE) != cookie:
            secure = self.parts.door.secure(request)
            answer.set_cookie(FORM_COOKIE, cookie, httponly=True, samesite="lax", secure=secure)
        return answer

    def require_form(self, request: Request) -> None:
        """Of a form that is filled in before anybody has signed in."""
        require_form(self.parts.door, request, NOBODY)

    def _language(self, request: Request) -> Language:
        return words.best(request.cookies.get(LANGUAGE_COOKIE), self.parts.site.facts.language)

    def _voice(self, request: Request) -> Voice:
        site = self.parts.site
        with site.store.reading() as tx:
            frozen = worklist.is_frozen(tx)
        language, facts = self._language(request), site.facts
        return Voice(language, ZoneInfo(facts.timezone), site.clock(), facts.mode, frozen, facts.max_wait_minutes)

    def _list(self, request: Request, caller: Caller, wanted: Wanted) -> Mapping[str, Any]:
        closed = wanted.closed or wanted.state in ("read", "withdrawn")
        voice = self._voice(request)
        page = chosen(self.parts.board.entries(closed=closed), wanted, voice, self.parts.site.pseudonym)
        return {
            "page": page, "wanted": wanted, "frozen": voice.frozen, "may_read": caller.may(Role.READER),
            "may_freeze": caller.may(Role.ADMIN), "groups": words.GROUPS, "states": words.STATES,
            "priorities": words.PRIORITIES, "restricted": self.parts.site.judging.restricted,
        }  # fmt: skip

    def _viewer(self, entry: Mapping[str, Any] | None) -> str | None:
        """Where the PACS shows the study."""
        url = self.parts.site.facts.viewer_url
        if url is None or entry is None:
            return None
        study, accession = entry["study_instance_uid"], entry["accession_number"] or ""
        return url.format(study_uid=quote(study, safe=""), accession_number=quote(accession, safe=""))


def _field(token: str) -> Markup:
    """The field that every form carries."""
    return Markup('<input type="hidden" name="form_token" value="{}">').format(token)


def local(path: str | None) -> str:
    """A path of ours, and never an address elsewhere."""
    fine = path and path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if path and fine else "/"
