"""The outlines of the map on the film itself, nothing burned in: Grayscale Softcopy Presentation State (PS3.3 A.33.1).

A presentation state replaces the film's own grey-scale transformations, so it repeats them; where the gate found black
and white exchanged, it shows the film as the model saw it.
"""

from typing import Final

from pydicom import Dataset
from pydicom.config import disable_value_validation

from cxr_node.documents import envelope, identity, language
from cxr_node.documents.headers import ImageFacts, image_facts, study_header
from cxr_node.documents.received import Received
from cxr_node.documents.region import Polygon, shown_outlines
from cxr_node.documents.request import Document, Source, StudyReport
from cxr_node.documents.wording import headline
from cxr_node.domain.quality import Flag
from cxr_node.imaging.header import first_item, numbers, text
from cxr_node.imaging.lut import LookupTable, is_inverted, lookup_table

PRESENTATION_STATE: Final = "1.2.840.10008.5.1.4.1.1.11.1"
SERIES_NUMBER: Final = 9904
_LAYER: Final = "AI"
_FUNCTIONS = ("LINEAR_EXACT", "SIGMOID")
_TEXT_LEFT, _TEXT_RIGHT, _TEXT_TOP, _TEXT_BOTTOM = 0.02, 0.6, 0.01, 0.07  # as shares of the displayed area


@disable_value_validation()  # pydicom would quote the values of the film in its warnings
def build_presentation(report: StudyReport, source: Source) -> Document | None:
    """The presentation state of one image; None where the model has nothing to outline in it.

    Raises Permanent as `build_report` does.
    """
    reader, subject = Received(source.header), Received(report.subject.header)
    facts = image_facts(reader)
    parts = shown_outlines(source.analysis, report.profile.cutoffs, facts)
    if source.analysis is None or not parts:
        return None
    dataset = study_header(subject)
    _identify(dataset, report, source)
    envelope.describe(dataset, report)
    del dataset.ContentDate, dataset.ContentTime  # a presentation state has dates of its own instead
    _show(dataset, facts)
    _annotate(dataset, facts, parts, f"{headline(report.profile, source.analysis)}\r\n{_use(report)}")
    _transform(dataset, source.header, inverted=Flag.INVERTED in source.flags)
    return envelope.seal("pr", dataset, (*subject.notes, *reader.notes))


def _use(report: StudyReport) -> str:
    return language.sentence("intended_use." + report.profile.mode, report.profile.language)


def _identify(dataset: Dataset, report: StudyReport, source: Source) -> None:
    """Presentation Series and Presentation State Identification (PS3.3 C.11.9, C.11.10)."""
    said, model = report.profile.language, report.leading.model
    dataset.SOPClassUID = PRESENTATION_STATE
    dataset.SOPInstanceUID = identity.document_uid(report, "pr", PRESENTATION_STATE, source)
    dataset.SeriesInstanceUID = identity.series_uid(report, "pr", PRESENTATION_STATE, dataset.StudyInstanceUID)
    dataset.Modality = "PR"
    dataset.BodyPartExamined = "CHEST"
    dataset.SeriesNumber = SERIES_NUMBER
    dataset.SeriesDescription = language.sentence("series.pr", said, model=model.name)
    dataset.ContentLabel = "AI_OUTLINES"
    dataset.ContentDescription = language.sentence("derivation", said, model=model.name, version=model.version)[:64]
    dataset.ContentCreatorName = ""
    dataset.PresentationCreationDate = report.local_time.strftime("%Y%m%d")
    dataset.PresentationCreationTime = report.local_time.strftime("%H%M%S")


def _image(facts: ImageFacts) -> Dataset:
    image = Dataset()
    image.ReferencedSOPClassUID = facts.sop_class_uid
    image.ReferencedSOPInstanceUID = facts.sop_instance_uid
    return image


def _show(dataset: Dataset, facts: ImageFacts) -> None:
    """Which image, and all of it (PS3.3 C.11.11, C.10.4)."""
    series, area = Dataset(), Dataset()
    series.SeriesInstanceUID = facts.series_instance_uid
    series.ReferencedImageSequence = [_image(facts)]
    dataset.ReferencedSeriesSequence = [series]
    area.ReferencedImageSequence = [_image(facts)]
    area.DisplayedAreaTopLeftHandCorner = [1, 1]
    area.DisplayedAreaBottomRightHandCorner = [facts.columns, facts.rows]
    area.PresentationSizeMode = "SCALE TO FIT"
    if facts.spacing:
        area.PresentationPixelSpacing = [f"{each:.10g}" for each in facts.spacing]
    else:
        area.PresentationPixelAspectRatio = [1, 1]
    dataset.DisplayedAreaSelectionSequence = [area]


