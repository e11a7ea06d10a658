"""Which events others hear of, and how each is told (PS3.15 A.5.3).

Events are told as they stand in the trail. Instances that came or went are told by study and peer, one message for
those that are told together.
"""

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, tostring

from cxr_node.audit import codes, elements, records
from cxr_node.audit.elements import Reporter, Transfer
from cxr_node.audit.event import Event, Group

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
_SYSTEM_RESOURCE = "13"  # Security Resource
_TRAIL = "urn:cxr-node:event"
_MODEL = "urn:cxr-node:model"
_WORKLIST = "urn:cxr-node:worklist"


@dataclass(frozen=True, slots=True)
class Message:
    """An audit message of one line. `warning`: it tells of something that should not be; `time` of its last event."""

    time: float
    xml: str
    warning: bool


_BY_PEOPLE_HERE = ("worklist.moved", "worklist.asked")
"""Of what moves a study, or would: what another system does is told as it comes."""
_Teller = Callable[[Group, Reporter], Element]


def messages(rows: Iterable[Mapping[str, Any]], reporter: Reporter) -> list[Message]:
    """What rows of the trail, given in their order, are told as."""
    groups: dict[Hashable, Group] = {}
    for row in rows:
        if row["event"] not in _TOLD:
            continue
        event = _event(row)
        if event.name not in _BY_PEOPLE_HERE or records.by_a_person_here(event):
            groups.setdefault(_together(event), []).append(event)
    return [_message(group, reporter) for group in sorted(groups.values(), key=lambda group: group[-1].sequence)]


def _event(row: Mapping[str, Any]) -> Event:
    study = row["study_instance_uid"] or ""
    return Event(int(row["sequence"]), float(row["time"]), str(row["event"]), study, json.loads(row["detail"]))


def _together(event: Event) -> Hashable:
    """Events with the same key are told in one message."""
    if event.name not in _TRANSFERS:
        return event.sequence
    return (event.name, event.study, *(event.text(key) for key in ("calling", "address", "ae_title", "host")))


def _message(group: Group, reporter: Reporter) -> Message:
    root = _TOLD[group[-1].name](group, reporter)
    xml = _DECLARATION + tostring(root, encoding="unicode")
    outcome = root[0].get("EventOutcomeIndicator")
    return Message(group[-1].time, xml, warning=outcome != elements.SUCCESS)


def _activity(what: codes.Code) -> _Teller:
    def tell(group: Group, reporter: Reporter) -> Element:
        """A.5.3.1"""
        root = elements.message(codes.APPLICATION_ACTIVITY, "E", group[-1].time, of_type=what)
        elements.process(root, reporter.ae_title, codes.APPLICATION, reporter.host, requestor=False)
        elements.audit_source(root, reporter)
        return root

    return tell


def _received(group: Group, reporter: Reporter) -> Element:
    """A.5.3.7, from a peer to the node: it did not hold these instances, or not with these bytes."""
    last = group[-1]
    root = elements.message(codes.INSTANCES_TRANSFERRED, "C", last.time)
    elements.process(root, last.text("calling"), codes.SOURCE, last.text("address"), requestor=True)
    elements.process(root, reporter.ae_title, codes.DESTINATION, reporter.host, requestor=False)
    return _with_study(root, group, reporter)


def _sent(group: Group, reporter: Reporter) -> Element:
    """A.5.3.7, from the node to a peer, of which it does not know what it held before."""
    last = group[-1]
    root = elements.message(codes.INSTANCES_TRANSFERRED, "R", last.time)
    elements.process(root, reporter.ae_title, codes.SOURCE, reporter.host, requestor=True)
    elements.process(root, last.text("ae_title"), codes.DESTINATION, last.text("host"), requestor=False)
    return _with_study(root, group, reporter)


