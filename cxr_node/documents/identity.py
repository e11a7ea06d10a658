"""UIDs of our documents and of what is in them, from content alone (PS3.5 section 9)."""

import json

from cxr_node.documents.received import Received
from cxr_node.documents.request import Kind, Profile, Source, StudyReport
from cxr_node.domain.finding import ModelIdentity
from cxr_node.domain.uid import derive_uid


def document_uid(report: StudyReport, kind: Kind, sop_class_uid: str, source: Source | None = None) -> str:
    """The SOP Instance UID of a document: of `source` too, where the document is about one image.

    It covers the inputs, what became of them, the models and the render profile. It does not cover the revision, which
    is only shown, nor the patch level of the node.
    """
    inputs = sorted(_input(each) for each in report.sources)
    models = sorted({analysis.model.digest for analysis in report.analyses})
    about = instance_uid(source) if source else ""
    parts = [json.dumps(inputs), json.dumps(models), _render_profile(report.profile), kind, sop_class_uid, about]
    return derive_uid(report.profile.uid_root, ["instance", *parts])


def instance_uid(source: Source) -> str:
    """The SOP Instance UID of the film."""
    return Received(source.header).text("SOPInstanceUID")


def _input(source: Source) -> tuple[str, str, bool, str]:
    return instance_uid(source), source.digest, source.analysis is not None, source.quality or ""


def _render_profile(profile: Profile) -> str:
    cutoffs = profile.cutoffs
    return json.dumps(
        [
            profile.mode,
            profile.language,
            [cutoffs.threshold, cutoffs.medium, cutoffs.high],
            profile.prevalence,
            sorted(profile.triage_category.items()),
            profile.timezone,
            profile.institution,
            profile.station,
            profile.node_version.split(".")[:2],
        ]
    )


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
