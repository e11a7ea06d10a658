"""The table [corrections]: which contradictions hold a study, and who is asked about it."""

from typing import Annotated

from pydantic import Field

from cxr_node.config.basis import Asked, Section
from cxr_node.domain.doubt import About


class Corrections(Section):
    """What is to be looked at by a person before anything of a study leaves."""

    hold: frozenset[About] = frozenset({"patient", "accession", "date"})
    order_days: Annotated[int, Field(ge=0, le=3650)] = 30
    pacs: Asked | None = None
