"""Which films the model may judge, from the header alone, as data.

Each refusal has a code and a sentence that names the attribute and its value. What the header does not say is
"unknown", and the site decides what unknown means; what it does say is believed.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cxr_node.domain.instance import Header
from cxr_node.message import Message

FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
PROJECTION_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.1": "Computed Radiography",
    "1.2.840.10008.5.1.4.1.1.1.1": "Digital X-Ray, For Presentation",
    FOR_PROCESSING: "Digital X-Ray, For Processing",
}
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
MAXIMUM_PIXELS = 100_000_000
"""More than this is never decoded, whatever a site lets in; the largest detectors have 20 million."""

# PS3.16 CID 4009 and its retired SNOMED-RT forms.
CHEST_CODES = frozenset({"816094009", "51185008", "T-D3000", "39607008", "T-28000", "416319003", "416550000"})
# PS3.16 CID 4010 and its retired SNOMED-RT forms: antero-posterior, postero-anterior.
FRONTAL_CODES = frozenset({"399348003", "R-10206", "272479007", "R-10214"})


_SYNONYMS = {"POSTEROANTERIOR": "PA", "POSTERIORANTERIOR": "PA", "ANTEROPOSTERIOR": "AP", "ANTERIORPOSTERIOR": "AP"}
_FRONTAL_WORDS = frozenset({"PA", "AP", "FRONTAL", *_SYNONYMS})
_LATERAL_WORDS = frozenset({"LAT", "LATERAL", "LATERALE", "PROFIL", "PERFIL", "SEITLICH"})
_LATERAL_VIEWS = _LATERAL_WORDS | {"LL", "RL"}  # apart from View Position these are a lung, or a leg


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a film is not analysed: a stable code, and a sentence for the reader (a Message)."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What a site lets in; the defaults are those of the configuration.

    `accept_unknown_*`: what a film that does not say is taken for. Ages in years.
    """

    modalities: frozenset[str] = frozenset({"CR", "DX"})
    body_parts: frozenset[str] = frozenset({"CHEST", "THORAX", "TORAX", "LUNG", "LUNGS", "PULMON", "BRUST", "POUMON"})
    views: frozenset[str] = frozenset({"PA", "AP"})
    lateralities: frozenset[str] = frozenset({"U", "B"})
    age: tuple[float, float] | None = None
    secondary_capture: bool = True
    accept_unknown_body_part: bool = True
    accept_unknown_view: bool = True
    accept_unknown_age: bool = True
    minimum_side: int = 200
    maximum_pixels: int = MAXIMUM_PIXELS


def judge(header: Header, rules: Rules) -> Refusal | None:
    """The first rule that refuses the film, or None when the model may judge it."""
    for check in _CHECKS:
        for refusal in check(header, rules):
            return refusal
    return None


def _sop_class(header: Header, rules: Rules) -> Iterator[Refusal]:
    if header.sop_class_uid in PROJECTION_CLASSES:
        return
    if header.sop_class_uid == SECONDARY_CAPTURE and rules.secondary_capture:
        return
    why = Message("SOP Class UID (0008,0016) is {uid}, not an accepted X-ray image class", uid=header.sop_class_uid)
    yield Refusal("SOP_CLASS", why)


def _modality(header: Header, rules: Rules) -> Iterator[Refusal]:
    if header.modality in rules.modalities:
        return
    wanted = _listed(rules.modalities)
    if header.modality:
        why = Message("Modality (0008,0060) is {said!r}, not one of {wanted}", said=header.modality, wanted=wanted)
    else:
        why = Message("Modality (0008,0060) is absent, not one of {wanted}", wanted=wanted)
    yield Refusal("MODALITY", why)


def _origin(header: Header, _: Rules) -> Iterator[Refusal]:
    if len(header.image_type) > 1 and header.image_type[1].upper() == "SECONDARY":
        why = Message("Image Type (0008,0008) value 2 is SECONDARY: made from other images, not by exposure")
        yield Refusal("SECONDARY", why)
    if (header.presentation_intent or "").upper() == "FOR PROCESSING":
        why = Message("Presentation Intent Type (0008,0068) is FOR PROCESSING: only the image that is read is analysed")
        yield Refusal("FOR_PROCESSING", why)
    if header.sop_class_uid == FOR_PROCESSING:
        why = Message(
            "SOP Class UID (0008,0016) is {uid}, For Processing: only the image that is read counts",
            uid=header.sop_class_uid,
        )
        yield Refusal("FOR_PROCESSING", why)


def _species(header: Header, _: Rules) -> Iterator[Refusal]:
    if header.species and header.species not in ("337915000", "L-85B00", "HOMO SAPIENS", "HUMAN"):
        yield Refusal("SPECIES", Message("Patient Species (0010,2201) is {said!r}, not human", said=header.species))


def _body_part(header: Header, rules: Rules) -> Iterator[Refusal]:
    if header.body_part:
        if not any(_names(header.body_part, part) for part in rules.body_parts):
            why = Message(
                "Body Part Examined (0018,0015) is {said!r}, not one of {wanted}",
                said=header.body_part,
                wanted=_listed(rules.body_parts),
            )
            yield Refusal("BODY_PART", why)
    elif header.anatomic_region:
        if header.anatomic_region not in CHEST_CODES:
            why = Message(
                "Anatomic Region Sequence (0008,2218) has code {said!r}, which is not the chest",
                said=header.anatomic_region,
            )
            yield Refusal("BODY_PART", why)
    elif not rules.accept_unknown_body_part:
        why = Message("Body Part Examined (0018,0015) is absent, and the site refuses unknown ones")
        yield Refusal("BODY_PART_UNKNOWN", why)


