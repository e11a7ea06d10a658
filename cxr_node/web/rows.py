"""The worklist and a study in words: what the templates show, from the shapes of `--json`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from cxr_node.domain.finding import tenths
from cxr_node.locale import Language, said, translated
from cxr_node.locale.terms import FINDINGS
from cxr_node.message import N_
from cxr_node.web import words

Entry = Mapping[str, Any]
PAGE: Final = 100
_CLOSED: Final = ("read", "withdrawn")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the list is asked for. `group` and `state`: one of them, or empty for any; `closed`: also what left."""

    text: str = ""
    group: str = ""
    state: str = ""
    closed: bool = False
    page: int = 1

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> "Wanted":
        page = fields.get("page", "1")
        return cls(
            text=fields.get("text", "").strip().lower(),
            group=fields.get("group", ""),
            state=fields.get("state", ""),
            closed=fields.get("closed", "") == "1",
            page=max(1, int(page)) if page.isdecimal() and len(page) < 6 else 1,
        )

    @property
    def all(self) -> bool:
        return not (self.text or self.group or self.state)

    def fits(self, entry: Entry) -> bool:
        if self.group and (entry["group"] != self.group or entry["state"] in _CLOSED):
            return False
        if self.state and entry["state"] != self.state:
            return False
        known = (
            entry[key] for key in ("accession_number", "patient_id", "study_instance_uid", "reader", "finding", "site")
        )
        return not self.text or any(self.text in value.lower() for value in known if value)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the list: its rows, how many fit in all, and which page of how many it is."""

    rows: Sequence[Entry]
    count: int
    number: int
    last: int


@dataclass(frozen=True, slots=True)
class Voice:
    """One language at one site, at one moment."""

    language: Language
    zone: ZoneInfo
    now: float
    mode: str
    frozen: bool
    max_wait_minutes: float

    def say(self, text: str) -> str:
        return translated(text, self.language)

    def told(self, text: str | None) -> str:
        """What the node said of something, in this language."""
        return said(text, self.language) if text else ""

    def finding(self, name: str | None) -> str:
        return self.say(FINDINGS.get(name, name.replace("_", " "))) if name else ""

    def word(self, table: Mapping[str, str], key: str) -> str:
        return self.say(table[key]) if key in table else key.replace("_", " ")

    def restricted(self, model: str) -> str:
        """What is to be said wherever something of a restricted model stands."""
        text = N_("{model} is a research model of restricted use: what it says is not for patient care")
        return self.say(text).format(model=model)

    def whither(self, event: Entry) -> str:
        """Which document or message an event is about, and where it went."""
        document = event["event"].startswith("document.")
        what = self.word(words.KINDS, event["kind"]) if document else event.get("message", "")
        to = event.get("destination")
        return f"{what} → {to}" if to and what else what

    def of_message(self, about: str) -> str:
        """What a message to the RIS tells of: a revision, or the priority that is asked for."""
        return f"{self.say(N_('revision'))} {about}" if about.isdecimal() else about

    def time(self, iso: str) -> str:
        """A moment where the node stands, to the minute; of another day with its date."""
        found = datetime.fromisoformat(iso).astimezone(self.zone)
        return f"{found:%H:%M}" if self._today(found) else f"{found:%Y-%m-%d %H:%M}"

    def second(self, iso: str) -> str:
        """The same to the second."""
        found = datetime.fromisoformat(iso).astimezone(self.zone)
        return f"{found:%H:%M:%S}" if self._today(found) else f"{found:%Y-%m-%d %H:%M:%S}"

    def _today(self, moment: datetime) -> bool:
        return moment.date() == datetime.fromtimestamp(self.now, self.zone).date()

    def since(self, iso: str) -> str:
        """How long ago, in the largest two units."""
        minutes = max(0, int(self.now - datetime.fromisoformat(iso).timestamp())) // 60
        hours, days = minutes // 60, minutes // 1440
        if days:
            return f"{days} d {hours % 24} h"
        return f"{hours} h {minutes % 60:02} min" if hours else f"{minutes} min"

    def why(self, entry: Entry) -> str:
        """Why a study stands where it stands."""
        say = self.say
        if entry["state"] in (*_CLOSED, "held"):
            return self.told(entry["reason"])
        if entry["group"] == "stat":
            return say(N_("STAT was asked for by a person or the RIS"))
        if entry["group"] == "overdue":
            limit = f"{self.max_wait_minutes:g}"
            return say(N_("waits for longer than %(minutes)s minutes")) % {"minutes": limit}
        if entry["group"] in ("high", "medium"):
            if entry["tier"] != entry["group"]:
                return say(N_("priority high was asked for by a person or the RIS"))
            return say(N_("promoted by the model"))
        return self._by_arrival(entry)

    def asked(self, entry: Entry) -> str:
        """What somebody asks of the site of a study, or that the site has not given it, and why."""
        asked = entry["asked"]
        if asked is None:
            return ""
        told = {"priority": self.word(words.PRIORITIES, asked["priority"] or "none"), "site": entry["site"],
                "by": asked["by"], "time": self.time(asked["at"])}  # fmt: skip
        if asked["refused"] == "decided":
            text = N_("%(site)s had decided itself; not given: %(priority)s (%(by)s, %(time)s)")
        elif asked["refused"]:
            text = N_("%(site)s had closed the study; not given: %(priority)s (%(by)s, %(time)s)")
        else:
            text = N_("asked of %(site)s: %(priority)s (%(by)s, %(time)s)")
        return self.say(text) % told

    def _by_arrival(self, entry: Entry) -> str:
        say = self.say
        if entry["reason"]:
            return self.told(entry["reason"])
        if entry["tier"] != "none":
            return say(N_("the list is frozen")) if self.frozen else say(N_("shadow mode: not moved"))
        if entry["state"] == "waiting":
            return say(N_("until there is a result"))
        return say(N_("below the threshold")) if entry["probability"] is not None else ""


def chosen(entries: Sequence[Entry], wanted: Wanted, voice: Voice, pseudonym: Callable[[str], str]) -> Page:
    """The page of the list that is asked for, each row in words."""
    found = entries if wanted.all else [entry for entry in entries if wanted.fits(entry)]
    last = max(1, -(-len(found) // PAGE))
    number = min(wanted.page, last)
    shown = found[(number - 1) * PAGE : number * PAGE]
    return Page([_row(entry, voice, pseudonym) for entry in shown], len(found), number, last)


def _row(entry: Entry, voice: Voice, pseudonym: Callable[[str], str]) -> dict[str, Any]:
    closed = entry["state"] in _CLOSED
    return {
        **entry,
        "name": pseudonym(entry["study_instance_uid"]),
        "closed": closed,
        "group_word": voice.word(words.STATES if closed else words.GROUPS, entry["state" if closed else "group"]),
        "state_word": voice.word(words.STATES, entry["state"]),
        "finding_word": voice.finding(entry["finding"]),
        "bar": bar(entry["probability"], entry["threshold"]),
        "received": voice.time(entry["received_at"]),
        "waits": voice.since(entry["received_at"]),
        "held": voice.since(entry["state_since"]) if entry["state"] == "reading" else "",
        "why": voice.why(entry),
        "asked_for": voice.asked(entry),
    }


def bar(probability: float | None, threshold: float | None) -> dict[str, Any] | None:
    """A bar of 100 units with a mark at the threshold; None where nothing was judged."""
    if probability is None:
        return None
    mark = None if threshold is None else round(100 * threshold, 1)
    return {"percent": tenths(probability), "width": round(100 * probability, 1), "mark": mark,
            "positive": threshold is not None and probability >= threshold}  # fmt: skip
