"""The heat map: a Secondary Capture image (PS3.3 A.8.1) of the film with what the model looked at."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.config import disable_value_validation

from cxr_node.documents import codes, envelope, identity, language
from cxr_node.documents.headers import ImageFacts, as_item, image_facts, study_header
from cxr_node.documents.picture import Grey, Legend, Picture, draw
from cxr_node.documents.received import Received
from cxr_node.documents.request import Document, Source, StudyReport
from cxr_node.documents.wording import flagged, lines, positive
from cxr_node.domain.finding import Analysis
from cxr_node.domain.quality import Flag
from cxr_node.imaging.heat import Activation
from cxr_node.locale import Language

SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
SERIES_NUMBER: Final = 9902


@disable_value_validation()  # pydicom would quote the values of the film in its warnings
def build_heatmap(report: StudyReport, source: Source, film: Grey) -> Document:
    """The heat map of one analysed source: `film` is its rendering for the eye (rows x columns, square pixels).

    Raises ValueError when the source was not analysed, and Permanent as `build_report` does.
    """
    if source.analysis is None:
        raise ValueError("a heat map needs a source with an analysis")
    reader, subject = Received(source.header), Received(report.subject.header)
    dataset, facts = study_header(subject), image_facts(reader)
    _identify(dataset, report, source)
    envelope.describe(dataset, report)
    _derive(dataset, facts, report.profile.language)
    legend = _legend(report, source.analysis, source.flags)
    _set_pixels(dataset, draw(film, _shown(report, source.analysis), legend))
    return envelope.seal("sc", dataset, (*subject.notes, *reader.notes))


def _shown(report: StudyReport, analysis: Analysis) -> Activation | None:
    """The map, where it belongs to a finding and is not blank: its colours look the same at any probability."""
    found = positive(analysis, report.profile.cutoffs)
    return analysis.activation if found and np.any(analysis.activation) else None


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


def _derive(dataset: Dataset, facts: ImageFacts, said: Language) -> None:
    """What it was made from, and what it inherits from it (PS3.3 C.7.6.1)."""
    dataset.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    dataset.PatientOrientation = list(facts.orientation or ())
    dataset.BurnedInAnnotation = "YES" if facts.burned_in else "NO"
    image = Dataset()
    image.ReferencedSOPClassUID = facts.sop_class_uid
    image.ReferencedSOPInstanceUID = facts.sop_instance_uid
    image.PurposeOfReferenceCodeSequence = [as_item(language.named(codes.PROCESSED_IMAGE, said))]
    dataset.SourceImageSequence = [image]
    if facts.lossy:
        dataset.LossyImageCompression = facts.lossy
    if facts.lossy_ratios:
        dataset.LossyImageCompressionRatio = [f"{ratio:.6g}" for ratio in facts.lossy_ratios]
    if facts.lossy_methods:
        dataset.LossyImageCompressionMethod = list(facts.lossy_methods)


def _set_pixels(dataset: Dataset, picture: Picture) -> None:
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


def _legend(report: StudyReport, analysis: Analysis, flags: Sequence[Flag]) -> Legend:
    """What is written below the film."""
    said = report.profile.language
    headline, *details = lines(report, analysis, region=_shown(report, analysis) is not None)
    if flags:
        details.append(flagged(flags, said))
    return Legend(
        headline=headline,
        details=tuple(details),
        warning=language.sentence("intended_use." + report.profile.mode, said),
        scale=language.sentence("picture.scale", said),
        low=language.sentence("picture.low", said),
        high=language.sentence("picture.high", said),
    )
