"""The statement as Markdown, in the outline of PS3.2 annex A."""

from collections.abc import Iterable, Sequence

import cxr_node
from cxr_node import tls
from cxr_node.conformance import sample, tables
from cxr_node.conformance.tables import Attribute, Item, name_of
from cxr_node.dimse import contexts
from cxr_node.dimse.services import Service
from cxr_node.documents import Document
from cxr_node.domain.report_class import REPORT_CLASSES, ReportClass
from cxr_node.domain.uid import IMPLEMENTATION_CLASS_UID
from cxr_node.locale import LANGUAGES
from cxr_node.plan import Plan
from cxr_node.profiles import profile_of

_CONTENTS = """## 5 Contents of the created SOP instances

Attributes without a fixed value come from the film, its analysis or the configuration; those that a film lacks may be
absent. Device UID (0018,1002) in Contributing Equipment makes each a Standard Extended SOP Class by editions of PS3.3
that do not have it there. No private attributes are written, and no private SOP class."""


def statement(plan: Plan) -> str:
    """The whole statement, for this configuration and this model. Raises ConfigError as `Plan.judging` does."""
    profile = profile_of(plan, "full")
    documents = sample.pairs(plan.manifest, profile)
    reports: dict[tuple[Item, ...], list[ReportClass]] = {}
    for name in REPORT_CLASSES:
        items = tuple(tables.content_items(sample.reports(plan.manifest, profile, name)))
        reports.setdefault(items, []).append(name)
    sections = [
        _overview(plan, [first for first, _ in documents]),
        _networking(plan),
        _services(plan, [first for first, _ in documents]),
        _security(plan),
        _contents(documents),
        *(_report(names, items) for items, names in reports.items()),
    ]
    return "\n\n".join(sections) + "\n"


def _overview(plan: Plan, made: Sequence[Document]) -> str:
    rows = [(name_of(one.sop_class), one.roles) for one in tables.accepted(plan)]
    rows += [(name_of(one.sop_class), one.roles) for one in tables.proposed(plan, made)]
    return f"""# DICOM Conformance Statement: cxr_node {cxr_node.__version__}

In the outline of PS3.2. It is made by `cxr-node conformance` from the tables that the node works by, for the
configuration that the command was given, and for the model {plan.manifest.name} {plan.manifest.version}.

## 1 Overview

The node receives chest radiographs, judges them, and writes structured reports and images about them back into the
archive. It is no archive: what it receives cannot be retrieved. It reads and writes no media.

{_table(("SOP class", "role"), rows)}"""


def _networking(plan: Plan) -> str:
    endpoint, node = plan.endpoint(), plan.config.node
    receive = plan.config.receive
    rows = [
        ("AE title", f"`{node.ae_title}` (`[node] ae_title`)"),
        ("Port", f"{receive.port} (`[receive] port`)"),
        ("Implementation Class UID", f"`{IMPLEMENTATION_CLASS_UID}`"),
        ("Implementation Version Name in files", "`CXR_NODE`"),
        ("Application context", "`1.2.840.10008.3.1.1.1`"),
        ("Maximum PDU received", f"{endpoint.max_pdu} bytes"),
        ("Simultaneous associations accepted", str(endpoint.max_associations)),
        ("Simultaneous associations proposed", "one for each destination and purpose"),
        ("Asynchronous operations", "not supported"),
        ("Time-out of a silent association", f"{endpoint.timeout:g} s"),
        ("Called AE title", "must be ours" if endpoint.require_called_ae_title else "any"),
        ("Calling AE titles", ", ".join(endpoint.allowed_ae_titles) or "any"),
    ]
    return f"""## 2 Networking

One Application Entity accepts associations and proposes them, over TCP/IP (IPv4). Films are answered with success when
they are on disk. What status follows from what stands in docs/operations.md.

{_table(("what", "value"), rows)}"""


def _services(plan: Plan, made: Sequence[Document]) -> str:
    syntaxes = [*contexts.UNCOMPRESSED, *contexts.COMPRESSED]
    legend = [(str(number), name_of(uid), f"`{uid}`") for number, uid in enumerate(syntaxes, start=1)]
    return f"""### 2.1 Transfer syntaxes

{_table(("no.", "transfer syntax", "UID"), legend)}

### 2.2 Association acceptance

Each transfer syntax that is proposed alone in a presentation context is accepted or refused as this table says. Objects
that are no films are accepted, recorded and dropped.

{_service_table(tables.accepted(plan), syntaxes)}

### 2.3 Association initiation

Documents are sent as they were written; none is converted. An association proposes every class of document, and stays
open for the next one as long as `[[destination]] keep_open_seconds` says. A report is sent in the class of
`[[destination]] sr_class`, and where that is refused in the next one of this table.

{_service_table(tables.proposed(plan, made), syntaxes)}{_workitems(plan)}"""


