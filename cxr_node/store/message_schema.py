"""The tables of messages to and from the RIS as migration 9 made them: once released, never edited."""

from sqlite_utils import Database


def create(db: Database) -> None:
    """Messages to the RIS, what it said of orders, and which of its messages were answered.

    A kept order is applied to films that come later; `ordered` is the priority that the RIS last gave a study.
    """
    db.executescript(
        """
        CREATE TABLE message (
            id INTEGER PRIMARY KEY,
            control_id TEXT NOT NULL UNIQUE,
            destination TEXT NOT NULL,
            study_instance_uid TEXT NOT NULL,
            kind TEXT NOT NULL,
            about TEXT NOT NULL,
            content BLOB NOT NULL,
            written_at REAL NOT NULL,
            sent_at REAL,
            answer TEXT,
            said TEXT,
            UNIQUE (destination, study_instance_uid, kind, about)
        );
        CREATE INDEX message_pending ON message (destination) WHERE sent_at IS NULL;
        CREATE INDEX message_study ON message (study_instance_uid);

        CREATE TABLE answered_message (
            sender TEXT NOT NULL,
            control_id TEXT NOT NULL,
            digest TEXT NOT NULL,
            answered_at REAL NOT NULL,
            PRIMARY KEY (sender, control_id)
        );
        CREATE INDEX answered_message_age ON answered_message (answered_at);

        CREATE TABLE kept_order (
            id INTEGER PRIMARY KEY,
            sender TEXT NOT NULL,
            accession_number TEXT NOT NULL,
            study_instance_uid TEXT NOT NULL,
            patients TEXT NOT NULL,
            priority TEXT,
            kept_at REAL NOT NULL,
            UNIQUE (sender, accession_number, study_instance_uid)
        );
        CREATE INDEX kept_order_accession ON kept_order (accession_number);
        CREATE INDEX kept_order_study ON kept_order (study_instance_uid);
        CREATE INDEX kept_order_age ON kept_order (kept_at);

        ALTER TABLE worklist_entry ADD COLUMN ordered TEXT;
        CREATE INDEX worklist_accession ON worklist_entry (accession_number);
        """
    )
