"""The tables of the Unified Procedure Step service as migration 8 made them: once released, never edited."""

from sqlite_utils import Database

from cxr_node.domain.workitem import uid_of

_STANDING = {"reading": "IN PROGRESS", "read": "COMPLETED", "withdrawn": "CANCELED"}


def create(db: Database) -> None:
    """Workitems, who wants to hear of them, and what they are still to be told.

    A workitem of the node's own has no `creator`. Each study of before gets its first one.
    """
    db.executescript(
        """
        CREATE TABLE workitem (
            sequence INTEGER PRIMARY KEY,
            uid TEXT NOT NULL UNIQUE,
            study_instance_uid TEXT,
            accession_number TEXT,
            state TEXT NOT NULL,
            transaction_uid TEXT,
            performer TEXT,
            creator TEXT,
            said TEXT NOT NULL DEFAULT '{}',
            created_at REAL NOT NULL,
            changed_at REAL NOT NULL
        );
        CREATE INDEX workitem_study ON workitem (study_instance_uid);
        CREATE INDEX workitem_accession ON workitem (accession_number) WHERE creator IS NOT NULL;
        CREATE INDEX workitem_final ON workitem (changed_at) WHERE state IN ('COMPLETED', 'CANCELED');

        CREATE TABLE subscription (
            receiver TEXT NOT NULL,
            workitem TEXT NOT NULL,
            called INTEGER NOT NULL,
            wanted INTEGER NOT NULL,
            locked INTEGER NOT NULL,
            filter TEXT,
            through INTEGER,
            PRIMARY KEY (receiver, workitem)
        );
        CREATE INDEX subscription_workitem ON subscription (workitem);

        CREATE TABLE workitem_report (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            receiver TEXT NOT NULL,
            workitem TEXT NOT NULL,
            event INTEGER NOT NULL,
            information TEXT NOT NULL,
            made_at REAL NOT NULL
        );
        CREATE INDEX workitem_report_receiver ON workitem_report (receiver, sequence);
        """
    )
    for row in list(db.query("SELECT study_instance_uid, state, received_at, state_since FROM worklist_entry")):
        study, since = row["study_instance_uid"], row["state_since"] or row["received_at"]
        db.execute(
            "INSERT INTO workitem (uid, study_instance_uid, state, created_at, changed_at) VALUES (?, ?, ?, ?, ?)",
            (uid_of(study, 1), study, _STANDING.get(row["state"], "SCHEDULED"), row["received_at"], since),
        )
