"""What a document is made from, and what comes back: plain values, checked once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo

from pydicom import Dataset

from cxr_node.documents.references import Reference
from cxr_node.domain.finding import Analysis, Cutoffs, ModelIdentity, Tier
from cxr_node.domain.quality import Flag
from cxr_node.domain.report_class import ReportClass
from cxr_node.locale import Language

Mode = Literal["shadow", "triage", "full"]
Quality = Literal["diagnostic", "limited", "non-diagnostic"]
Kind = Literal["sr", "sc", "pdf", "pr", "seg", "ko", "rn"]

UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Further:
    """What a model that is not in service says of the same image; it sets no tier.

    It is read by its own cut-offs, and by the site's `prevalence` of what it finds. `restricted`: as in `Profile`.
    """

    analysis: Analysis
    cutoffs: Cutoffs
    prevalence: float | None = None
    restricted: bool = False


@dataclass(frozen=True, slots=True)
class Lacking:
    """A further model (by its name for people) that says nothing of an image; without a reason it had not finished."""

    model: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """How a destination takes the report.

    `whole_image`: every group has a region, that of the whole film where there is no localisation, for viewers that
    show nothing of a report of which one group has none.
    """

    sr_class: ReportClass = "comprehensive_3d"
    whole_image: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """One image of the study.

    `header` is the film's own data set without its pixels, as received: it may break the standard. `digest` is the
    data-set digest (hex) of those bytes. `received_at` is aware. `analysis` is None where the film was eligible and
    the analysis failed (`failure` says why), or (`pending`) was not finished when the study settled. `quality` is
    stated in the report only where it is known; `flags` are what the gate says of the pixels, each a comment.
    `further`: what other models say, each in a group of its own; `lacking`: those that should have, and did not.
    `corrected`: it came again with another patient or order, and this is what it says since.
    """

    header: Dataset
    digest: str
    received_at: datetime
    analysis: Analysis | None
    quality: Quality | None = None
    failure: str | None = None
    pending: bool = False
    flags: tuple[Flag, ...] = ()
    further: tuple[Further, ...] = ()
    lacking: tuple[Lacking, ...] = ()
    corrected: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """How a site wants its documents.

    `prevalence` (0..1, or None) is that of the site, where it has set it: only then is the model's output called a
    probability. `triage_category` gives the ACR actionable finding category of a tier: 2 (hours) or 3 (days); a tier
    that it does not name states none. `timezone` is an IANA name; None means UTC. `node_version` is major.minor.patch.
    `restricted`: the films that the model in service learned from do not allow every use, and the documents say so.

    Raises ValueError for any other category (1, minutes, never follows from a probability alone), for a prevalence
    outside 0..1, and ZoneInfoNotFoundError (a KeyError) for a time zone that is not known.
    """

    mode: Mode
    language: Language
    cutoffs: Cutoffs
    prevalence: float | None
    triage_category: Mapping[Tier, int]
    timezone: str | None
    uid_root: str
    institution: str
    station: str
    node_version: str
    restricted: bool = False

    def __post_init__(self) -> None:
        if not set(self.triage_category.values()) <= {2, 3}:
            raise ValueError("a triage category is 2 (hours) or 3 (days); category 1 never follows from a probability")
        if self.prevalence is not None and not 0 <= self.prevalence <= 1:
            raise ValueError(f"a prevalence is a fraction from 0 to 1, not {self.prevalence}")
        _ = self.zone

    @property
    def zone(self) -> tzinfo:
        return ZoneInfo(self.timezone) if self.timezone else UTC


@dataclass(frozen=True, slots=True)
class StudyReport:
    """One revision of one study: all that its documents say.

    `revision` counts from 1. `analysed_at` (aware) is when the newest of the analyses was made: a stored fact, and
    every time in the documents comes from it. `predecessor` is the report that a revision follows; `corrected`:
    since then patient or order of a film were corrected. `again`, `identity`: as in `Revision`; the headers of the
    sources say the latter already. The sources are of one study; whose patient and order it has, `subject` says.

    Raises ValueError without an analysed source, with a revision below 1 or with a naive time.
    """

    sources: tuple[Source, ...]
    profile: Profile
    revision: int
    analysed_at: datetime
    predecessor: Reference | None = None
    corrected: bool = False
    again: int = 0
    identity: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not any(source.analysis for source in self.sources):
            raise ValueError("a report needs at least one source with an analysis")
        if self.revision < 1:
            raise ValueError(f"revisions count from 1, not {self.revision}")
        if self.analysed_at.tzinfo is None:
            raise ValueError("analysed_at needs a time zone")

    @property
    def analyses(self) -> tuple[Analysis, ...]:
        return tuple(source.analysis for source in self.sources if source.analysis)

    @property
    def leading(self) -> Analysis:
        """The analysis with the highest probability, the first of equals: it sets the tier of the study."""
        return max(self.analyses, key=lambda analysis: analysis.probability)

    @property
    def leading_source(self) -> Source:
        """The image that `leading` is of."""
        return next(source for source in self.sources if source.analysis is self.leading)

    @property
    def subject(self) -> Source:
        """The image whose patient, study and order all documents have: the last to be corrected, else the first."""
        corrected = [source for source in self.sources if source.corrected]
        return max(corrected, key=lambda source: source.received_at, default=self.sources[0])

    @property
    def further_models(self) -> tuple[ModelIdentity, ...]:
        """The models beside the one in service that judged an image, in the order of their names."""
        models = {one.analysis.model for source in self.sources for one in source.further}
        return tuple(sorted(models, key=lambda model: (model.name, model.version, model.digest)))

    @property
    def local_time(self) -> datetime:
        """When it was analysed, by the clock of the site, to the second."""
        return self.analysed_at.astimezone(self.profile.zone).replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Document:
    """A DICOM Part 10 file, ready for the outbox.

    `notes` say what in the sources' headers was mended or left out; they name attributes, never values.
    """

    kind: Kind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    content: bytes
    notes: tuple[str, ...]
