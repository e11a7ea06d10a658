"""The schema, from version 1. A migration that has been released is never edited: a new one follows it."""

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from cxr_node.store import correction_schema, message_schema, spine_schema, upkeep_schema, workitem_schema

migrations = Migrations("cxr_node")


@migrations()
def m001_spine(db: Database) -> None:
    """Everything between an acknowledged instance and a delivered document. Times are seconds since 1970 UTC."""
    spine_schema.create(db)


@migrations()
def m002_terms(db: Database) -> None:
    """A result says what its outputs are called; before, there was one model, whose finding divides into two kinds."""
    before = '{"kinds": ["bacterial_pneumonia", "viral_pneumonia"], "others": [], "codes": {}}'
    db.executescript(f"ALTER TABLE result ADD COLUMN terms TEXT NOT NULL DEFAULT '{before}'")


@migrations()
def m003_service(db: Database) -> None:
    """Several models: a result keeps the network's logits, a revision how its model's outputs were read."""
    db.executescript(
        """
        ALTER TABLE result ADD COLUMN logits TEXT NOT NULL DEFAULT '[]';
        CREATE INDEX result_model ON result (model_digest);
        ALTER TABLE study_revision ADD COLUMN judging TEXT;
        """
    )


@migrations()
def m004_site_calibration(db: Database) -> None:
    """A result says by which calibration of the site it was read; empty where the model was read as released."""
    db.executescript("ALTER TABLE result ADD COLUMN calibration TEXT NOT NULL DEFAULT ''")


@migrations()
def m005_assessments(db: Database) -> None:
    """What the gate said of the pixels of a film that was analysed; films of before have none."""
    db.executescript(
        """
        CREATE TABLE assessment (
            instance_digest TEXT PRIMARY KEY,
            gate TEXT NOT NULL,
            version TEXT NOT NULL,
            gate_digest TEXT NOT NULL,
            reading TEXT NOT NULL,
            flags TEXT NOT NULL,
            assessed_at REAL NOT NULL
        );
        """
    )


@migrations()
def m006_reading(db: Database) -> None:
    """Who reads a study, or marked it as read, and since when its state is what a person made it."""
    db.execute("ALTER TABLE worklist_entry ADD COLUMN reader TEXT")
    db.execute("ALTER TABLE worklist_entry ADD COLUMN state_since REAL")


@migrations()
def m007_messages(db: Database) -> None:
    """Beside each sentence for the reader what it was made from, so that it can be said in another language."""
    db.execute("ALTER TABLE instance ADD COLUMN refusal_message TEXT")
    db.execute("ALTER TABLE job ADD COLUMN error_message TEXT")
    db.execute("ALTER TABLE worklist_entry ADD COLUMN reason_message TEXT")


@migrations()
def m008_workitems(db: Database) -> None:
    """Workitems of the Unified Procedure Step service, subscriptions, and reports that wait."""
    workitem_schema.create(db)


@migrations()
def m009_hl7(db: Database) -> None:
    """Messages to the RIS, what it said of orders, and which of its messages were answered."""
    message_schema.create(db)


@migrations()
def m010_further(db: Database) -> None:
    """A revision says why a film was not analysed, and what further models had said of its films."""
    db.execute("ALTER TABLE study_revision ADD COLUMN failures TEXT NOT NULL DEFAULT '{}'")
    db.execute("ALTER TABLE study_revision ADD COLUMN consulted TEXT NOT NULL DEFAULT '[]'")


@migrations()
def m011_corrections(db: Database) -> None:
    """What was said of studies, films and patients that takes them out of use, or names them otherwise."""
    correction_schema.create(db)


@migrations()
def m012_told(db: Database) -> None:
    """Since when the RIS may have a message: where there was no answer, it may. And films by their accession number."""
    db.execute("CREATE INDEX instance_accession ON instance (json_extract(header, '$.accession_number'))")
    db.execute("ALTER TABLE message ADD COLUMN tried_at REAL")
    db.execute(
        """
        UPDATE message SET tried_at = written_at WHERE sent_at IS NULL AND answer IS NULL AND EXISTS (
            SELECT 1 FROM job WHERE kind = 'transmit' AND subject = message.control_id AND attempt > 0)
        """
    )


@migrations()
def m013_upkeep(db: Database) -> None:
    """X-ray machines, counts that outlive a restart, measures of films, and films that were given up."""
    upkeep_schema.create(db)


@migrations()
def m014_site(db: Database) -> None:
    """At which site the films of a study are that a hub has in its list; none: here."""
    db.execute("ALTER TABLE worklist_entry ADD COLUMN site TEXT")


@migrations()
def m015_history(db: Database) -> None:
    """What `status` and the metrics ask is found without a look at every study and film that there has been."""
    db.execute("CREATE INDEX worklist_received ON worklist_entry (received_at)")
    db.execute("CREATE INDEX worklist_state ON worklist_entry (state)")
    db.execute("CREATE INDEX instance_state ON instance (state, purged_at)")


@migrations()
def m016_asked(db: Database) -> None:
    """What a person at a hub asks for a study of a site, there and here; no outcome: the site has not answered."""
    db.execute(
        """
        CREATE TABLE asked (
            study_instance_uid TEXT PRIMARY KEY,
            uid TEXT NOT NULL,
            priority TEXT,
            asked_by TEXT NOT NULL,
            asked_at REAL NOT NULL,
            over INTEGER NOT NULL,
            outcome TEXT
        )
        """
    )
