"""What happens to orders and readings, as audit messages (PS3.15 A.5.3): by HL7, by workitems, by people at the list.

A result that leaves is an Export (A.5.3.4); an order that comes, or that is to be urgent, an Order Record (A.5.3.13);
what an admission changes of a patient, a Patient Record (A.5.3.14); what happens to a reading, and whether a study
stands, a Procedure Record (A.5.3.15). How urgent a person calls a study belongs to its reading, too: the order stays
what the RIS says it is.
"""

from collections.abc import Callable, Mapping
from typing import Final
from xml.etree.ElementTree import Element

from cxr_node.audit import codes, elements
from cxr_node.audit.elements import Reporter, Transfer
from cxr_node.audit.event import Event, Group

_RESULT: Final = "ORU^R01"
_CANCEL: Final = "cancel"


def message_sent(group: Group, reporter: Reporter) -> Element:
    """A RIS has taken a message: a result, or that a study is urgent."""
    event = group[-1]
    if event.text("message").startswith(_RESULT):
        root = elements.message(codes.EXPORT, "R", event.time)
    else:
        root = elements.message(codes.ORDER_RECORD, "U", event.time)
    elements.process(root, reporter.ae_title, codes.SOURCE, reporter.host, requestor=True)
    elements.application(root, event.text("destination"), codes.DESTINATION, event.text("host"), requestor=False)
    return _about(root, event, reporter)


def order_received(group: Group, reporter: Reporter) -> Element:
    """A RIS has sent an order, or that it is canceled."""
    event = group[-1]
    root = elements.message(codes.ORDER_RECORD, "D" if event.text("deed") == _CANCEL else "U", event.time)
    return _from_ris(root, event, reporter)


def report_received(group: Group, reporter: Reporter) -> Element:
    """A RIS has sent how far the report of a study is."""
    event = group[-1]
    return _from_ris(elements.message(codes.PROCEDURE_RECORD, "U", event.time), event, reporter)


def patient_changed(group: Group, reporter: Reporter) -> Element:
    """An admission has written of the patient of a study: their number and, of a merge, the one that they had."""
    event = group[-1]
    root = _from_ris(elements.message(codes.PATIENT_RECORD, "U", event.time), event, reporter)
    if event.text("prior_patient_id"):
        elements.patient(root, event.text("prior_patient_id"), event.text("prior_issuer_of_patient_id"))
    return root


def standing(group: Group, reporter: Reporter) -> Element:
    """A study is withdrawn, held or released, by whom, where somebody said so, and why."""
    event = group[-1]
    root = elements.message(codes.PROCEDURE_RECORD, "U", event.time)
    if event.text("reason"):
        elements.describe_outcome(root, event.text("reason"))
    if event.text("by"):
        elements.person(root, event.text("by"), address=event.text("address"))
    elements.process(root, reporter.ae_title, codes.APPLICATION, reporter.host, requestor=not event.text("by"))
    return _about(root, event, reporter)


def workitem(action: str) -> Callable[[Group, Reporter], Element]:
    """Somebody at another system has created a workitem, or changed it."""

    def tell(group: Group, reporter: Reporter) -> Element:
        return _by_a_person(action, group[-1], reporter)

    return tell


def by_a_person_here(event: Event) -> bool:
    """Whether a study was moved at the page or the command line; what other systems do is told as it comes."""
    return "address" in event.detail


def moved(group: Group, reporter: Reporter) -> Element:
    """Somebody at the page or the command line has claimed a study, closed it, or called it urgent."""
    event = group[-1]
    after = event.detail.get("after", {})
    stands = (event.text("cause"), after.get("state"), f"priority {after.get('priority') or 'none'}")
    return _by_a_person("U", event, reporter, {"Worklist": ", ".join(str(each) for each in stands)})


def asked(group: Group, reporter: Reporter) -> Element:
    """Somebody at a hub has asked for a priority: there of which site, at the site what became of it."""
    event = group[-1]
    became = event.text("outcome") or f"asked of {event.text('site')}"
    return _by_a_person("U", event, reporter, {"Worklist": f"priority {event.text('priority') or 'none'}, {became}"})


def _by_a_person(action: str, event: Event, reporter: Reporter, detail: Mapping[str, str] | None = None) -> Element:
    root = elements.message(codes.PROCEDURE_RECORD, action, event.time)
    elements.person(root, event.text("by"), address=event.text("address"))
    elements.process(root, reporter.ae_title, codes.APPLICATION, reporter.host, requestor=False)
    return _about(root, event, reporter, detail)


def _from_ris(root: Element, event: Event, reporter: Reporter) -> Element:
    elements.application(root, event.text("sender"), codes.SOURCE, "", requestor=True)
    elements.process(root, reporter.ae_title, codes.DESTINATION, reporter.host, requestor=False)
    return _about(root, event, reporter)


def _about(root: Element, event: Event, reporter: Reporter, detail: Mapping[str, str] | None = None) -> Element:
    elements.audit_source(root, reporter)
    if event.study:
        elements.study(root, Transfer(event.study, event.text("accession_number"), {}), detail)
    elements.patient(root, event.text("patient_id"), event.text("issuer_of_patient_id"))
    return root
