"""The heat map: a Secondary Capture image (PS3.3 A.8.1) of the film with what the model looked at."""

from typing import Final

import numpy as np
from pydicom import Dataset

from cxr_node.documents import codes, envelope, identity, language
from cxr_node.documents.headers import ImageFacts, as_item, image_facts, study_header
from cxr_node.documents.picture import Colour, Grey, Legend, draw
from cxr_node.documents.received import Received, put
from cxr_node.documents.request import Document, Source, StudyReport
from cxr_node.documents.wording import finding_code, percent
from cxr_node.domain.finding import Analysis, Tier

SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
SERIES_NUMBER: Final = 9902


def build_heatmap(report: StudyReport, source: Source, film: Grey) -> Document:
    """The heat map of one analysed source: `film` is its rendering for the eye (rows x columns, square pixels).

    Raises ValueError when the source was not analysed, and Permanent as `build_report` does.
    """
    if source.analysis is None:
        raise ValueError("a heat map needs a source with an analysis")
    reader = Received(source.header)
    dataset, facts = study_header(reader), image_facts(reader)
    _identify(dataset, report, source)
    envelope.describe(dataset, report)
    _derive(dataset, facts)
    positive = report.profile.cutoffs.tier(source.analysis.probability) is not Tier.NONE
    seen = source.analysis.activation if positive and np.any(source.analysis.activation) else None
    _set_pixels(dataset, draw(film, seen, _legend(report, source.analysis)))
    return Document(
        kind="sc",
        sop_class_uid=dataset.SOPClassUID,
        sop_instance_uid=dataset.SOPInstanceUID,
        series_instance_uid=dataset.SeriesInstanceUID,
        study_instance_uid=dataset.StudyInstanceUID,
        content=envelope.encode(dataset),
        notes=tuple(reader.notes),
    )


def _identify(dataset: Dataset, report: StudyReport, source: Source) -> None:
    """General Series, SC Equipment and what the picture is (PS3.3 C.7.3.1, C.8.6.1)."""
    dataset.SOPClassUID = SECONDARY_CAPTURE
    dataset.SOPInstanceUID = identity.document_uid(report, "sc", SECONDARY_CAPTURE, source)
    dataset.SeriesInstanceUID = identity.series_uid(report, "sc", SECONDARY_CAPTURE, dataset.StudyInstanceUID)
    dataset.Modality = "OT"
    dataset.ConversionType = "WSD"
    dataset.BodyPartExamined = "CHEST"
    dataset.SeriesNumber = SERIES_NUMBER
    said = report.profile.language
    dataset.SeriesDescription = language.sentence("series.sc", said, model=report.leading.model.name)
    description = language.sentence(
        "derivation", said, model=report.leading.model.name, version=report.leading.model.version
    )
    if report.revision > 1:
        description += ", " + language.sentence("revision", said, number=report.revision)
    dataset.DerivationDescription = description


def _derive(dataset: Dataset, facts: ImageFacts) -> None:
    """What it was made from, and what it inherits from it (PS3.3 C.7.6.1)."""
    dataset.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    dataset.PatientOrientation = list(facts.orientation or ())
    dataset.BurnedInAnnotation = "YES" if facts.burned_in else "NO"
    image = Dataset()
    image.ReferencedSOPClassUID = facts.sop_class_uid
    image.ReferencedSOPInstanceUID = facts.sop_instance_uid
    image.PurposeOfReferenceCodeSequence = [as_item(codes.PROCESSED_IMAGE)]
    dataset.SourceImageSequence = [image]
    dataset.LossyImageCompression = "01" if facts.lossy else "00"
    if facts.lossy_ratios:
        put(dataset, "LossyImageCompressionRatio", list(facts.lossy_ratios))
    if facts.lossy_methods:
        put(dataset, "LossyImageCompressionMethod", list(facts.lossy_methods))


def _set_pixels(dataset: Dataset, picture: Colour) -> None:
    """Image Pixel (PS3.3 C.7.6.3)."""
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = picture.shape
    dataset.PhotometricInterpretation = "RGB"
    dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    pixels = picture.tobytes()
    dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
    dataset["PixelData"].VR = "OB"


def _legend(report: StudyReport, analysis: Analysis) -> Legend:
    """What is written below the film."""
    profile = report.profile

    def say(key: str, **values: object) -> str:
        return language.sentence(key, profile.language, **values)

    def name(finding: str) -> str:
        return language.meaning(finding_code(finding), profile.language)

    positive = profile.cutoffs.tier(analysis.probability) is not Tier.NONE
    verdict = "picture.positive" if positive else "picture.negative"
    model = analysis.model
    details = [say(verdict, threshold=percent(profile.cutoffs.threshold))]
    kinds = [kind for kind in codes.KINDS.get(analysis.finding, ()) if kind in analysis.probabilities]
    if positive and kinds:
        details.append(", ".join(f"{name(kind)} {percent(analysis.probabilities[kind])} %" for kind in kinds))
    built = say("picture.model", model=model.name, version=model.version, digest=model.digest[:8])
    moment = report.local_time.isoformat(sep=" ")
    details.append(
        f"{built}   {moment}" + (f"   {say('revision', number=report.revision)}" if report.revision > 1 else "")
    )
    return Legend(
        headline=f"{name(analysis.finding)} {percent(analysis.probability)} %",
        details=tuple(details),
        warning=say("intended_use." + profile.mode),
        low=say("picture.low"),
        high=say("picture.high"),
        scale=say("picture.scale"),
    )
