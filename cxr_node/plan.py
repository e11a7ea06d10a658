"""What a configuration means: the values that the parts of the node are made from.

With the daemon and the roles this is the composition root, the only place that sees the whole `Config`.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from cxr_node import lease, trust
from cxr_node.config import Config, Destination, Mode
from cxr_node.dimse.commitment import Commitment
from cxr_node.dimse.endpoint import Endpoint
from cxr_node.dimse.sender import Peer
from cxr_node.domain.commitment import Terms
from cxr_node.domain.eligibility import Rules
from cxr_node.domain.outputs import Companion, Taste
from cxr_node.domain.priority import Policy
from cxr_node.domain.study import Judging, Waiting
from cxr_node.errors import ConfigError, Permanent
from cxr_node.inference import gate_manifest as gates
from cxr_node.inference import manifest as models
from cxr_node.inference.gate_manifest import GateManifest
from cxr_node.inference.manifest import Manifest
from cxr_node.lineup import Lineup, by_finding, line_up
from cxr_node.spool import Spool
from cxr_node.stages.ledger import CommitmentLedger
from cxr_node.store import activations
from cxr_node.store.activations import Activation
from cxr_node.store.db import Store

_GIGABYTE = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """A configuration with its model found.

    `activation` is what a person put in service instead of the configuration's model. `lineup` has the models as the
    site reads them.
    """

    config: Config
    lineup: Lineup
    activation: Activation | None = None

    @classmethod
    def of(cls, config: Config, activation: Activation | None = None) -> "Plan":
        """Raises ConfigError when the model in service is not there; one beside it may be missing."""
        return cls(by_finding(config, activation), line_up(config, activation), activation)

    @property
    def manifest(self) -> Manifest:
        """The model in service."""
        return self.lineup.serving

    @property
    def further(self) -> tuple[Manifest, ...]:
        """The models that the report has beside it."""
        return self.lineup.further

    @property
    def shadows(self) -> tuple[Manifest, ...]:
        """The models beside it that have no consequence."""
        return self.lineup.shadows

    @property
    def identity(self) -> str:
        """Which model is in service, and how the site reads it."""
        return f"{self.manifest.digest}{self.manifest.outputs.site_calibration}"

    @classmethod
    def in_service(cls, config: Config) -> "Plan":
        """By what the node's database says of the model, where there is one. Raises as `of`."""
        if not has_database(config):
            return cls.of(config)
        with closing(open_store(config, create=False)) as store, store.reading() as tx:
            found = activations.stack(tx)
        return cls.of(config, found[-1] if found else None)

    def pinned(self) -> Config:
        """The configuration with these models and their versions, whatever may be installed later."""
        pins: dict[str, object] = {"name": self.manifest.name, "version": self.manifest.version}
        pins |= {"further": (*(each.called for each in self.further), *self.lineup.missing)}
        pins |= {"shadow": tuple(each.called for each in self.shadows)}
        return self.config.model_copy(update={"model": self.config.model.model_copy(update=pins)})

    def spool(self) -> Spool:
        return spool_of(self.config)

    def judging(self) -> Judging:
        """Raises ConfigError for a threshold or a prevalence of something that no model finds."""
        for key in ("thresholds", "prevalence"):
            if unknown := sorted(getattr(self.config.model, key).keys() - self._findings(key)):
                raise ConfigError(
                    f"model.{key}: {self.manifest.name} {self.manifest.version} finds {self.manifest.finding!r}, "
                    f"not {', '.join(map(repr, unknown))}, and no other model here does"
                )
        return self.judging_of(self.manifest)

    def judging_of(self, model: Manifest) -> Judging:
        """How this site reads a model: the one in service, or another."""
        tiers, prevalence = self.config.worklist.tiers, self.prevalence_of(model)
        cutoffs = model.cutoffs(
            prevalence=prevalence,
            threshold=self.config.model.thresholds.get(model.finding),
            medium=tiers.get("medium"),
            high=tiers.get("high"),
        )
        notes, doubted, restricted = self.config.noted, self.config.corrections, bool(model.restriction)
        return Judging(model.digest, cutoffs, prevalence, restricted, notes, doubted.hold, doubted.order_days)

    def consulting(self) -> dict[str, Judging | None]:
        """By what people call them: how this site reads the further models; None for one that is not there."""
        found = {f"{each.name} {each.version}": self.judging_of(each) for each in self.further}
        return {**found, **{name.replace(":", " "): None for name in self.lineup.missing}}

    def prevalence_of(self, model: Manifest) -> float | None:
        """The site's prevalence (0..1) of what a model finds, where it states one or has calibrated the model."""
        calibrated = model.outputs.prevalence if model.outputs.site_calibration else None
        return self.config.model.prevalence.get(model.finding, calibrated)

    def _findings(self, key: str) -> set[str]:
        """What models find here; those that serve first, since others are looked at only where that is not enough."""
        serving = {each.finding for each in (self.manifest, *self.further, *self.shadows)}
        if getattr(self.config.model, key).keys() <= serving:
            return serving
        return {each.finding for each in models.list_models(self.config.model.directory)}

    def gate(self) -> GateManifest | None:
        """The gate that looks at the pixels before the model does; None where it is off. Raises ConfigError."""
        name = self.config.model.gate
        return gates.find(self.config.model.directory, name) if name else None

    def waiting(self) -> Waiting:
        study = self.config.study
        return Waiting(study.settle_seconds, study.max_wait_seconds, study.release_settle_seconds)

    def rules(self) -> Rules:
        return Rules(**dict(self.config.eligibility))

    def endpoint(self) -> Endpoint:
        node, receive = self.config.node, self.config.receive
        return Endpoint(
            ae_title=node.ae_title,
            host=receive.host,
            port=receive.port,
            max_associations=receive.max_associations,
            max_pdu=receive.max_pdu,
            timeout=receive.timeout_seconds,
            require_called_ae_title=receive.require_called_ae_title,
            allowed_ae_titles=receive.allowed_ae_titles,
            allowed_networks=receive.allowed_networks,
            tls=trust.listener(self.config),
        )

    def routes(self) -> Mapping[Mode, tuple[str, ...]]:
        """By mode that documents are made in: the destinations that get them. What is made in shadow stays."""
        own = self.config.node.mode
        modes = {destination.mode or own for destination in self.config.destination} or {own}
        return {
            mode: tuple(d.name for d in self.config.destination if (d.mode or own) == mode and mode != "shadow")
            for mode in sorted(modes)
        }

    def first_documents(self) -> Mapping[Mode, str]:
        """By mode: the kind of job that a revision's documents begin with."""
        return {mode: kinds[0] for mode in self.routes() if (kinds := self._documents(mode))}

    def next_documents(self) -> Mapping[tuple[str, str], str]:
        """By mode and kind of job: the kind that the next documents of the same revision come of."""
        found: dict[tuple[str, str], str] = {}
        for mode in self.routes():
            kinds = self._documents(mode)
            found |= {(mode, kind): then for kind, then in pairwise(kinds)}
        return found

    def companions(self) -> Mapping[Mode, tuple[Companion, ...]]:
        """By mode: what is written beside report and heat map. Triage shows no localisation."""
        wanted = self.config.report
        pdf = wanted.pdf or any(destination.pdf for destination in self.config.destination)
        chosen: dict[Companion, bool] = {"pdf": pdf, "pr": wanted.presentation_state, "seg": wanted.segmentation}
        return {
            mode: tuple(kind for kind in chosen if chosen[kind] and (mode != "triage" or kind == "pdf"))
            for mode in self.routes()
        }

    def _documents(self, mode: Mode) -> list[str]:
        """The kinds of jobs that write a revision's documents, in their order. Triage shows no localisation."""
        wanted = self.config.report
        heatmap, companions = mode != "triage" and wanted.heatmap, bool(self.companions()[mode])
        chosen = {"report": wanted.sr, "heatmap": heatmap, "companions": companions}
        return [kind for kind in chosen if chosen[kind]]

    def tastes(self) -> Mapping[str, Taste]:
        """By destination: in which form it takes documents, and which."""
        pdf = self.config.report.pdf
        return {
            d.name: Taste(d.sr_class, d.whole_image_region, pdf if d.pdf is None else d.pdf)
            for d in self.config.destination
        }

    def peers(self) -> Mapping[str, Peer]:
        return peers_of(self.config)

    def terms(self) -> Mapping[str, Terms]:
        """By destination: whether it is to commit to what it was sent."""
        return {d.name: Terms(d.storage_commitment, d.commitment_seconds) for d in self.config.destination}

    def archive(self) -> Peer | None:
        """Who is asked when an X-ray machine asks for storage commitment; None where that is off."""
        return self.peers().get(self.config.receive.storage_commitment or "")

    def commitment(self, store: Store) -> Sequence[Commitment]:
        """The listener's side of storage commitment, where there is use for it."""
        if not self.commits():
            return []
        return [Commitment(self.ledger(store), serving=self.archive() is not None)]

    def commits(self) -> bool:
        """Whether storage commitment is spoken at all."""
        return self.archive() is not None or any(terms.wanted != "off" for terms in self.terms().values())

    def ledger(self, store: Store) -> CommitmentLedger:
        return CommitmentLedger(store, self.waiting(), frozenset(modalities_of(self.config)), time.time)


