"""The tables of the configuration: every key with its default and its limits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, field_validator, model_validator

from cxr_node.config.basis import AETitle, Asked, Called, PemName, Port, Probability, Section, distinct, network
from cxr_node.config.hl7 import Hl7Peer
from cxr_node.domain.eligibility import MAXIMUM_PIXELS, Rules
from cxr_node.domain.report_class import ReportClass

Seconds = Annotated[float, Field(ge=0, le=86400)]
Mode = Literal["shadow", "triage", "full"]

_RULES = Rules()


def _receiver(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("tls", "tcp") or not parts.hostname or parts.path or parts.query or "@" in parts.netloc:
        raise ValueError("write it as tls://HOST:PORT, or tcp://HOST:PORT for a receiver on this machine")
    if parts.port is None:  # raises ValueError itself for what is no port
        raise ValueError("the port is missing; for syslog over TLS it is usually 6514")
    return url


def _dicomweb(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or "@" in parts.netloc:
        raise ValueError(
            "write it as https://HOST/PATH, what stands before /studies; a login is dicomweb_authorization"
        )
    return url


class Node(Section):
    """Who the node is, what it may do, and where its state lives."""

    ae_title: AETitle = "CXR_NODE"
    data_dir: Path = Path("var")
    language: Literal["en", "es"] = "en"
    mode: Mode = "shadow"
    timezone: str = "UTC"
    uid_root: Annotated[str, Field(pattern=r"^[0-2](\.(0|[1-9][0-9]*))+$", max_length=33)] = "2.25"
    institution: Annotated[str, Field(max_length=64)] = ""
    station: Annotated[str, Field(max_length=16)] = ""
    role: Literal["node", "hub"] = "node"

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is not a time zone name such as 'Europe/Madrid'") from error
        return name


class Receive(Section):
    """The listener: where it stands, who may call, and its limits."""

    host: str = "127.0.0.1"
    port: Port = 11112
    max_associations: Annotated[int, Field(ge=1, le=1000)] = 64
    max_pdu: Annotated[int, Field(ge=16384, le=4194304)] = 131072
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    require_called_ae_title: bool = False
    allowed_ae_titles: tuple[AETitle, ...] = ()
    allowed_networks: tuple[Annotated[str, AfterValidator(network)], ...] = ()
    storage_commitment: str | None = None
    commitment_wait_seconds: Seconds = 3600.0
    charset_override: dict[AETitle, Annotated[str, Field(pattern=r"^(ISO_IR [0-9]+|GB18030|GBK)$")]] = {}


class Tls(Section):
    """Who the node is to peers that speak TLS, and whom it trusts."""

    certificate: PemName | None = None
    key: PemName | None = None
    ca: PemName | None = None
    require_client_certificate: bool = True
    listener: bool = True

    @property
    def listens(self) -> bool:
        """Whether the listener takes TLS, and nothing else."""
        return self.certificate is not None and self.listener

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together; one of them is missing")
        if self.listens and self.require_client_certificate and self.ca is None:
            raise ValueError(
                "ca is missing: it says whose client certificates are trusted; to let callers in without "
                "one, set require_client_certificate = false"
            )
        return self


class Study(Section):
    """When a study counts as complete. The worklist never waits for it."""

    settle_seconds: Seconds = 120.0
    release_settle_seconds: Seconds | None = None
    max_wait_seconds: Seconds = 600.0


class Eligibility(Section):
    """Which films the model may judge."""

    modalities: frozenset[str] = _RULES.modalities
    body_parts: frozenset[str] = _RULES.body_parts
    views: frozenset[str] = _RULES.views
    lateralities: frozenset[str] = _RULES.lateralities
    age: tuple[float, float] | None = _RULES.age
    secondary_capture: bool = _RULES.secondary_capture
    accept_unknown_body_part: bool = _RULES.accept_unknown_body_part
    accept_unknown_view: bool = _RULES.accept_unknown_view
    accept_unknown_age: bool = _RULES.accept_unknown_age
    minimum_side: Annotated[int, Field(ge=32)] = _RULES.minimum_side
    maximum_pixels: Annotated[int, Field(ge=10_000, le=MAXIMUM_PIXELS)] = _RULES.maximum_pixels

    @field_validator("modalities", "body_parts", "views", "lateralities")
    @classmethod
    def _upper(cls, values: frozenset[str]) -> frozenset[str]:
        return frozenset(value.strip().upper() for value in values)

    @field_validator("age")
    @classmethod
    def _ordered(cls, age: tuple[float, float] | None) -> tuple[float, float] | None:
        if age is not None and age[0] > age[1]:
            raise ValueError("the lower age comes first")
        return age


class Report(Section):
    """What is written for a study."""

    sr: bool = True
    heatmap: bool = True
    pdf: bool = False
    presentation_state: bool = False
    segmentation: bool = False
    key_objects: bool | Literal["promoted"] = False
    explain: Literal["cam", "gradcam", "occlusion"] = "cam"
    triage_category: dict[Literal["high", "medium"], Literal[2, 3]] = {"high": 2, "medium": 3}


class Destination(Called):
    """A peer that stores what the node writes."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    ae_title: AETitle | None = None
    host: str | None = None
    port: Port = 104
    dicomweb: Annotated[str, AfterValidator(_dicomweb)] | None = None
    dicomweb_authorization: PemName | None = None
    mode: Mode | None = None
    storage_commitment: Literal["auto", "on", "off"] = "auto"
    sr_class: ReportClass = "comprehensive_3d"
    whole_image_region: bool = False
    pdf: bool | None = None
    rejection_notes: bool = False
    commitment_seconds: Annotated[float, Field(gt=0, le=86400)] = 600.0
    keep_open_seconds: Annotated[float, Field(ge=0, le=20)] = 2.0

    @model_validator(mode="after")
    def _reached_one_way(self) -> Self:
        if self.dicomweb is None and (self.ae_title is None or self.host is None):
            raise ValueError("ae_title and host are missing (or dicomweb, for a destination that is reached by HTTP)")
        if self.dicomweb is not None and self.storage_commitment == "on":
            raise ValueError('storage_commitment = "on": DICOMweb has none; "auto" looks each document up')
        return self


