"""What every table of the configuration is made of."""

import ipaddress
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

AETitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x21-\x5b\x5d-\x7e][\x20-\x5b\x5d-\x7e]*$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Probability = Annotated[float, Field(gt=0, lt=1)]
PemName = Annotated[str, Field(min_length=1)]
"""A file in PEM: its path, or "credential:NAME" for one that systemd passes to the service."""


class Section(BaseModel):
    """A table of the file: unknown keys and numbers without end are refused, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Called(Section):
    """A peer that the node calls, over TLS or without; `tls_ca` and `tls_name` as in config/cxr-node.toml."""

    tls: bool = False
    tls_ca: PemName | None = None
    tls_name: Annotated[str, Field(min_length=1)] | None = None


class Asked(Called):
    """A peer that is asked by C-FIND: a Modality Worklist or a PACS."""

    ae_title: AETitle
    host: str
    port: Port = 104


def network(text: str) -> str:
    """A network as it is written. Raises ValueError for what is none."""
    ipaddress.ip_network(text)
    return text


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def distinct(names: list[str]) -> None:
    """Raises ValueError where two tables have the same name."""
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"names must differ; repeated: {', '.join(repeated)}")
