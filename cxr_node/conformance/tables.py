"""What the node accepts and proposes, and what its documents hold: read from the code that does it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_description, keyword_for_tag
from pydicom.uid import UID

from cxr_node.dimse import services
from cxr_node.dimse.services import Service
from cxr_node.documents import Document
from cxr_node.domain.report_class import REPORT_CLASSES
from cxr_node.plan import Plan


@dataclass(frozen=True, slots=True)
class Item:
    """A content item of a structured report: how deep it stands, by which relationship, of which type, named how."""

    depth: int
    relationship: str
    value_type: str
    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a document; `value` where it is the same in each, else None."""

    tag: str
    name: str
    vr: str
    value: str | None


def accepted(plan: Plan) -> list[Service]:
    """What the listener accepts under this configuration."""
    return services.accepted(
        commits=plan.commits(),
        serving=plan.archive() is not None,
        workitems=plan.config.ups.enabled,
        worklist=plan.config.ups.modality_worklist,
    )


def proposed(plan: Plan, made: Sequence[Document]) -> list[Service]:
    """What the node proposes where it calls under this configuration, with documents such as those `made`."""
    classes = dict.fromkeys([*REPORT_CLASSES.values(), *(document.sop_class_uid for document in made)])
    return services.proposed(
        classes,
        commits=plan.commits(),
        workitems=plan.config.ups.enabled and bool(plan.config.subscriber),
        orders=plan.config.worklist.ris is not None,
        studies=plan.config.corrections.pacs is not None,
    )


def name_of(uid: str) -> str:
    """The name of a SOP class or transfer syntax (PS3.6 annex A)."""
    return UID(uid).name


def read(document: Document) -> Dataset:
    return dcmread(BytesIO(document.content))


def content_items(documents: Sequence[Document]) -> list[Item]:
    """The content items of documents of one kind, each kind of item once, where it first stands."""
    found: dict[tuple[str, ...], Item] = {}
    for document in documents:
        for path, item in _walk(read(document), 0, ()):
            known = found.get(path)
            values = dict.fromkeys([*(known.values if known else ()), *item.values])
            found[path] = Item(item.depth, item.relationship, item.value_type, item.name, tuple(values))
    return list(_ordered(found))


def _ordered(found: dict[tuple[str, ...], Item]) -> Iterator[Item]:
    """Every item after the one that it is part of, and before that one's next neighbour."""

    def under(path: tuple[str, ...]) -> Iterator[Item]:
        for other, item in found.items():
            if len(other) == len(path) + 1 and other[: len(path)] == path:
                yield item
                yield from under(other)

    yield from under(())


def _walk(item: Dataset, depth: int, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Item]]:
    relationship = str(item.get("RelationshipType", ""))
    here = (*path, f"{relationship} {item.ValueType} {_coded(item, 'ConceptNameCodeSequence')}")
    name, value = _coded(item, "ConceptNameCodeSequence"), _coded(item, "ConceptCodeSequence")
    yield here, Item(depth, relationship, str(item.ValueType), name, (value,) if value else ())
    for child in item.get("ContentSequence", []):
        yield from _walk(child, depth + 1, here)


def _coded(item: Dataset, keyword: str) -> str:
    if not (codes := item.get(keyword)):
        return ""
    return f"({codes[0].CodeValue}, {codes[0].CodingSchemeDesignator}, {codes[0].CodeMeaning})"


def attributes(first: Document, second: Document) -> list[Attribute]:
    """The attributes of a document, of which `second` is another one of the same kind about another film."""
    one, other = read(first), read(second)
    return [
        Attribute(
            f"({element.tag.group:04X},{element.tag.element:04X})",
            dictionary_description(element.tag),
            str(element.VR),
            _fixed(one, other, keyword_for_tag(element.tag)),
        )
        for element in one
    ]


def _fixed(one: Dataset, other: Dataset, keyword: str) -> str | None:
    first, second = one[keyword], other.get_item(keyword)
    if second is None or first.VR in ("SQ", "OB", "OW") or str(first.value) != str(other[keyword].value):
        return None
    value = first.value
    if first.VR == "UI":
        return f"{value} ({UID(value).name})"
    return str(value) if isinstance(value, (str, int, float)) else "\\".join(map(str, value))
