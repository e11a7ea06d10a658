"""What contradicts what about a study: its films each other, or the RIS its films."""

import json
from collections.abc import Mapping

from cxr_node.domain.correction import Word
from cxr_node.domain.doubt import Claim, doubts
from cxr_node.domain.patient import Identifier
from cxr_node.domain.study import Judging
from cxr_node.store import identities
from cxr_node.store.db import Row, Tx


def of_study(tx: Tx, study: str, judging: Judging) -> Mapping[str, str]:
    """By name, a sentence for each doubt for which the site wants studies held; none where no film is left."""
    if not judging.hold:
        return {}
    patients = identities.patients(tx, study)
    said, identity = identities.known(tx, study)
    accession = identity.get("AccessionNumber", said.accession)
    found = doubts(patients, accession, _claims(tx, study, accession))
    return {doubt.name: doubt.sentence for doubt in found if doubt.about in judging.hold}


def _claims(tx: Tx, study: str, accession: str) -> list[Claim]:
    """What the RIS says of orders of the study, by its UID or its accession number; of each order its newest word."""
    rows = tx.rows(
        """
        SELECT * FROM correction WHERE kind = :ordered AND study_instance_uid = :study
        UNION SELECT * FROM correction WHERE kind = :ordered AND message = :study
        UNION SELECT * FROM correction WHERE kind = :ordered AND subject = :accession AND subject != ''
        ORDER BY said_at, id
        """,
        {"ordered": Word.ORDERED, "study": study, "accession": accession},
    )
    newest = {(row["source"], row["subject"]): _claim(row, study) for row in rows}
    return list(newest.values())


def _claim(row: Row, study: str) -> Claim:
    pairs = json.loads(row["detail"]).get("patients", ())
    return Claim(str(row["subject"]), tuple(Identifier(*pair) for pair in pairs), by_uid=row["message"] == study)