def _queried(group: Group, reporter: Reporter) -> Element:
    """A.5.3.10: the node asked a peer by C-FIND."""
    event = group[-1]
    root = elements.message(codes.QUERY, "E", event.time)
    elements.process(root, reporter.ae_title, codes.SOURCE, reporter.host, requestor=True)
    elements.process(root, event.text("ae_title"), codes.DESTINATION, event.text("host"), requestor=False)
    elements.audit_source(root, reporter)
    told = (event.text(key) for key in ("information_model_uid", "identifier", "transfer_syntax_uid"))
    elements.query(root, *told)
    return root


def _asked(group: Group, reporter: Reporter) -> Element:
    """A.5.3.10: a peer asked the node by C-FIND."""
    event = group[-1]
    root = elements.message(codes.QUERY, "E", event.time)
    elements.process(root, event.text("calling"), codes.SOURCE, event.text("address"), requestor=True)
    elements.process(root, reporter.ae_title, codes.DESTINATION, reporter.host, requestor=False)
    elements.audit_source(root, reporter)
    told = (event.text(key) for key in ("information_model_uid", "identifier", "transfer_syntax_uid"))
    elements.query(root, *told)
    return root


def _exported(group: Group, reporter: Reporter) -> Element:
    """A.5.3.4: films of a study were written to a folder, de-identified."""
    last = group[-1]
    root = elements.message(codes.EXPORT, "R", last.time)
    elements.person(root, last.text("by"), codes.SOURCE)
    elements.process(root, reporter.ae_title, codes.SOURCE, reporter.host, requestor=False)
    elements.medium(root, last.text("folder"), codes.DESTINATION_MEDIA, codes.FOLDER)
    elements.audit_source(root, reporter)
    classes = {str(uid): int(count) for uid, count in last.detail["classes"].items()}
    elements.study(root, Transfer(last.study, last.text("accession_number"), classes), anonymized=True)
    elements.patient(root, last.text("patient_id"), last.text("issuer_of_patient_id"))
    return root


def _authenticated(what: codes.Code, outcome: str) -> _Teller:
    def tell(group: Group, reporter: Reporter) -> Element:
        """A.5.3.12: a user signs in to the web page, or out of it."""
        event = group[-1]
        root = elements.message(codes.USER_AUTHENTICATION, "E", event.time, outcome, what)
        elements.person(root, event.text("by"), address=event.text("address"))
        elements.process(root, reporter.ae_title, codes.APPLICATION, reporter.host, requestor=False)
        elements.audit_source(root, reporter)
        return root

    return tell


def _viewed(group: Group, reporter: Reporter) -> Element:
    """A.5.3.6: somebody looked at a study."""
    event = group[-1]
    root = elements.message(codes.INSTANCES_ACCESSED, "R", event.time)
    elements.person(root, event.text("by"), address=event.text("address"))
    elements.process(root, reporter.ae_title, codes.APPLICATION, reporter.host, requestor=False)
    elements.audit_source(root, reporter)
    elements.study(root, Transfer(event.study, event.text("accession_number"), {}))
    elements.patient(root, event.text("patient_id"), event.text("issuer_of_patient_id"))
    return root


def _with_study(root: Element, group: Group, reporter: Reporter) -> Element:
    last = group[-1]
    classes = Counter(event.text("sop_class_uid") for event in group)
    elements.audit_source(root, reporter)
    elements.study(root, Transfer(last.study, last.text("accession_number"), classes))
    elements.patient(root, last.text("patient_id"), last.text("issuer_of_patient_id"))
    return root


def _log_used(group: Group, reporter: Reporter) -> Element:
    """A.5.3.2"""
    root = elements.message(codes.AUDIT_LOG_USED, "R", group[-1].time)
    elements.person(root, group[-1].text("by"))
    elements.audit_source(root, reporter)
    elements.system_object(root, _TRAIL, _SYSTEM_RESOURCE, codes.URI, "Security Audit Log")
    return root


