"""What stands of a study after all that was said of it: a pure function of its films and of the facts that are kept.

Facts are what a person, the RIS, an X-ray machine or an archive has said. They come twice, late, and before the film
that they are about, so nothing here depends on when they came but what is about a moment: what withdraws a study covers
the films that were there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cxr_node.domain.study import EntryState
from cxr_node.errors import Permanent
from cxr_node.message import N_, Message

DISOWNED = Message(
    "its X-ray machine says that the wrong worklist entry was selected: its films may show another patient"
)
CANCELLED = Message("its order was cancelled in the RIS")
MIXED = Message("some of its films were withdrawn, and others were not: a person has to say which are this patient's")
LATE = Message(
    "its order was cancelled in the RIS, but it has films that came later or are of another order: a person has to say "
    "which are to be read"
)


class Rejection(StrEnum):
    """Why instances were rejected: the title of the note (IHE RAD TF-3 4.66; PS3.16 CID 7011), a code of DCM."""

    QUALITY = "113001"
    SAFETY = "113037"
    WRONG_ENTRY = "113038"
    RETENTION = "113039"

    @property
    def sentence(self) -> Message:
        return Message("its films were rejected: {why}", why=Message(_WHY[self]))


_WHY = {
    Rejection.RETENTION: N_("their time of keeping has ended"),
    Rejection.QUALITY: N_("for quality reasons"),
    Rejection.WRONG_ENTRY: N_("incorrect worklist entry selected"),
    Rejection.SAFETY: N_("for patient safety reasons"),
}
"""The gravest last."""


def gravest(titles: Iterable[Rejection]) -> Rejection:
    """Of several notes about the same, in whatever order they came, the one that counts."""
    return max(titles, key=list(_WHY).index, default=Rejection.SAFETY)


class Word(StrEnum):
    """What can be said of a study as a whole."""

    WITHDRAWN = "withdrawn"  # a person takes it back
    RELEASED = "released"  # a person says that what spoke against it does not count
    DISOWNED = "disowned"  # its X-ray machine had the wrong worklist entry, whatever it lists
    CANCELLED = "cancelled"  # its order
    ORDERED = "ordered"


@dataclass(frozen=True, slots=True)
class Spoken:
    """One word of a study, in the order of receipt by `number`.

    `at`: when its sender says it (seconds since 1970 UTC); `films`: the SOP Instance UIDs that it is about, of those
    that were there; `order`: the accession number, of words about an order; `reason`: a sentence, of a withdrawal;
    `grounds`: of a release, the names of those that it says do not count.
    """

    number: int
    word: Word
    at: float
    films: frozenset[str] = frozenset()
    order: str = ""
    reason: str = ""
    grounds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of a study that may take it, or films of it, out of use.

    `films`: SOP Instance UIDs of its films in their present versions; `rejected`: of them, and why; `disowned`: those
    that a step lists which was begun from the wrong worklist entry; `doubts`: by name, sentences that say what
    contradicts what.
    """

    films: frozenset[str]
    rejected: Mapping[str, Rejection] = field(default_factory=dict)
    disowned: frozenset[str] = frozenset()
    spoken: Sequence[Spoken] = ()
    doubts: Mapping[str, str] = field(default_factory=dict)

    @property
    def outcast(self) -> frozenset[str]:
        """The films that do not count."""
        return self.films & (self.rejected.keys() | self.disowned)

    @property
    def left(self) -> frozenset[str]:
        """Those that do."""
        return self.films - self.outcast


@dataclass(frozen=True, slots=True)
class Ground:
    """Why a study does not stand: by what name it can be released, the state that it is put in, a sentence.

    `title`: what a note that rejects its documents is to say.
    """

    name: str
    state: EntryState
    reason: str
    title: Rejection = Rejection.SAFETY

    @property
    def releasable(self) -> bool:
        return self.name != _NOTHING_LEFT


_NOTHING_LEFT = "films"
_COVERED = {
    Word.WITHDRAWN: ("", MIXED, Rejection.SAFETY),
    Word.DISOWNED: (DISOWNED, MIXED, Rejection.WRONG_ENTRY),
    Word.CANCELLED: (CANCELLED, LATE, Rejection.QUALITY),
}
"""By word: what is said where it covers every film, where it does not, and in which title."""


def ground(facts: Facts) -> Ground | None:
    """What decides over a study: None where it stands, else the strongest of what counts, withdrawn before held."""
    counting = standing_grounds(facts)
    return min(counting, key=lambda each: each.state is not EntryState.WITHDRAWN, default=None)


def standing_grounds(facts: Facts) -> list[Ground]:
    """Every ground that nobody has released, in the order in which they are looked at."""
    released = frozenset[str]().union(*(one.grounds for one in facts.spoken if one.word is Word.RELEASED))
    return [each for each in _grounds(facts, released) if each.name not in released or not each.releasable]


def _grounds(facts: Facts, released: frozenset[str]) -> Iterator[Ground]:
    if facts.films and not facts.left:
        yield _nothing_left(facts)
    elif facts.films & facts.disowned:
        name = " ".join(["mixed", *sorted(facts.films & facts.disowned)])
        yield Ground(name, EntryState.HELD, MIXED, Rejection.WRONG_ENTRY)
    effective = [said for said in facts.spoken if said.word in _COVERED and not _ordered_again(said, facts.spoken)]
    cancelled = frozenset[str]().union(
        *(one.films for one in effective if one.word is Word.CANCELLED and _name(one) not in released)
    )
    for said in effective:
        sentence, late, title = _COVERED[said.word]
        covered = facts.left <= (said.films | cancelled if said.word is Word.CANCELLED else said.films)
        state = EntryState.WITHDRAWN if covered else EntryState.HELD
        yield Ground(_name(said), state, (sentence or said.reason) if covered else late, title)
    for name, sentence in sorted(facts.doubts.items()):
        yield Ground(name, EntryState.HELD, sentence, Rejection.SAFETY)


def _name(said: Spoken) -> str:
    return f"{said.word} {said.number}"


def _nothing_left(facts: Facts) -> Ground:
    if facts.films <= facts.disowned:
        return Ground(_NOTHING_LEFT, EntryState.WITHDRAWN, DISOWNED, Rejection.WRONG_ENTRY)
    title = gravest(facts.rejected[uid] for uid in facts.films & facts.rejected.keys())
    return Ground(_NOTHING_LEFT, EntryState.WITHDRAWN, title.sentence, title)


def _ordered_again(said: Spoken, spoken: Sequence[Spoken]) -> bool:
    """Whether an order that was cancelled has been given again since; of words of one moment the later counts.

    A word that names the study alone, and no accession number, is about every order of it.
    """
    return said.word is Word.CANCELLED and any(
        other.word is Word.ORDERED
        and ("" in (other.order, said.order) or other.order == said.order)
        and (other.at, other.number) > (said.at, said.number)
        for other in spoken
    )


def require_releasable(grounds: Sequence[Ground]) -> None:
    """Raises Permanent: STUDY_NOT_HELD where nothing speaks against a study, FILMS_REJECTED where no film is left."""
    if not grounds:
        raise Permanent("STUDY_NOT_HELD", "the study is neither held nor withdrawn")
    if not any(each.releasable for each in grounds):
        raise Permanent("FILMS_REJECTED", "every film of the study was rejected, and none is left to read")
