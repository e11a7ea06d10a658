"""The report as a page: an Encapsulated PDF (PS3.3 A.45.1)."""

from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.config import disable_value_validation

from cxr_node.documents import codes, envelope, identity, language
from cxr_node.documents.headers import as_item, image_facts, study_header
from cxr_node.documents.library import Image
from cxr_node.documents.page import Bar, Page, draw_page, printable
from cxr_node.documents.picture import Grey, Picture, enlarged, overlay
from cxr_node.documents.received import Received
from cxr_node.documents.remarks import judgements, remarks, result
from cxr_node.documents.request import Document, Source, StudyReport
from cxr_node.documents.wording import figures, flagged, lines, positive
from cxr_node.domain.finding import Analysis

ENCAPSULATED_PDF: Final = "1.2.840.10008.5.1.4.1.1.104.1"
SERIES_NUMBER: Final = 9903


@disable_value_validation()  # pydicom would quote the values of the film in its warnings
def build_pdf(report: StudyReport, source: Source, film: Grey) -> Document:
    """The page about one analysed source: `film` is its rendering for the eye (rows x columns, square pixels).

    In triage mode it has no map. Raises ValueError when the source was not analysed, and Permanent as `build_report`
    does.
    """
    if source.analysis is None:
        raise ValueError("a page needs a source with an analysis")
    subject = Received(report.subject.header)
    dataset = study_header(subject)
    _identify(dataset, report, source)
    envelope.describe(dataset, report)
    content = draw_page(_page(report, source.analysis, subject, film))
    dataset.EncapsulatedDocumentLength = len(content)
    dataset.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    return envelope.seal("pdf", dataset, subject.notes)


def _identify(dataset: Dataset, report: StudyReport, source: Source) -> None:
    """Encapsulated Document Series and Encapsulated Document (PS3.3 C.24.1, C.24.2)."""
    said, facts = report.profile.language, image_facts(Received(source.header))
    dataset.SOPClassUID = ENCAPSULATED_PDF
    dataset.SOPInstanceUID = identity.document_uid(report, "pdf", ENCAPSULATED_PDF, source)
    dataset.SeriesInstanceUID = identity.series_uid(report, "pdf", ENCAPSULATED_PDF, dataset.StudyInstanceUID)
    dataset.Modality = "DOC"
    dataset.ConversionType = "WSD"
    dataset.SeriesNumber = SERIES_NUMBER
    title = language.sentence("series.pdf", said, model=report.leading.model.name)
    dataset.SeriesDescription = dataset.DocumentTitle = title
    dataset.AcquisitionDateTime = ""
    dataset.BurnedInAnnotation = "YES"
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.ConceptNameCodeSequence = [as_item(language.named(codes.TEXT_REPORT, said))]
    origin = Dataset()
    origin.ReferencedSOPClassUID, origin.ReferencedSOPInstanceUID = facts.sop_class_uid, facts.sop_instance_uid
    dataset.SourceInstanceSequence = [origin]


def _page(report: StudyReport, analysis: Analysis, subject: Received, film: Grey) -> Page:
    profile, said = report.profile, report.profile.language
    pictures = _pictures(report, analysis, film)
    headline, *details = lines(report, analysis, region=len(pictures) > 1)
    details += [flagged(report.leading_source.flags, said)] if report.leading_source.flags else []
    findings = (analysis.finding, *analysis.terms.kinds, *analysis.terms.others)  # and no word of what is normal
    images = [
        Image(source, image_facts(Received(source.header)), number)
        for number, source in enumerate(report.sources, start=1)
    ]
    judged = judgements(report, images)
    beside = [one for one in judged if one.analysis is not analysis]
    return Page(
        title=language.sentence("series.pdf", said, model=analysis.model.name),
        identity=_identity(report, subject),
        headline=headline,
        details=tuple(details),
        pictures=pictures,
        bars=tuple(Bar(name, f"{number} %", share) for name, number, share in figures(profile, analysis, findings)),
        remarks=(*map(result, beside), *remarks(report, images, judged)),
        more=language.template("page.more", said),
        warning=language.sentence("intended_use." + profile.mode, said),
        language=said,
    )


def _identity(report: StudyReport, subject: Received) -> tuple[str, ...]:
    """Who and which study; what the fonts of the page cannot show is left to the header of the object."""
    name = printable(subject.text("PatientName").split("=")[0].replace("^", " ").strip())
    known = {
        "page.patient": " ".join(part for part in (name, printable(subject.text("PatientID"))) if part),
        "page.accession": printable(subject.text("AccessionNumber")),
        "page.institution": printable(report.profile.institution),
    }
    said = report.profile.language
    return tuple(language.sentence(key, said, value=value) for key, value in known.items() if value)


def _pictures(report: StudyReport, analysis: Analysis, film: Grey) -> tuple[tuple[str, Picture], ...]:
    said = report.profile.language
    grey = enlarged(film)
    shown = [(language.sentence("page.film", said), grey)]
    if report.profile.mode != "triage" and positive(analysis, report.profile.cutoffs) and np.any(analysis.activation):
        shown.append((language.sentence("picture.scale", said), overlay(grey, analysis.activation)))
    return tuple(shown)
