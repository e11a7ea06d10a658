"""The table [corrections]: which contradictions hold a study."""

from typing import Literal

from cxr_node.config.basis import Section


class Corrections(Section):
    """What is to be looked at by a person before anything of a study leaves."""

    hold: frozenset[Literal["patient", "accession"]] = frozenset({"patient", "accession"})