_UPS = """

### 2.4 Unified Procedure Step

Workitems stand for the reading of the studies of the worklist, and are created by peers (N-CREATE), too. The node
changes their state with the study. It adds Procedure Step Cancellation DateTime (0040,4052) and a Procedure Step
Discontinuation Reason Code (110513, DCM) to what is canceled without them, and times, station, workitem code and
reader to what is read at its page. It sets priority, Worklist Label, Start DateTime and Input Readiness State of what
is about a study that it has, and a Worklist Label that a peer leaves empty. What an N-CREATE says of progress and
performance is left (0xB300); what an N-SET says of the patient and the request, too (0xB305). All attributes that it
knows are matching keys, with wild cards, ranges of dates and times, and sequences; answers come in reading order. A
study that waits to be read is not canceled at a peer's request (0xC313). No subscription is made for who creates a
workitem. Deletion locks are granted for 30 days. Events are reported to each `[[subscriber]]` on an association of the
node's own. Where a node tells a hub (UPS-RS), text items of Scheduled Processing Parameters (0074,1210), named by codes
of 99CXR_NODE, say each column of its list, what it has decided of the priority, and what the hub asks of it; at a hub
an N-SET of the priority of a site's workitem is asked of that site (0xB305), and anything else is refused (0x0110)."""


def _workitems(plan: Plan) -> str:
    return _UPS if plan.config.ups.enabled else ""


def _service_table(services: Sequence[Service], syntaxes: Sequence[str]) -> str:
    rows = [
        (
            name_of(one.sop_class),
            f"`{one.sop_class}`",
            one.roles,
            ", ".join(str(syntaxes.index(uid) + 1) for uid in one.transfer_syntaxes),
        )
        for one in services
    ]
    return _table(("SOP class", "UID", "role", "transfer syntaxes"), rows)


def _security(plan: Plan) -> str:
    protected = plan.config.tls
    listener = "TLS only" if protected.listens else "no TLS in this configuration"
    verified = protected.listens and protected.require_client_certificate
    clients = "asked for and verified" if verified else "not asked for"
    destinations = [f"{one.name}: {'TLS' if one.tls else 'no TLS'}" for one in plan.config.destination]
    rows = [
        ("Listener", f"{listener}; client certificates {clients}"),
        ("Destinations", ", ".join(destinations) or "none"),
        ("Protocol", "TLS 1.2 and 1.3 (PS3.15 B.12, BCP 195)"),
        ("Cipher suites of TLS 1.2", ", ".join(f"`{suite}`" for suite in tls.SUITES.split(":"))),
        ("Audit trail", "PS3.15 A.5 messages, by syslog (A.6) or to a file, where `[audit]` names one"),
        ("De-identification", "`cxr-node export`: Basic Application Level Confidentiality Profile, option 113107"),
    ]
    said = ", ".join(LANGUAGES)
    return f"""## 3 Character sets

Films are read in every Specific Character Set of PS3.3 C.12.1.1.2, with code extensions. Documents are written in
`ISO_IR 192`; their language is one of: {said}. Names and other texts of the patient are taken over letter by letter.

## 4 Security

{_table(("what", "how"), rows)}"""


def _contents(documents: Iterable[tuple[Document, Document]]) -> str:
    parts = [_CONTENTS]
    for first, second in documents:
        rows = [_attribute(each) for each in tables.attributes(first, second)]
        title = name_of(first.sop_class_uid)
        parts.append(f"### {title}\n\n{_table(('tag', 'attribute', 'VR', 'fixed value'), rows)}")
    return "\n\n".join(parts)


def _attribute(each: Attribute) -> tuple[str, ...]:
    return each.tag, each.name, each.vr, "" if each.value is None else each.value or "(empty)"


def _report(names: Sequence[ReportClass], items: Iterable[Item]) -> str:
    template = "no template is claimed" if "basic_text" in names else "root template TID 1500"
    rows = [_item(each) for each in items]
    heading = ("level", "relationship", "type", "concept name", "values")
    classes = ", ".join(name_of(REPORT_CLASSES[name]) for name in names)
    return f"### Content items of {classes}: {template}\n\n{_table(heading, rows)}"


def _item(each: Item) -> tuple[str, ...]:
    return ">" * each.depth, each.relationship, each.value_type, each.name, "; ".join(each.values)


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