class Modality(Section):
    """An X-ray machine that may ask for storage commitment, and where it takes the report."""

    ae_title: AETitle
    host: str
    port: Port = 104


class Ups(Section):
    """Workitems for the reading of studies: the Unified Procedure Step service, by DIMSE and by HTTP."""

    enabled: bool = True
    keep_hours: Annotated[float, Field(gt=0)] = 24.0
    modality_worklist: bool = False


class Subscriber(Called):
    """A system that is called with what happens to workitems."""

    ae_title: AETitle
    host: str
    port: Port = 104


REPEATED: Mapping[str, type[Section]] = {
    "destination": Destination,
    "modality": Modality,
    "subscriber": Subscriber,
    "worklist.hl7": Hl7Peer,
}
"""The tables that may be repeated."""


class Worklist(Section):
    """The reading order."""

    ris: Asked | None = None

    tiers: dict[Literal["high", "medium"], Probability] = {}
    max_wait_minutes: Annotated[float, Field(gt=0)] = 120.0
    read_after_hours: Annotated[float, Field(gt=0)] | None = None
    hl7: tuple[Hl7Peer, ...] = ()

    @field_validator("hl7")
    @classmethod
    def _distinct(cls, peers: tuple[Hl7Peer, ...]) -> tuple[Hl7Peer, ...]:
        distinct([peer.name for peer in peers])
        return peers

    @field_validator("tiers")
    @classmethod
    def _ordered(cls, tiers: dict[str, float]) -> dict[str, float]:
        if "high" in tiers and "medium" in tiers and tiers["high"] < tiers["medium"]:
            raise ValueError("high must not be below medium")
        return tiers


class Retention(Section):
    """How long what is final stays here, and how much disk is kept free."""

    watermark_gigabytes: Annotated[float, Field(ge=0)] = 1.0
    days: Annotated[float, Field(gt=0)] | None = None
    max_gigabytes: Annotated[float, Field(gt=0)] | None = None
    keep: Literal["nothing", "documents"] = "documents"


class Backup(Section):
    """Copies of the database that the node makes by itself."""

    hours: Annotated[float, Field(ge=0)] = 24.0
    keep: Annotated[int, Field(ge=1, le=1000)] = 3
    folder: Path | None = None


class Log(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
    file: Path | None = None


class Audit(Section):
    """Where the audit trail is carried to; nowhere, unless it is said."""

    syslog: Annotated[str, AfterValidator(_receiver)] | None = None
    ca: PemName | None = None
    file: Path | None = None

    @property
    def over_tls(self) -> bool:
        return self.syslog is not None and urlsplit(self.syslog).scheme == "tls"
