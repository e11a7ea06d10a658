"""Documents about films that never were, built as the node builds its own: what the statement describes."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, dcmwrite

from cxr_node.documents import (
    Document,
    Form,
    Further,
    Lacking,
    Profile,
    Reference,
    Source,
    StudyReport,
    build_heatmap,
    build_key_objects,
    build_pdf,
    build_presentation,
    build_rejection,
    build_report,
    build_segmentation,
)
from cxr_node.domain.correction import Rejection
from cxr_node.domain.finding import Analysis, ModelIdentity
from cxr_node.domain.report_class import REPORT_CLASSES, ReportClass
from cxr_node.inference.manifest import Manifest

_ROWS, _COLUMNS = 64, 48
_MAP = ((0.0, 0.0, 0.0, 0.0), (0.0, 0.2, 1.0, 0.0), (0.0, 0.1, 0.6, 0.0), (0.0, 0.0, 0.0, 0.0))
_DX = "1.2.840.10008.5.1.4.1.1.1.1"


def reports(manifest: Manifest, profile: Profile, sr_class: ReportClass) -> list[Document]:
    """Reports that together have everything that a report can have: of findings, and of none."""
    probability, below = (1 + profile.cutoffs.threshold) / 2, profile.cutoffs.threshold / 2
    before = Reference(REPORT_CLASSES[sr_class], "2.25.1", "2.25.2")
    found = _study(manifest, profile, 1, probability)
    judged = found.sources[0]
    failed = replace(judged, header=_film(3), analysis=None)
    joined = replace(judged, further=(_further(manifest, profile, probability),), lacking=(Lacking("another model"),))
    unplaced = replace(
        judged, header=_film(4), analysis=replace(_analysis(manifest, probability), activation=((0.0,),))
    )
    nothing = _study(manifest, profile, 2, below)
    beside = replace(nothing.sources[0], further=(_further(manifest, profile, below),))
    several = replace(found, sources=(joined, beside, failed, unplaced), revision=2, predecessor=before)
    triage = _study(manifest, replace(profile, mode="triage"), 2, probability)
    return [build_report(one, Form(sr_class)) for one in (several, nothing, triage)]


def pairs(manifest: Manifest, profile: Profile) -> list[tuple[Document, Document]]:
    """Of each kind of document two, about different films of different patients."""
    return list(zip(*(_documents(manifest, profile, number) for number in (1, 2)), strict=True))


def _documents(manifest: Manifest, profile: Profile, number: int) -> list[Document]:
    report = _study(manifest, profile, number, (1 + profile.cutoffs.threshold) / (2 + number / 10))
    picture = np.full((_ROWS * 20, _COLUMNS * 20 * number), 40 * number, dtype=np.uint8)
    return every_kind(report, [build_report(report)], picture)


def every_kind(report: StudyReport, written: Sequence[Document], picture: NDArray[np.uint8]) -> list[Document]:
    """Its reports as they are `written`, then one of each other kind of document, of its first film (`picture`)."""
    source = report.sources[0]
    made = [build_heatmap(report, source, picture), build_pdf(report, source, picture)]
    made += [each for each in (build_presentation(report, source), build_segmentation(report, source)) if each]
    documents = [*written, *made]
    tied = [Reference(one.sop_class_uid, one.sop_instance_uid, one.series_instance_uid) for one in documents]
    given = dcmread(BytesIO(written[0].content))
    note = build_rejection(report, given, tied, Rejection.SAFETY, report.analysed_at)
    return [*documents, build_key_objects(report, tied), note]


def _study(manifest: Manifest, profile: Profile, number: int, probability: float) -> StudyReport:
    when = datetime(2020, number, number, 10 + number, number, number, tzinfo=UTC)
    source = Source(_film(number), f"{number:064x}", when, _analysis(manifest, probability))
    return StudyReport((source,), profile, number, when)


def _further(manifest: Manifest, profile: Profile, probability: float) -> Further:
    """What a model beside the one in service may say."""
    beside = ModelIdentity("another-model", "1.0.0", "a" * 64)
    analysis = replace(_analysis(manifest, probability), model=beside)
    return Further(analysis, profile.cutoffs, profile.prevalence, restricted=True)


def _analysis(manifest: Manifest, probability: float) -> Analysis:
    share = probability / max(1, len(manifest.classes))
    return Analysis(
        model=manifest.identity,
        finding=manifest.finding,
        probability=probability,
        probabilities=dict.fromkeys(manifest.classes, share),
        activation=_MAP,
        terms=manifest.terms,
    )


def _film(number: int) -> Dataset:
    """The header of a film with all that our documents take over."""
    film = Dataset()
    film.SOPClassUID, film.Modality = _DX, "DX"
    film.StudyInstanceUID = f"2.25.{number}"
    film.SeriesInstanceUID, film.SOPInstanceUID = f"2.25.{number}1", f"2.25.{number}11"
    film.PatientName, film.PatientID, film.PatientSex = f"Film^{number}", f"P{number}", "MF"[number % 2]
    film.IssuerOfPatientID, film.PatientBirthDate, film.PatientAge = f"I{number}", f"1970010{number}", f"05{number}Y"
    film.AccessionNumber, film.StudyID, film.StudyDescription = f"A{number}", f"S{number}", f"Chest {number}"
    film.StudyDate, film.StudyTime = f"2020010{number}", f"10000{number}"
    film.ReferringPhysicianName, film.ViewPosition = f"Doctor^{number}", "PA"
    film.Rows, film.Columns, film.ImagerPixelSpacing = _ROWS * number, _COLUMNS * number, [0.1, 0.1]
    film.PatientOrientation = ["L", "F"] if number % 2 else ["R", "F"]
    film.WindowCenter, film.WindowWidth = 2000 + number, 4000 + number
    film.RescaleSlope, film.RescaleIntercept = 1, number
    film.LossyImageCompression, film.PhotometricInterpretation = "00", "MONOCHROME2"
    order = Dataset()
    order.RequestedProcedureID, order.ScheduledProcedureStepID = f"R{number}", f"T{number}"
    film.RequestAttributesSequence = [order]
    buffer = BytesIO()
    dcmwrite(buffer, film, implicit_vr=False, little_endian=True)
    return dcmread(BytesIO(buffer.getvalue()), force=True)  # as a film is read that was received: not decoded yet
