"""The elements of a DICOM audit message (PS3.15 A.5.1.1 and A.5.2), from plain values."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

from cxr_node.audit.codes import PATIENT_NUMBER, SOP_CLASS, STUDY, Code
from cxr_node.domain.clock import iso

_UNWANTED = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_APPLICATION_SERVER = "4"
_IP_ADDRESS, _MACHINE_NAME = "2", "1"
_UNKNOWN = "unknown"

SUCCESS, MINOR, SERIOUS, MAJOR = "0", "4", "8", "12"
"""Event outcomes (A.5.1.1)."""


@dataclass(frozen=True, slots=True)
class Reporter:
    """The node as it reports: its AE title, its machine's name, and the names of its site and station, if any."""

    ae_title: str
    host: str
    institution: str = ""
    station: str = ""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What was transferred of one study: how many instances of each SOP class."""

    study: str
    accession_number: str | None
    classes: Mapping[str, int]


def message(event: Code, action: str, time: float, outcome: str = SUCCESS, of_type: Code | None = None) -> Element:
    """A message with its EventIdentification; `time` in seconds since 1970 UTC."""
    root = Element("AuditMessage")
    attributes = {"EventActionCode": action, "EventDateTime": iso(time), "EventOutcomeIndicator": outcome}
    identification = SubElement(root, "EventIdentification", attributes)
    _code(identification, "EventID", event)
    if of_type:
        _code(identification, "EventTypeCode", of_type)
    return root


def describe_outcome(root: Element, text: str) -> None:
    SubElement(root[0], "EventOutcomeDescription").text = clean(text)


def process(root: Element, ae_title: str, role: Code, address: str, *, requestor: bool) -> None:
    """An application entity that took part, and where it stands: an address or a machine's name."""
    participant = application(root, ae_title, role, address, requestor=requestor)
    participant.set("AlternativeUserID", f"AETITLES={clean(ae_title) or _UNKNOWN}")


def application(root: Element, name: str, role: Code, address: str, *, requestor: bool) -> Element:
    """The same for an application that has no AE title."""
    known = {"UserID": clean(name) or _UNKNOWN, "UserIsRequestor": _truth(requestor)}
    participant = SubElement(root, "ActiveParticipant", known)
    if address:
        participant.set("NetworkAccessPointID", clean(address))
        numeric = ":" in address or address.replace(".", "").isdigit()
        participant.set("NetworkAccessPointTypeCode", _IP_ADDRESS if numeric else _MACHINE_NAME)
    _code(participant, "RoleIDCode", role)
    return participant


def person(root: Element, name: str, role: Code | None = None, address: str = "") -> None:
    """Who gave a command, as the operating system or the web page knows them, and from which address, if any."""
    participant = SubElement(root, "ActiveParticipant", UserID=clean(name), UserIsRequestor="true")
    if address:
        participant.set("NetworkAccessPointID", clean(address))
        participant.set("NetworkAccessPointTypeCode", _IP_ADDRESS)
    if role:
        _code(participant, "RoleIDCode", role)


def medium(root: Element, name: str, role: Code, kind: Code) -> None:
    """What data were written to."""
    participant = SubElement(root, "ActiveParticipant", UserID=clean(name), UserIsRequestor="false")
    _code(participant, "RoleIDCode", role)
    _code(SubElement(participant, "MediaIdentifier"), "MediaType", kind)


def audit_source(root: Element, reporter: Reporter) -> None:
    source = SubElement(root, "AuditSourceIdentification", AuditSourceID=reporter.station or reporter.ae_title)
    if reporter.institution:
        source.set("AuditEnterpriseSiteID", reporter.institution)
    SubElement(source, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})


def study(
    root: Element, transfer: Transfer, detail: Mapping[str, str] | None = None, *, anonymized: bool = False
) -> None:
    """The study that the event is about; `detail` as in `system_object`."""
    found = system_object(root, transfer.study, "3", STUDY, **(detail or {}))
    description = SubElement(found, "ParticipantObjectDescription")
    if transfer.accession_number:
        SubElement(description, "Accession", Number=clean(transfer.accession_number))
    for uid, count in transfer.classes.items():
        SubElement(description, "SOPClass", UID=clean(uid), NumberOfInstances=str(count))
    if anonymized:
        SubElement(description, "Anonymized").text = "true"


def patient(root: Element, identifier: str | None, issuer: str | None) -> None:
    """Whose data it was; in the form of HL7's CX where the issuer is known. The node records no names."""
    known = clean(identifier or "") or _UNKNOWN
    whole = f"{known}^^^{clean(issuer)}" if issuer else known
    found = SubElement(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=whole,
        ParticipantObjectTypeCode="1",
        ParticipantObjectTypeCodeRole="1",
    )
    _code(found, "ParticipantObjectIDTypeCode", PATIENT_NUMBER)
    SubElement(found, "ParticipantObjectName")


def system_object(root: Element, identifier: str, role: str, of_type: Code, name: str = "", **detail: str) -> Element:
    """A thing that the event is about; `detail` as ParticipantObjectDetail, in which "_" stands for a space."""
    found = _system_object(root, identifier, role, of_type)
    SubElement(found, "ParticipantObjectName").text = name or clean(identifier)
    for key, text in detail.items():
        _detail(found, key.replace("_", " "), text)
    return found


def query(root: Element, information_model: str, identifier: str, transfer_syntax: str) -> None:
    """What was asked (A.5.3.10): the encoded `identifier` of the query in base64, and the UIDs that tell what it is."""
    found = _system_object(root, information_model, "3", SOP_CLASS)
    SubElement(found, "ParticipantObjectQuery").text = identifier
    _detail(found, "TransferSyntax", transfer_syntax)


def clean(text: str) -> str:
    """A text that may come from anywhere, without what XML cannot hold or what ends a line (XML 1.0, 2.2)."""
    return _UNWANTED.sub("\ufffd", text).strip()


def _system_object(root: Element, identifier: str, role: str, of_type: Code) -> Element:
    found = SubElement(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=clean(identifier),
        ParticipantObjectTypeCode="2",
        ParticipantObjectTypeCodeRole=role,
    )
    _code(found, "ParticipantObjectIDTypeCode", of_type)
    return found


def _detail(found: Element, key: str, text: str) -> None:
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode()
    SubElement(found, "ParticipantObjectDetail", type=key, value=encoded)


def _code(parent: Element, name: str, code: Code) -> None:
    attributes = {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning}
    SubElement(parent, name, attributes)


def _truth(value: bool) -> str:
    return "true" if value else "false"
