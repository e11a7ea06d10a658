"""Where the listener stands and who may call."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`timeout` in seconds, for every wait; `max_pdu` in bytes; with `tls` the listener takes nothing else."""

    ae_title: str
    host: str
    port: int
    max_associations: int
    max_pdu: int
    timeout: float
    require_called_ae_title: bool = False
    allowed_ae_titles: Sequence[str] = ()
    allowed_networks: Sequence[str] = ()
    tls: ssl.SSLContext | None = None