def spool_of(config: Config) -> Spool:
    return Spool(config.node.data_dir, int(config.retention.watermark_gigabytes * _GIGABYTE))


def announcement(config: Config) -> str:
    """What the mode does to the worklist, and which destinations get documents: theirs goes before the node's."""
    own = config.node.mode
    modes = {destination.name: destination.mode or own for destination in config.destination}
    served = ", ".join(f"{name} ({mode})" for name, mode in modes.items() if mode != "shadow")
    moved = "no study is moved" if own == "shadow" else "studies are moved by what the model finds"
    sent = f"documents are sent to {served}" if served else "nothing is sent"
    told = ", ".join(f"{each.name} ({each.message})" for each in config.worklist.hl7) if own != "shadow" else ""
    also = f"; told by HL7: {told}" if told else ""
    return f"{own}: films are analysed and recorded, {moved}, and {sent}{also}"


def database_of(config: Config) -> Path:
    return config.node.data_dir / "cxr-node.sqlite"


def has_database(config: Config) -> bool:
    """Whether a node has been started here. Raises Permanent where the folder is closed to who asks."""
    path = database_of(config)
    try:
        return path.exists()
    except OSError as error:
        raise Permanent("DATABASE", f"cannot open the database {path}: {error.strerror}") from error


def open_store(config: Config, *, create: bool = True) -> Store:
    """The node's own way to its database; `create=False` for a command beside it, which must find one."""
    if not create:
        lease.require_here(config.node.data_dir, config.pair.name)
    try:
        return Store.open(database_of(config), create=create, guard=lease.guard(config.node.data_dir))
    except Permanent as error:
        place = config.node.data_dir.resolve()
        raise Permanent(error.code, f"{error.message}; node.data_dir is {place}") from error


def peers_of(config: Config) -> Mapping[str, Peer]:
    return {one.name: _peer(config, one) for one in config.destination}


def _peer(config: Config, one: Destination) -> Peer:
    tls = trust.called(config, f"destination.{one.name}", one)
    if one.dicomweb is None:
        return Peer(
            one.name, one.ae_title or "", one.host or "", one.port, idle=one.keep_open_seconds, tls=tls,
            tls_name=one.tls_name,
        )  # fmt: skip
    parts = urlsplit(one.dicomweb)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    authorization = trust.authorization(one)
    return Peer(
        one.name, one.ae_title or "", parts.hostname or "", port, tls=tls, url=one.dicomweb, authorization=authorization
    )


def modalities_of(config: Config) -> Mapping[str, Peer]:
    """By AE title: the X-ray machines that may ask for storage commitment."""
    return {m.ae_title: Peer(m.ae_title, m.ae_title, m.host, m.port) for m in config.modality}


def policy_of(config: Config, *, frozen: bool) -> Policy:
    """In shadow the model moves nothing either."""
    return Policy(config.worklist.max_wait_minutes * 60, frozen=frozen or config.node.mode == "shadow")
