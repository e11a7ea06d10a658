"""The note that documents of ours do not stand any more (IHE RAD TF-3 4.66): a Key Object Selection of TID 2010."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentSequence,
    RelationshipTypeValues,
)
from pydicom import Dataset
from pydicom.config import disable_value_validation

from cxr_node.documents import codes, envelope, identity, language
from cxr_node.documents.headers import study_header
from cxr_node.documents.keys import KEY_OBJECTS, selected, without_names
from cxr_node.documents.observers import observers
from cxr_node.documents.received import Received, put
from cxr_node.documents.references import Reference, evidence
from cxr_node.documents.request import Document, StudyReport
from cxr_node.domain.uid import derive_uid

SERIES_NUMBER: Final = 9907


@disable_value_validation()  # pydicom would quote the values of the document in its warnings
def build_rejection(
    report: StudyReport, given: Dataset, documents: Sequence[Reference], title: str, rejected_at: datetime
) -> Document:
    """The note about `documents` of a report.

    `given`: the header of one of them, as it was delivered: the note goes to the patient and study that they are filed
    under, whatever is known of that since. `title`: a code of `codes.REJECTIONS`; `rejected_at` (aware): when it came
    out that they do not stand, a stored fact.
    """
    reader, at = Received(given), replace(report, analysed_at=rejected_at)
    dataset = study_header(reader)
    uids = sorted(each.sop_instance_uid for each in documents)
    root, study = report.profile.uid_root, dataset.StudyInstanceUID
    dataset.SOPClassUID = KEY_OBJECTS
    dataset.SOPInstanceUID = derive_uid(root, ["instance", "rn", title, at.local_time.isoformat(), *uids])
    dataset.SeriesInstanceUID = identity.series_uid(report, "rn", KEY_OBJECTS, study)
    dataset.Modality = "KO"
    dataset.SeriesNumber = SERIES_NUMBER
    model = report.leading.model.name
    dataset.SeriesDescription = language.sentence("series.rn", report.profile.language, model=model)
    dataset.ReferencedPerformedProcedureStepSequence = []
    envelope.describe(dataset, at)
    dataset.update(_content(report, documents, title))
    dataset.CurrentRequestedProcedureEvidenceSequence = [evidence(study, documents)]
    if orders := reader.items("ReferencedRequestSequence"):
        put(dataset, "ReferencedRequestSequence", [item.copy() for item in orders])
    return envelope.seal("rn", dataset, reader.notes)


def _content(report: StudyReport, documents: Sequence[Reference], title: str) -> Dataset:
    said = report.profile.language
    root = ContainerContentItem(name=codes.REJECTIONS[title], template_id="2010")
    root.ContentSequence = ContentSequence(
        [
            CodeContentItem(codes.LANGUAGE, codes.LANGUAGES[said], RelationshipTypeValues.HAS_CONCEPT_MOD),
            *observers(report.profile, [report.leading.model]),
            *(selected(each) for each in documents),
        ]
    )
    without_names(root)
    language.translate(root, said)
    return root