def _annotate(dataset: Dataset, facts: ImageFacts, parts: list[Polygon], words: str) -> None:
    """The outlines and the words, in a layer of their own (PS3.3 C.10.5, C.10.7)."""
    layer, annotation = Dataset(), Dataset()
    layer.GraphicLayer = _LAYER
    layer.GraphicLayerOrder = 1
    dataset.GraphicLayerSequence = [layer]
    annotation.ReferencedImageSequence = [_image(facts)]
    annotation.GraphicLayer = _LAYER
    annotation.TextObjectSequence = [_text(words)]
    annotation.GraphicObjectSequence = [_outline(part) for part in parts]
    dataset.GraphicAnnotationSequence = [annotation]


def _text(words: str) -> Dataset:
    item = Dataset()
    item.BoundingBoxAnnotationUnits = "DISPLAY"
    item.UnformattedTextValue = words
    item.BoundingBoxTopLeftHandCorner = [_TEXT_LEFT, _TEXT_TOP]
    item.BoundingBoxBottomRightHandCorner = [_TEXT_RIGHT, _TEXT_BOTTOM]
    item.BoundingBoxTextHorizontalJustification = "LEFT"
    return item


def _outline(part: Polygon) -> Dataset:
    item = Dataset()
    item.GraphicAnnotationUnits = "PIXEL"
    item.GraphicDimensions = 2
    item.NumberOfGraphicPoints = len(part)
    item.GraphicData = [float(each) for each in part.ravel()]
    item.GraphicType = "POLYLINE"
    item.GraphicFilled = "N"
    return item


def _transform(dataset: Dataset, film: Dataset, *, inverted: bool) -> None:
    """The film's own Modality LUT, VOI LUT or window, and sense of grey (PS3.3 C.11.1, C.11.8, C.11.6).

    `inverted`: the gate set black and white right, so the other sense of grey.
    """
    slope, intercept = numbers(film, "RescaleSlope"), numbers(film, "RescaleIntercept")
    if table := lookup_table(first_item(film, "ModalityLUTSequence")):
        item = _lut(table)
        item.ModalityLUTType = "US"
        dataset.ModalityLUTSequence = [item]
    elif slope and intercept and slope[0] != 0:
        dataset.RescaleSlope, dataset.RescaleIntercept = f"{slope[0]:.10g}", f"{intercept[0]:.10g}"
        dataset.RescaleType = "US"
    if voi := _values_of_interest(film):
        image = Dataset()
        image.ReferencedSOPClassUID = film.SOPClassUID
        image.ReferencedSOPInstanceUID = film.SOPInstanceUID
        voi.ReferencedImageSequence = [image]
        dataset.SoftcopyVOILUTSequence = [voi]
    dataset.PresentationLUTShape = "INVERSE" if is_inverted(film) != inverted else "IDENTITY"


def _values_of_interest(film: Dataset) -> Dataset | None:
    """The first VOI LUT, or else the first window; None where the film has neither that can be used."""
    voi = Dataset()
    if table := lookup_table(first_item(film, "VOILUTSequence")):
        voi.VOILUTSequence = [_lut(table)]
        return voi
    centre, width = numbers(film, "WindowCenter"), numbers(film, "WindowWidth")
    if not centre or not width or width[0] < 1:
        return None
    voi.WindowCenter, voi.WindowWidth = f"{centre[0]:.10g}", f"{width[0]:.10g}"
    if (function := text(film, "VOILUTFunction")) in _FUNCTIONS:
        voi.VOILUTFunction = function
    return voi


def _lut(table: LookupTable) -> Dataset:
    """A table as an item of a LUT sequence, 16 bits an entry."""
    item = Dataset()
    bits = int(table.maximum + 1).bit_length() - 1
    item.add_new("LUTDescriptor", "SS" if table.first < 0 else "US", [len(table.data) % 2**16, table.first, bits])
    item.add_new("LUTData", "OW", table.data.astype("<u2").tobytes())
    return item
