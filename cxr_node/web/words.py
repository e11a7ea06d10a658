"""The languages of the pages: English in the source, the others in gettext catalogues beside it."""

import gettext
import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES: Final = ("en", "es")
LOCALE: Final = Path(__file__).parent / "locale"
NAMES: Final = {"en": "English", "es": "Español"}


def N_(message: str) -> str:
    """Marks a text for the catalogues; it is translated where it is shown."""
    return message


FINDINGS: Final[Mapping[str, str]] = {
    "pneumonia": N_("Pneumonia"),
    "bacterial_pneumonia": N_("Bacterial pneumonia"),
    "viral_pneumonia": N_("Viral pneumonia"),
    "covid19": N_("Suspected COVID-19"),
    "opacity": N_("Opacity"),
    "normal": N_("Normal"),
    "none": N_("None of these"),
}
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
KINDS: Final[Mapping[str, str]] = {"sr": N_("structured report"), "sc": N_("heat map"), "kos": N_("key objects")}
ROLES: Final[Mapping[str, str]] = {"viewer": N_("viewer"), "reader": N_("reader"), "admin": N_("administrator")}
FLAGS: Final[Mapping[str, str]] = {
    "inverted": N_("black and white looked exchanged; analysed and shown the other way round"),
    "turned_90": N_("looks turned by 90 degrees counter-clockwise; analysed as it is"),
    "turned_180": N_("looks upside down; analysed as it is"),
    "turned_270": N_("looks turned by 90 degrees clockwise; analysed as it is"),
    "cropped": N_("part of the chest seems to be missing"),
    "unusual": N_("unlike the films that the quality check was made with"),
    "unsure": N_("not certain to be a frontal chest film"),
}
EVENTS: Final[Mapping[str, str]] = {
    "instance.stored": N_("Film received"),
    "instance.refused": N_("Film not for the model"),
    "instance.analysed": N_("Film analysed"),
    "instance.corrected": N_("Film with a corrected identity"),
    "instance.repeated": N_("Film came again"),
    "instance.quarantined": N_("Film in dispute, kept aside"),
    "worklist.moved": N_("Moved in the worklist"),
    "study.settled": N_("Study complete"),
    "study.unchanged": N_("Late film, nothing new"),
    "study.withdrawn": N_("Study withdrawn"),
    "study.held": N_("Study held"),
    "study.requeued": N_("Tried again"),
    "study.viewed": N_("Looked at"),
    "document.written": N_("Document written"),
    "document.sent": N_("Document sent"),
    "message.written": N_("Message to the RIS written"),
    "message.sent": N_("Message sent to the RIS"),
    "order.received": N_("The RIS has written of the order"),
    "order.applied": N_("An earlier order of the RIS applied"),
    "order.echoed": N_("The RIS repeats our own priority"),
    "report.received": N_("The RIS has written of the report"),
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
    "report": N_("its report is final"),
    "reinstated": N_("ordered again"),
    "withdrawn": N_("withdrawn"),
    "held": N_("held"),
}
REFUSALS: Final[Mapping[str, str]] = {
    "STUDY_CLAIMED": N_("Somebody else is reading this study."),
    "STUDY_NOT_CLAIMED": N_("Nobody has claimed this study."),
    "STUDY_NOT_READ": N_("This study is not marked as read."),
    "STUDY_CLOSED": N_("This study has left the worklist."),
    "STUDY_HELD": N_("This study is held: a person has to say which patient its films show."),
    "STUDY_UNKNOWN": N_("No film of this study has been received."),
    "FORBIDDEN": N_("Your role does not allow this."),
    "FORM_EXPIRED": N_("The page was too old for this. Please try again."),
    "DATABASE_BUSY": N_("The node is busy. Please try again."),
}


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """The texts in a language; read once, from the catalogue as people edit it."""
    path = LOCALE / language / "LC_MESSAGES" / "web.po"
    if language not in LANGUAGES or not path.is_file():
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    with path.open("rb") as stream:
        write_mo(compiled, read_po(stream))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def best(accepted: str | None, otherwise: str) -> str:
    """The language that a browser was told to use, if there is one of that name, else the site's."""
    return accepted if accepted in LANGUAGES else otherwise
