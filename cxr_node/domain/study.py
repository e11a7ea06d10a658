"""What a study stands for, judged from its images: its place in the worklist, and whether documents are due."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cxr_node.domain.doubt import About
from cxr_node.domain.finding import Cutoffs, Tier
from cxr_node.message import Message


class EntryState(StrEnum):
    """States of a worklist entry."""

    WAITING = "waiting"
    ANALYSED = "analysed"
    NOT_ANALYSED = "not_analysed"
    HELD = "held"
    READING = "reading"
    READ = "read"
    WITHDRAWN = "withdrawn"

    @property
    def withheld(self) -> bool:
        """Whether no documents are made, because a person has to look first."""
        return self in (EntryState.HELD, EntryState.WITHDRAWN)


@dataclass(frozen=True, slots=True)
class Image:
    """One current image of a study: refused by its header, judged, failed, or (none of these) still being analysed.

    `refusal` and `failure` are sentences for the reader; `probability` is 0..1. `asked`: the model in service judged
    it, tried to, or is about to; else only another one may have.
    """

    digest: str
    sop_instance_uid: str
    refusal: str | None = None
    failure: str | None = None
    probability: float | None = None
    finding: str | None = None
    asked: bool = True

    @property
    def pending(self) -> bool:
        return self.refusal is None and self.failure is None and self.probability is None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a study stands: contract of `worklist --json`."""

    state: EntryState
    tier: Tier = Tier.NONE
    positive: bool = False
    finding: str | None = None
    probability: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Judging:
    """Under which model and cut-offs studies are judged.

    `prevalence` (0..1) is the site's of the model's finding, where it states one. `restricted`: its training films do
    not allow every use. `notes`: the destinations that are told by a rejection note which documents do not stand any
    more; `hold`: which contradictions hold a study; `order_days`: how many days it may be made from when it was
    planned. None of these says how a model is read.
    """

    model_digest: str
    cutoffs: Cutoffs
    prevalence: float | None = None
    restricted: bool = False
    notes: frozenset[str] = field(default=frozenset(), compare=False)
    hold: frozenset[About] = field(default=frozenset(), compare=False)
    order_days: int = field(default=30, compare=False)


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long documents wait for films of a study, in seconds."""

    settle: float
    maximum: float
    after_release: float | None = None


def assess(images: Sequence[Image], cutoffs: Cutoffs, shown: Tier = Tier.NONE) -> Standing:
    """The standing of a study: that of its most severe image.

    A tier that was shown is not lowered by later films or results (`shown`); only a person lowers it.
    """
    if not images:
        return Standing(EntryState.NOT_ANALYSED, reason=Message("its films were filed under another study"))
    judged = [image for image in images if image.probability is not None]
    if not judged:
        if any(image.pending for image in images):
            return Standing(EntryState.WAITING, tier=shown)
        reason = next((image.failure for image in images if image.failure), None) or images[0].refusal
        return Standing(EntryState.NOT_ANALYSED, tier=shown, reason=reason)
    worst = max(judged, key=lambda image: image.probability or 0.0)
    probability = worst.probability or 0.0
    positive = cutoffs.positive(probability)
    tier = min(cutoffs.tier(probability), shown, key=lambda t: t.rank)
    return Standing(EntryState.ANALYSED, tier, positive, worst.finding if positive else None, probability)


@dataclass(frozen=True, slots=True)
class Consulted:
    """What came of the images of a study under a model that is not in service, when the study was reported.

    `model` is what people call it, `judging` how it was read; None where it was not to be had. `judged`: the SOP
    Instance UIDs of the images that it judged; `lacking`: of those that it was to judge and had not, why (None: it had
    not finished). `positive`: it found something in one of them. It moves nothing.
    """

    model: str
    judging: Judging | None
    judged: frozenset[str] = frozenset()
    lacking: Mapping[str, str | None] = field(default_factory=dict)
    positive: bool = False


def consult(model: str, judging: Judging | None, images: Sequence[Image]) -> Consulted:
    """What came of `images`, as a further model judged them; without `judging` it is not to be had for any."""
    if judging is None:
        missing = Message("the model is not there")
        return Consulted(model, None, lacking={image.sop_instance_uid: missing for image in images})
    judged = [image for image in images if image.probability is not None]
    lacking = {image.sop_instance_uid: image.failure for image in images if image.probability is None}
    positive = any(judging.cutoffs.positive(image.probability or 0.0) for image in judged)
    return Consulted(model, judging, frozenset(image.sop_instance_uid for image in judged), lacking, positive)


@dataclass(frozen=True, slots=True)
class Revision:
    """What documents were made from (`images`: digest by SOP Instance UID) and what was concluded.

    `pending`: the SOP Instance UIDs of those that were still being analysed; `failures`: of those that were not
    analysed, why. `consulted`: what further models had said. `again`: the number of this revision, where an earlier one
    was made from the same; its documents are others all the same. Else 0. `identity`: by keyword, what they say in the
    place of what the films say.
    """

    number: int
    images: dict[str, str]
    tier: Tier
    positive: bool
    pending: frozenset[str] = frozenset()
    failures: Mapping[str, str] = field(default_factory=dict)
    consulted: tuple[Consulted, ...] = ()
    again: int = 0
    identity: Mapping[str, str] = field(default_factory=dict)

    def corrects(self, earlier: "Revision") -> bool:
        """Whether identity or order are others: those that are known, or those of a film that has another version."""
        return self.identity != earlier.identity or any(
            earlier.images.get(uid, digest) != digest for uid, digest in self.images.items()
        )


def revision_due(
    previous: Revision | None,
    images: Sequence[Image],
    cutoffs: Cutoffs,
    consulted: Sequence[Consulted] = (),
    identity: Mapping[str, str] | None = None,
) -> bool:
    """Whether documents are to be made: the first time anything was judged, and later only for a change that matters.

    A late image, or one that was pending, matters if it was judged and changes the result or the tier (Law 5), or
    whether a further model finds something; a corrected version of an image that was reported matters always, because
    its identity stands in the documents, and so does one that was filed under another study since. `identity`: as in
    `Revision`, what is known now; it is to stand in the documents, too.
    """
    judged = [image for image in images if image.probability is not None]
    if not judged:
        return False
    if previous is None:
        return True
    left = previous.images.keys() - {image.sop_instance_uid for image in images}
    corrected = (
        bool(left)
        or previous.identity != (identity or {})
        or any(previous.images.get(image.sop_instance_uid, image.digest) != image.digest for image in judged)
    )
    now, then = assess(judged, cutoffs), {one.judging: one.positive for one in previous.consulted if one.judging}
    corrected |= any(then.get(one.judging, one.positive) != one.positive for one in consulted if one.judging)
    return corrected or now.positive != previous.positive or now.tier.rank < previous.tier.rank
