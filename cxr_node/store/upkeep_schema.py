"""What migration 13 made for those who run the node: once released, never edited."""

from sqlite_utils import Database


def create(db: Database) -> None:
    """The X-ray machine of each instance and when its file was given up; counts; what the pixels of a film are
    like; what final reports say; and what was taken in of before.

    Of instances of before only who sent them is known, so that stands for the machine.
    """
    db.executescript(
        """
        ALTER TABLE instance ADD COLUMN machine TEXT NOT NULL DEFAULT '';
        ALTER TABLE instance ADD COLUMN purged_at REAL;
        UPDATE instance SET machine = calling_ae_title;
        CREATE INDEX instance_machine ON instance (machine, received_at);
        CREATE INDEX instance_received ON instance (received_at);

        CREATE TABLE tally (
            metric TEXT NOT NULL,
            label TEXT NOT NULL,
            value REAL NOT NULL,
            PRIMARY KEY (metric, label)
        ) WITHOUT ROWID;

        CREATE TABLE film_measure (
            instance_digest TEXT PRIMARY KEY,
            mean REAL NOT NULL,
            deviation REAL NOT NULL
        ) WITHOUT ROWID;

        CREATE TABLE truth (
            study_instance_uid TEXT PRIMARY KEY,
            positive INTEGER NOT NULL,
            said_by TEXT NOT NULL,
            said_at REAL NOT NULL
        ) WITHOUT ROWID;

        CREATE TABLE prior (
            study_instance_uid TEXT PRIMARY KEY,
            reported INTEGER NOT NULL,
            expected INTEGER NOT NULL
        ) WITHOUT ROWID;

        CREATE TABLE backfill (
            source TEXT NOT NULL,
            item TEXT NOT NULL,
            state TEXT NOT NULL,
            reason TEXT,
            at REAL NOT NULL,
            PRIMARY KEY (source, item)
        ) WITHOUT ROWID;
        """
    )