def _alert(what: codes.Code, outcome: str, sentence: Callable[[Event], str], about: str = _TRAIL) -> _Teller:
    """A.5.3.11. `outcome`: MAJOR where the system may have been compromised, else what it held against.

    It is `about` a part of the node, where it is not about the address of a caller that nobody knows.
    """

    def tell(group: Group, reporter: Reporter) -> Element:
        event = group[-1]
        root = elements.message(codes.SECURITY_ALERT, "E", event.time, outcome, what)
        elements.describe_outcome(root, sentence(event))
        elements.process(root, reporter.ae_title, codes.APPLICATION, reporter.host, requestor=True)
        by, address = event.text("by"), event.text("address")
        if by:
            elements.person(root, by, address=address)
        elements.audit_source(root, reporter)
        subject = (address, codes.NODE) if address and not by else (about, codes.URI)
        elements.system_object(root, subject[0], _SYSTEM_RESOURCE, subject[1], Alert_Description=sentence(event))
        return root

    return tell


def _turned_away(event: Event) -> str:
    who = event.text("calling") or "a caller that gave no AE title"
    return f"{who} got no association: {event.text('reason')}; {event.detail.get('times', 1)} times"


def _kept_aside(event: Event) -> str:
    return f"{event.text('code')}: {event.text('reason')}; kept as {event.text('path')}, from {event.text('calling')}"


def _disputed(event: Event) -> str:
    return f"study {event.study}: {event.text('reason')}"


def _activated(event: Event) -> str:
    named = f"{event.text('model')} {event.text('version')}".strip() or "the configuration's model"
    return f"{named} is in service, build {event.text('digest')}; before it {event.text('before')}"


def _frozen(event: Event) -> str:
    how = "frozen: studies stand in the order of their arrival" if event.name == "worklist.frozen" else "ordered again"
    return f"the worklist is {how}; by {event.text('by')}"


_TRANSFERS: Mapping[str, _Teller] = {"instance.stored": _received, "document.sent": _sent}
_TOLD: Mapping[str, _Teller] = {
    **_TRANSFERS,
    "node.started": _activity(codes.APPLICATION_START),
    "node.stopped": _activity(codes.APPLICATION_STOP),
    "association.rejected": _alert(codes.NODE_AUTHENTICATION, elements.MINOR, _turned_away),
    "connection.refused": _alert(codes.NODE_AUTHENTICATION, elements.MINOR, _turned_away),
    "object.quarantined": _alert(codes.OBJECT_QUARANTINED, elements.MINOR, _kept_aside),
    "instance.quarantined": _alert(codes.INSTANCE_DISPUTED, elements.SERIOUS, _disputed),
    "audit.broken": _alert(
        codes.TRAIL_BROKEN, elements.MAJOR, lambda event: f"the trail is broken at event {event.detail['sequence']}"
    ),
    "audit.truncated": _alert(
        codes.TRAIL_TRUNCATED, elements.SUCCESS, lambda event: f"events up to {event.detail['through']} were removed"
    ),
    "model.activated": _alert(codes.SOFTWARE_CONFIGURATION, elements.SUCCESS, _activated, _MODEL),
    "worklist.frozen": _alert(codes.SOFTWARE_CONFIGURATION, elements.SUCCESS, _frozen, _WORKLIST),
    "worklist.unfrozen": _alert(codes.SOFTWARE_CONFIGURATION, elements.SUCCESS, _frozen, _WORKLIST),
    "audit.read": _log_used,
    "peer.queried": _queried,
    "worklist.queried": _asked,
    "export.made": _exported,
    "user.signed_in": _authenticated(codes.LOGIN, elements.SUCCESS),
    "user.signed_out": _authenticated(codes.LOGOUT, elements.SUCCESS),
    "user.sign_in_failed": _authenticated(codes.LOGIN, elements.MINOR),
    "study.viewed": _viewed,
    "message.sent": records.message_sent,
    "order.received": records.order_received,
    "report.received": records.report_received,
    "worklist.moved": records.moved,
    "worklist.asked": records.asked,
    "worklist.answered": records.asked,
    "patient.changed": records.patient_changed,
    "study.withdrawn": records.standing,
    "study.held": records.standing,
    "study.released": records.standing,
    "workitem.created": records.workitem("C"),
    "workitem.changed": records.workitem("U"),
    "workitem.moved": records.workitem("U"),
    "workitem.cancel_requested": records.workitem("U"),
}
