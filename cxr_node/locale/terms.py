"""Terms that pages and documents share, by the names that the node has for them."""

from collections.abc import Mapping
from typing import Final

from cxr_node.message import N_

FINDINGS: Final[Mapping[str, str]] = {
    "pneumonia": N_("Pneumonia"),
    "bacterial_pneumonia": N_("Bacterial pneumonia"),
    "viral_pneumonia": N_("Viral pneumonia"),
    "covid19": N_("Suspected COVID-19"),
    "opacity": N_("Opacity"),
    "normal": N_("Normal"),
    "none": N_("None of these"),
}
FLAGS: Final[Mapping[str, str]] = {
    "inverted": N_("black and white looked exchanged; analysed and shown the other way round"),
    "turned_90": N_("looks turned by 90 degrees counter-clockwise; analysed as it is"),
    "turned_180": N_("looks upside down; analysed as it is"),
    "turned_270": N_("looks turned by 90 degrees clockwise; analysed as it is"),
    "cropped": N_("part of the chest seems to be missing"),
    "unusual": N_("unlike the films that the quality check was made with"),
    "unsure": N_("not certain to be a frontal chest film"),
}