def _view(header: Header, rules: Rules) -> Iterator[Refusal]:
    if header.view_position:
        said, views = header.view_position, _views(header.view_position)
        if not views & rules.views:
            wanted = _listed(rules.views)
            why = Message("View Position (0018,5101) is {said!r}, not one of {wanted}", said=said, wanted=wanted)
            yield Refusal("VIEW", why)
        elif views & _LATERAL_VIEWS - rules.views:
            why = Message("View Position (0018,5101) is {said!r}, which names a lateral view too", said=said)
            yield Refusal("VIEW", why)
    elif header.view_code:
        if header.view_code not in FRONTAL_CODES:
            why = Message("View Code Sequence (0054,0220) has code {said!r}, not a frontal view", said=header.view_code)
            yield Refusal("VIEW", why)
    elif header.patient_orientation and header.patient_orientation[0][:1].upper() in ("A", "P"):
        why = Message(
            "Patient Orientation (0020,0020) is '{said}': rows run front to back, a lateral view",
            said="\\".join(header.patient_orientation),
        )
        yield Refusal("VIEW", why)
    elif lateral := next((d for d in header.descriptions.items() if _lateral_alone(d[1])), None):
        attribute, said = lateral
        why = Message("no view is coded, and {attribute} is {said!r}", attribute=Message(attribute), said=said)
        yield Refusal("VIEW", why)
    elif not rules.accept_unknown_view:
        why = Message("View Position (0018,5101) is absent, and the site refuses unknown views")
        yield Refusal("VIEW_UNKNOWN", why)


def _laterality(header: Header, rules: Rules) -> Iterator[Refusal]:
    if header.laterality and header.laterality.upper() not in rules.lateralities:
        why = Message(
            "Laterality (0020,0060 or 0020,0062) is {said!r}: one side only, not the whole chest",
            said=header.laterality,
        )
        yield Refusal("LATERALITY", why)


def _age(header: Header, rules: Rules) -> Iterator[Refusal]:
    if rules.age is None:
        return
    low, high = rules.age
    if header.age_years is None:
        if not rules.accept_unknown_age:
            why = Message("Patient's Age (0010,1010) is absent, and the site refuses unknown ages")
            yield Refusal("AGE_UNKNOWN", why)
    elif not low <= header.age_years <= high:
        why = Message(
            "Patient's Age (0010,1010) is outside the {low:g} to {high:g} years that the site analyses",
            low=low,
            high=high,
        )
        yield Refusal("AGE", why)


def _size(header: Header, rules: Rules) -> Iterator[Refusal]:
    if header.rows is None or header.columns is None:
        why = Message("Rows (0028,0010) or Columns (0028,0011) is absent or not a number")
        yield Refusal("NO_SIZE", why)
    elif min(header.rows, header.columns) < rules.minimum_side:
        why = Message(
            "Rows x Columns (0028,0010 x 0028,0011) is {rows} x {columns}; the shorter side needs at least {least}",
            rows=header.rows,
            columns=header.columns,
            least=rules.minimum_side,
        )
        yield Refusal("TOO_FEW_PIXELS", why)
    elif header.rows * header.columns > rules.maximum_pixels:
        why = Message(
            "Rows x Columns (0028,0010 x 0028,0011) is {rows} x {columns}; at most {most} pixels are analysed",
            rows=header.rows,
            columns=header.columns,
            most=rules.maximum_pixels,
        )
        yield Refusal("TOO_MANY_PIXELS", why)


_Check = Callable[[Header, Rules], Iterator[Refusal]]
_CHECKS: tuple[_Check, ...] = (
    _sop_class, _modality, _origin, _species, _body_part, _view, _laterality, _age, _size,
)  # fmt: skip


def _names(text: str, part: str) -> bool:
    """Whether a text names a body part: has all its words, in any script whose letters reduce to Latin ones."""
    return text == part or (bool(_words(part)) and _words(part) <= _words(text))


def _words(text: str) -> frozenset[str]:
    """The words of a text in capitals without accents: "Tórax AP" has TORAX and AP."""
    plain = unicodedata.normalize("NFKD", text.upper()).encode("ascii", "ignore").decode()
    return frozenset(re.findall(r"[A-Z]+", plain))


def _views(text: str) -> frozenset[str]:
    """The views that a View Position names: "AP SUPINE", "Postero-Anterior" and "PA" are all understood."""
    joined = re.sub(r"[^A-Z]", "", text.upper())
    return _words(text) | {_SYNONYMS.get(joined, joined)}


def _lateral_alone(description: str) -> bool:
    """Whether a text names a lateral view and no frontal one: "CHEST PA AND LATERAL" says nothing of a single film."""
    words = _words(description)
    return bool(words & _LATERAL_WORDS) and not words & _FRONTAL_WORDS


def _listed(values: frozenset[str]) -> str:
    return ", ".join(sorted(values))
