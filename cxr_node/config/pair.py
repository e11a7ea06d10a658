"""The table [pair]: two nodes for one hospital."""

from typing import Annotated

from pydantic import Field

from cxr_node.config.basis import Section


class Pair(Section):
    """Which of two nodes with the same data folder this is, and for how long one counts as working."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] | None = None
    lease_seconds: Annotated[float, Field(ge=2, le=300)] = 15.0
