"""The words of the pages for what the node knows by name; and in which language they are shown."""

from collections.abc import Mapping
from typing import Final

from cxr_node.locale import LANGUAGES, Language
from cxr_node.message import N_

NAMES: Final[Mapping[Language, str]] = {"en": "English", "es": "Español"}
STATES: Final[Mapping[str, str]] = {
    "waiting": N_("waiting for its result"),
    "analysed": N_("analysed"),
    "not_analysed": N_("not analysed"),
    "held": N_("held"),
    "reading": N_("being read"),
    "read": N_("read"),
    "withdrawn": N_("withdrawn"),
}
GROUPS: Final[Mapping[str, str]] = {
    "stat": N_("STAT"),
    "overdue": N_("overdue"),
    "high": N_("high"),
    "medium": N_("medium"),
    "arrival": N_("by arrival"),
}
PRIORITIES: Final[Mapping[str, str]] = {
    "stat": N_("STAT"),
    "high": N_("high"),
    "routine": N_("routine"),
    "none": N_("none"),
}
DELIVERIES: Final[Mapping[str, str]] = {
    "pending": N_("waiting"),
    "sent": N_("sent"),
    "committed": N_("kept for good"),
    "failed": N_("failed"),
}
MODES: Final[Mapping[str, str]] = {"shadow": N_("shadow"), "triage": N_("triage"), "full": N_("full")}
KINDS: Final[Mapping[str, str]] = {
    "sr": N_("structured report"),
    "sc": N_("heat map"),
    "pdf": N_("report page"),
    "pr": N_("outlines"),
    "seg": N_("region"),
    "ko": N_("key objects"),
    "rn": N_("rejection note"),
}
JOBS: Final[Mapping[str, str]] = {
    "analyse": N_("analyse"),
    "further": N_("judge for the report"),
    "shadow": N_("judge beside"),
    "compare": N_("compare"),
    "settle": N_("settle"),
    "report": N_("report"),
    "heatmap": N_("heat map"),
    "companions": N_("companions"),
    "deliver": N_("deliver"),
    "key_objects": N_("key objects"),
    "reject": N_("take back"),
    "commit": N_("commit"),
    "confirm": N_("confirm"),
    "notify": N_("notify"),
    "announce": N_("write to the RIS"),
    "transmit": N_("send to the RIS"),
    "lookup": N_("ask the RIS"),
    "crosscheck": N_("ask the PACS"),
    "tell": N_("tell subscribers"),
    "inform": N_("inform the hub"),
}
PROCESSES: Final[Mapping[str, str]] = {"loading": N_("loading"), "unavailable": N_("unavailable")}
SOURCES: Final[Mapping[str, str]] = {"film": N_("Film"), "ris": N_("RIS"), "pacs": N_("PACS")}
ROLES: Final[Mapping[str, str]] = {"viewer": N_("viewer"), "reader": N_("reader"), "admin": N_("administrator")}
EVENTS: Final[Mapping[str, str]] = {
    "instance.stored": N_("Film received"),
    "instance.refused": N_("Film not for the model"),
    "instance.analysed": N_("Film analysed"),
    "instance.consulted": N_("Film judged by a further model, for the report"),
    "instance.shadowed": N_("Film judged by another model beside it"),
    "instance.corrected": N_("Film with a corrected identity"),
    "instance.repeated": N_("Film came again"),
    "instance.outdated": N_("Film came again as it was before its correction"),
    "instance.quarantined": N_("Film in dispute, kept aside"),
    "instance.rejected": N_("Film rejected"),
    "note.received": N_("Rejection note received"),
    "documents.rejected": N_("Documents taken back by a note"),
    "worklist.moved": N_("Moved in the worklist"),
    "worklist.overdue": N_("Overdue, and so moved forward in the worklist"),
    "worklist.retimed": N_("Arrival set right, since the clock was set back"),
    "worklist.gathered": N_("Told of by its site"),
    "worklist.asked": N_("Priority asked of its site"),
    "worklist.answered": N_("Priority asked for at the hub"),
    "hub.refused": N_("Not taken by the hub"),
    "study.settled": N_("Study complete"),
    "study.unchanged": N_("Late film, nothing new"),
    "study.not_reported": N_("Nothing to report"),
    "study.identities_differ": N_("Patients differ"),
    "study.deliveries_called_off": N_("Documents called off"),
    "study.withdrawn": N_("Study withdrawn"),
    "study.purged": N_("Files given up: their time here is over"),
    "study.labelled": N_("Final report recorded"),
    "study.held": N_("Study held"),
    "study.identified": N_("Patient or order known otherwise"),
    "patient.changed": N_("An admission has written of the patient"),
    "pacs.answered": N_("The PACS has said whose the study is"),
    "pacs.unanswered": N_("The PACS could not be asked whose the study is"),
    "study.released": N_("Study released"),
    "study.deliveries_resumed": N_("Documents taken up again"),
    "study.requeued": N_("Tried again"),
    "study.viewed": N_("Looked at"),
    "document.written": N_("Document written"),
    "document.sent": N_("Document sent"),
    "document.committed": N_("Document kept for good"),
    "document.found": N_("Document found at the destination"),
    "document.not_kept": N_("Document not kept; it is sent again"),
    "commitment.requested": N_("Storage commitment asked for"),
    "commitment.overdue": N_("Storage commitment overdue"),
    "report.class_refused": N_("Another class of report is sent"),
    "peer.queried": N_("Another system was asked"),
    "step.created": N_("Procedure step begun"),
    "step.completed": N_("Procedure step completed"),
    "step.discontinued": N_("Procedure step discontinued"),
    "message.written": N_("Message to the RIS written"),
    "message.sent": N_("Message sent to the RIS"),
    "order.received": N_("The RIS has written of the order"),
    "order.applied": N_("An earlier order of the RIS applied"),
    "order.echoed": N_("The RIS repeats our own priority"),
    "report.received": N_("The RIS has written of the report"),
    "workitem.created": N_("Reading asked for by another system"),
    "workitem.changed": N_("Workitem changed by another system"),
    "workitem.moved": N_("Workitem moved by another system"),
    "workitem.cancel_requested": N_("Another system asks to end the workitem"),
    "export.made": N_("Exported for training, without the patient"),
    "job.failed": N_("Work failed"),
    "job.skipped": N_("Work left out"),
}
CAUSES: Final[Mapping[str, str]] = {
    "images": N_("by its films"),
    "film": N_("a film came"),
    "claimed": N_("claimed"),
    "released": N_("given back"),
    "read": N_("marked as read"),
    "reopened": N_("reopened"),
    "priority": N_("priority set"),
    "time limit": N_("time limit"),
    "order": N_("priority of the RIS"),
    "hub": N_("priority asked for at the hub"),
    "report": N_("its report is final"),
    "reinstated": N_("stands again"),
    "withdrawn": N_("withdrawn"),
    "held": N_("held"),
}
OUTCOMES: Final[Mapping[str, str]] = {
    "given": N_("given"),
    "decided": N_("not given, since it was decided otherwise here"),
    "closed": N_("not given, since the study was closed"),
}
REFUSALS: Final[Mapping[str, str]] = {
    "STUDY_CLAIMED": N_("Somebody else is reading this study."),
    "STUDY_NOT_CLAIMED": N_("Nobody has claimed this study."),
    "STUDY_NOT_READ": N_("This study is not marked as read."),
    "STUDY_CLOSED": N_("This study has left the worklist."),
    "STUDY_HELD": N_("This study is held: a person has to decide about it first."),
    "STUDY_NOT_HELD": N_("This study is neither held nor withdrawn."),
    "FILMS_REJECTED": N_("Every film of this study was rejected, and none is left to read."),
    "REASON_MISSING": N_("Say why the study is withdrawn, in up to 500 characters."),
    "STUDY_UNKNOWN": N_("No film of this study has been received."),
    "FORBIDDEN": N_("Your role does not allow this."),
    "FORM_EXPIRED": N_("The page was too old for this. Please try again."),
    "FORM_INVALID": N_("What was sent is not understood. Please load the page again."),
    "PICTURE_MISSING": N_("No picture of this film."),
    "AT_SITE": N_("This study is claimed and read at its site."),
    "DATABASE_BUSY": N_("The node is busy. Please try again."),
}


def best(accepted: str | None, otherwise: Language) -> Language:
    """The language that a browser was told to use, if there is one of that name, else the site's."""
    return next((language for language in LANGUAGES if language == accepted), otherwise)
