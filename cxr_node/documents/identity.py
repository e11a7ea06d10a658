"""UIDs of our documents and of what is in them, from content alone (PS3.5 section 9)."""

import hashlib
import json

from cxr_node.documents.received import Received
from cxr_node.documents.request import Kind, Profile, Source, StudyReport
from cxr_node.domain.finding import Analysis, Cutoffs, ModelIdentity
from cxr_node.domain.uid import derive_uid


def document_uid(
    report: StudyReport, kind: Kind, sop_class_uid: str, source: Source | None = None, variant: str = ""
) -> str:
    """The SOP Instance UID of a document: of `source` too, where the document is about one image.

    It covers the inputs, what the models said of each and the render profile, and in which `variant` of its kind it is
    written. It does not cover the revision, which is only shown, nor the patch level of the node; but where an earlier
    revision was made from the same, this one's documents are others (`again`).
    """
    inputs = sorted(json.dumps(_input(each)) for each in report.sources)
    about = instance_uid(source) if source else ""
    parts = [json.dumps(inputs), _render_profile(report.profile), kind, sop_class_uid, about]
    parts += [variant] if variant else []
    parts += [f"again {report.again}"] if report.again else []
    parts += [f"identity {json.dumps(dict(report.identity), sort_keys=True)}"] if report.identity else []
    return derive_uid(report.profile.uid_root, ["instance", *parts])


def instance_uid(source: Source) -> str:
    """The SOP Instance UID of the film."""
    return Received(source.header).text("SOPInstanceUID")


def _input(source: Source) -> list[object]:
    judged: object = _judgement(source.analysis) if source.analysis else source.failure or source.pending
    further = [
        [*_judgement(one.analysis), *_cutoffs(one.cutoffs), one.prevalence, one.restricted] for one in source.further
    ]
    lacking = [[one.model, one.reason] for one in source.lacking]
    return [instance_uid(source), source.digest, source.quality, list(source.flags), judged, *further, *lacking]


def _judgement(analysis: Analysis) -> list[object]:
    activation = hashlib.sha256(json.dumps(analysis.activation).encode()).hexdigest()
    outputs = [analysis.finding, analysis.probability, sorted(analysis.probabilities.items())]
    judged = [analysis.model.digest, *outputs, analysis.explanation, activation]
    return [*judged, analysis.calibration] if analysis.calibration else judged


def _cutoffs(cutoffs: Cutoffs) -> list[float]:
    return [cutoffs.threshold, cutoffs.medium, cutoffs.high]


def _render_profile(profile: Profile) -> str:
    stated = [
        profile.mode,
        profile.language,
        _cutoffs(profile.cutoffs),
        profile.prevalence,
        sorted(profile.triage_category.items()),
        profile.timezone,
        profile.institution,
        profile.station,
        profile.node_version.split(".")[:2],
    ]
    return json.dumps([*stated, "restricted"] if profile.restricted else stated)


def series_uid(report: StudyReport, kind: Kind, sop_class_uid: str, study_uid: str) -> str:
    """The series that this kind of document of this model goes into, whatever the revision."""
    parts = ["series", study_uid, kind, sop_class_uid, report.leading.model.name]
    return derive_uid(report.profile.uid_root, parts)


def device_uid(root: str, model: ModelIdentity) -> str:
    """The observer: another one for every build of the model."""
    return derive_uid(root, ["device", model.name, model.digest])


def tracking_uid(root: str, model: ModelIdentity, subject_uid: str, what: str) -> str:
    """What is observed (`what`) in an image or a study (`subject_uid`); the same in every revision."""
    return derive_uid(root, ["tracking", model.name, subject_uid, what])
