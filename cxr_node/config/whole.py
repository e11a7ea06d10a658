"""The whole file, and the table [web]: where the pages are, and who may see them."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from cxr_node.config.basis import PemName, Port, Section, distinct, is_loopback, network
from cxr_node.config.corrections import Corrections
from cxr_node.config.hl7 import Hl7
from cxr_node.config.hub import Hub
from cxr_node.config.inference import Inference
from cxr_node.config.model import Model
from cxr_node.config.pair import Pair
from cxr_node.config.sections import (
    Audit,
    Backup,
    Destination,
    Eligibility,
    Log,
    Modality,
    Node,
    Receive,
    Report,
    Retention,
    Study,
    Subscriber,
    Tls,
    Ups,
    Worklist,
)


def _viewer(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write it as https://HOST/PATH, with {study_uid} where the Study Instance UID belongs")
    try:
        url.format(study_uid="1.2", accession_number="A1")
    except (LookupError, ValueError) as error:
        raise ValueError("only {study_uid} and {accession_number} may stand in braces") from error
    return url


class Web(Section):
    """The page, the JSON and the metrics that the node shows over HTTP, and to whom."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Port = 8080
    certificate: PemName | None = None
    key: PemName | None = None
    users: PemName | None = None
    tokens: PemName | None = None
    session_hours: Annotated[float, Field(gt=0, le=168)] = 12.0
    trusted_proxies: tuple[Annotated[str, AfterValidator(network)], ...] = ()
    user_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] = "X-Forwarded-User"
    proxy_role: Literal["viewer", "reader", "admin"] = "viewer"
    stow: bool = False
    viewer_url: Annotated[str, AfterValidator(_viewer)] | None = None

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def open(self) -> bool:
        """Whether it is for everybody who reaches it."""
        return self.users is None and self.tokens is None and not self.trusted_proxies

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together; one of them is missing")
        if self.enabled and not self.loopback and self.users is None and not self.trusted_proxies:
            raise ValueError(
                f"host {self.host} can be reached from other machines: name a file of users (cxr-node user add), or "
                "the trusted_proxies that say who the user is; or leave host at 127.0.0.1"
            )
        return self


class Config(Section):
    """The whole file."""

    node: Node = Node()
    pair: Pair = Pair()
    receive: Receive = Receive()
    tls: Tls = Tls()
    study: Study = Study()
    corrections: Corrections = Corrections()
    eligibility: Eligibility = Eligibility()
    model: Model = Model()
    inference: Inference = Inference()
    report: Report = Report()
    destination: tuple[Destination, ...] = ()
    modality: tuple[Modality, ...] = ()
    worklist: Worklist = Worklist()
    ups: Ups = Ups()
    subscriber: tuple[Subscriber, ...] = ()
    hub: Hub = Hub()
    hl7: Hl7 = Hl7()
    web: Web = Web()
    retention: Retention = Retention()
    backup: Backup = Backup()
    audit: Audit = Audit()
    log: Log = Log()

    @property
    def noted(self) -> frozenset[str]:
        """The destinations that are told by a rejection note what does not stand any more."""
        return frozenset(each.name for each in self.destination if each.rejection_notes)

    @model_validator(mode="after")
    def _hub_or_node(self) -> Self:
        if self.node.role == "node" and self.hub.sites:
            raise ValueError('hub.sites: only a hub has sites; set node.role = "hub", or leave them out')
        if self.node.role == "hub":
            if self.hub.url is not None:
                raise ValueError("hub.url: a hub tells no other hub; leave it out")
            if self.hub.sites and (self.web.tokens is None or not self.ups.enabled or not self.web.enabled):
                raise ValueError(
                    "hub.sites: a site shows by a token of its own who it is: name web.tokens, and leave web and ups "
                    "enabled"
                )
        return self

    @model_validator(mode="after")
    def _a_pool_gives_the_map_of_the_pass(self) -> Self:
        if self.inference.backend == "ray" and self.report.explain != "cam":
            raise ValueError('report.explain: a pool makes no other maps than "cam"; or set inference.backend to torch')
        return self

    @field_validator("destination")
    @classmethod
    def _distinct(cls, destinations: tuple[Destination, ...]) -> tuple[Destination, ...]:
        distinct([destination.name for destination in destinations])
        return destinations

    @model_validator(mode="after")
    def _commitment_is_asked_somewhere(self) -> Self:
        archive = self.receive.storage_commitment
        if archive is not None and archive not in {destination.name for destination in self.destination}:
            raise ValueError(f"receive.storage_commitment: no [[destination]] is named {archive!r}")
        return self

    @model_validator(mode="after")
    def _messages_have_a_certificate(self) -> Self:
        if self.hl7.port is not None and self.hl7.tls and self.tls.certificate is None:
            raise ValueError("hl7.tls: the port shows the certificate of [tls], and there is none")
        if self.hl7.port is not None and self.hl7.tls and self.tls.require_client_certificate and self.tls.ca is None:
            raise ValueError("hl7.tls: tls.ca is missing: it says whose client certificates are trusted")
        return self
