"""The documents that the node wrote, for those who search and retrieve them."""

from dataclasses import dataclass

from cxr_node.store.db import Tx


@dataclass(frozen=True, slots=True)
class Output:
    """A document, and where its file is, relative to the spool."""

    study: str
    series: str
    instance: str
    path: str


def newest(tx: Tx, study: str | None, series: str | None, instance: str | None, limit: int) -> list[Output]:
    """Those of a study, a series, an instance, or any; the newest first."""
    rows = tx.rows(
        """
        SELECT study_instance_uid, series_instance_uid, sop_instance_uid, path FROM document
        WHERE study_instance_uid = coalesce(?, study_instance_uid)
            AND series_instance_uid = coalesce(?, series_instance_uid)
            AND sop_instance_uid = coalesce(?, sop_instance_uid)
        ORDER BY written_at DESC, rowid DESC LIMIT ?
        """,
        (study, series, instance, limit),
    )
    return [
        Output(row["study_instance_uid"], row["series_instance_uid"], row["sop_instance_uid"], row["path"])
        for row in rows
    ]
