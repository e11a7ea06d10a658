"""The image library of the report (PS3.16 TID 1600 to 1603): the images that were looked at, analysed or not."""

from collections.abc import Sequence
from dataclasses import dataclass

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.sr.coding import Code

from cxr_node.documents import codes
from cxr_node.documents.headers import ImageFacts
from cxr_node.documents.request import Source

_CONTEXT = RelationshipTypeValues.HAS_ACQ_CONTEXT


@dataclass(frozen=True, slots=True)
class Image:
    """An image of the report: what was given, what its header says, and its number in the report, from 1."""

    source: Source
    facts: ImageFacts
    number: int


def image_library(images: Sequence[Image]) -> ContainerContentItem:
    """The images in their order, in one group."""
    group = _container(codes.IMAGE_LIBRARY_GROUP, [_entry(image.facts) for image in images])
    return _container(codes.IMAGE_LIBRARY, [group])


def _container(name: Code, items: Sequence[ContentItem]) -> ContainerContentItem:
    container = ContainerContentItem(name=name, relationship_type=RelationshipTypeValues.CONTAINS)
    container.ContentSequence = ContentSequence(items)
    return container


def _entry(facts: ImageFacts) -> ImageContentItem:
    """One image, with what is known of it."""
    entry = ImageContentItem(
        name=codes.SOURCE,
        referenced_sop_class_uid=facts.sop_class_uid,
        referenced_sop_instance_uid=facts.sop_instance_uid,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
    entry.ContentSequence = ContentSequence([*_kind(facts), *_geometry(facts)])
    return entry


def _kind(facts: ImageFacts) -> list[ContentItem]:
    coded = [(codes.MODALITY, codes.MODALITIES.get(facts.modality)), (codes.IMAGE_VIEW, codes.VIEWS.get(facts.view))]
    return [CodeContentItem(name, value, _CONTEXT) for name, value in coded if value]


def _geometry(facts: ImageFacts) -> list[ContentItem]:
    items: list[ContentItem] = []
    for name, count in ((codes.PIXEL_ROWS, facts.rows), (codes.PIXEL_COLUMNS, facts.columns)):
        if count is not None:
            item = NumContentItem(name, count, codes.PIXELS, relationship_type=_CONTEXT)
            item.MeasuredValueSequence[0].NumericValue = str(count)  # highdicom writes 1024 as "1024.0"
            items.append(item)
    if facts.orientation:
        names = (codes.ORIENTATION_ROW, codes.ORIENTATION_COLUMN)
        items += [TextContentItem(*each, _CONTEXT) for each in zip(names, facts.orientation, strict=True)]
    if facts.spacing:
        names = (codes.SPACING_VERTICAL, codes.SPACING_HORIZONTAL)
        for name, value in zip(names, facts.spacing, strict=True):
            items.append(NumContentItem(name, value, codes.MILLIMETRE, relationship_type=_CONTEXT))
    return items
