"""The tables [hl7] and [[worklist.hl7]]: what comes from the RIS, and what goes to it."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from cxr_node.config.basis import Called, Port, Section, is_loopback, network
from cxr_node.domain.priority import Priority
from cxr_node.hl7.charsets import KNOWN

Name = Annotated[str, Field(max_length=180, pattern=r"^[\x20-\x7e]*$")]
Code = Annotated[str, Field(pattern=r"^[A-Z0-9]{1,8}$")]


def _charset(name: str) -> str:
    if name not in KNOWN:
        raise ValueError(f"not a character set of HL7 table 0211 that is known here: {', '.join(sorted(KNOWN))}")
    return name


Charset = Annotated[str, AfterValidator(_charset)]


class Hl7(Section):
    """Who the node is in messages, and the port on which it takes those of the RIS."""

    host: str = "127.0.0.1"
    port: Port | None = None
    allowed_networks: tuple[Annotated[str, AfterValidator(network)], ...] = ()
    tls: bool = False
    max_connections: Annotated[int, Field(ge=1, le=256)] = 16
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    application: Name = ""
    facility: Name = ""
    assigning_authority: Name = ""
    charset: Charset = "UNICODE UTF-8"
    accession: Annotated[tuple[Literal["IPC-1", "OBR-18", "OBR-3", "OBR-2"], ...], Field(min_length=1)] = (
        "IPC-1",
        "OBR-18",
        "OBR-3",
        "OBR-2",
    )
    priorities: dict[Code, Priority] = {
        "S": Priority.STAT,
        "A": Priority.HIGH,
        "T": Priority.HIGH,
        "P": Priority.ROUTINE,
        "C": Priority.ROUTINE,
        "R": Priority.ROUTINE,
        "PRN": Priority.ROUTINE,
    }
    cancel: frozenset[Code] = frozenset({"CA", "OC", "CR", "DC", "OD", "DR"})
    status: Literal["OBR-25", "OBX-11"] = "OBR-25"
    final: frozenset[Code] = frozenset({"F", "C"})
    reopen: frozenset[Code] = frozenset({"X", "W", "D"})
    labels: dict[Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,40}$")], Literal["positive", "negative"]] = {}

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the port."""
        return is_loopback(self.host)

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.port is not None and not self.loopback and not self.allowed_networks and not self.tls:
            raise ValueError(
                f"host {self.host} can be reached from other machines, and whoever sends messages moves and closes "
                'studies: name allowed_networks, such as ["10.1.2.3/32"], or set tls = true'
            )
        return self

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if both := sorted(self.final & self.reopen):
            raise ValueError(f"{', '.join(both)} cannot both close a study (final) and open it again (reopen)")
        return self


class Hl7Peer(Called):
    """A RIS that is told of results, or of priorities."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    host: str
    port: Port = 2575
    message: Literal["ORU", "OMI", "ORM"] = "ORU"
    application: Name = ""
    facility: Name = ""
    charset: Charset = "UNICODE UTF-8"
    accession: Literal["IPC-1", "OBR-18", "OBR-3", "OBR-2"] = "OBR-18"
    order_control: Code = "XO"
    priorities: dict[Literal["high", "medium"], Code] = {"high": "A"}
    on_error: Literal["hold", "retry"] = "hold"
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0

    @field_validator("priorities")
    @classmethod
    def _some(cls, priorities: dict[str, str]) -> dict[str, str]:
        if not priorities:
            raise ValueError('name at least one tier, such as { high = "A" }')
        return priorities

    @model_validator(mode="after")
    def _accession_has_a_place(self) -> Self:
        if self.message == "ORU" and self.accession in ("IPC-1", "OBR-3"):
            raise ValueError(
                f"accession: ORU^R01 has no place {self.accession} for it: OBR-3 is the number of our own result, and "
                "IPC is no part of it; use OBR-18 or OBR-2"
            )
        if self.message == "ORM" and self.accession == "IPC-1":
            raise ValueError("accession: ORM^O01 has no IPC; use OBR-18, OBR-3 or OBR-2")
        return self
