"""What [hl7] and [[worklist.hl7]] mean: who is told what, how the RIS writes, and who may send."""

import ipaddress
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

import cxr_node
from cxr_node import trust
from cxr_node.config import Config, Hl7Peer
from cxr_node.domain.finding import Tier
from cxr_node.domain.priority import Priority
from cxr_node.hl7.inbound import Terms
from cxr_node.hl7.mllp import Peer
from cxr_node.hl7.outbound import Ours, Recipient
from cxr_node.hl7.server import Gate
from cxr_node.stages.transmit import OnError


def active(config: Config) -> Sequence[Hl7Peer]:
    """Who is told anything; in shadow nobody is."""
    return () if config.node.mode == "shadow" else config.worklist.hl7


def informed(config: Config) -> Sequence[str]:
    """Who is told the result of each study."""
    return [each.name for each in active(config) if each.message == "ORU"]


def asked(config: Config) -> Mapping[Tier, Sequence[str]]:
    """By tier: who is asked for a priority."""
    asking = [each for each in active(config) if each.message != "ORU"]
    return {tier: [each.name for each in asking if tier.value in each.priorities] for tier in (Tier.HIGH, Tier.MEDIUM)}


def peers(config: Config) -> Mapping[str, Peer]:
    """By name: where messages go to. With a mode of shadow nothing is sent, whatever still waits."""
    return {
        each.name: Peer(
            each.name, each.host, each.port, each.timeout_seconds,
            tls=trust.called(config, f"worklist.hl7.{each.name}", each), tls_name=each.tls_name,
        )
        for each in active(config)
    }  # fmt: skip


def on_error(config: Config) -> Mapping[str, OnError]:
    return {each.name: each.on_error for each in active(config)}


def recipients(config: Config) -> Mapping[str, Recipient]:
    return {
        each.name: Recipient(
            each.name, each.message, each.application, each.facility, each.charset, each.accession, each.order_control,
            {Tier(tier): code for tier, code in each.priorities.items()},
        )
        for each in active(config)
    }  # fmt: skip


def ours(config: Config) -> Ours:
    return Ours(
        config.hl7.application or config.node.ae_title,
        config.hl7.facility or config.node.institution,
        config.hl7.assigning_authority,
        ZoneInfo(config.node.timezone),
    )


def device(config: Config) -> tuple[str, str]:
    """Who observes (OBX-18): this node, and its release."""
    return config.node.ae_title, f"cxr_node {cxr_node.__version__}"


def terms(config: Config) -> Terms:
    hl7 = config.hl7
    return Terms(
        accession=hl7.accession,
        priorities={code: Priority(priority) for code, priority in hl7.priorities.items()},
        cancel=hl7.cancel,
        status=hl7.status,
        final=hl7.final,
        reopen=hl7.reopen,
        labels={code: said == "positive" for code, said in hl7.labels.items()},
    )


def gate(config: Config) -> Gate:
    """Raises ConfigError for TLS files that cannot be used."""
    hl7 = config.hl7
    return Gate(
        networks=[ipaddress.ip_network(text) for text in hl7.allowed_networks],
        tls=trust.messages(config),
        most=hl7.max_connections,
        timeout=hl7.timeout_seconds,
    )
