"""The table of corrections as its migration made it: once released, never edited."""

from sqlite_utils import Database


def create(db: Database) -> None:
    """What was said of studies, of single films and of patients; documents know by which note they were rejected.

    `subject`: what is meant where that is no study that is here: an accession number, a SOP Instance UID, a Patient ID.
    `message`: the UID of the note, by which a repetition is known, or of the study that an order names. What withdrew a
    study before this becomes a fact.
    """
    db.executescript(
        """
        CREATE TABLE correction (
            id INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            study_instance_uid TEXT,
            subject TEXT NOT NULL DEFAULT '',
            source TEXT NOT NULL,
            message TEXT NOT NULL DEFAULT '',
            said_at REAL NOT NULL,
            recorded_at REAL NOT NULL,
            detail TEXT NOT NULL
        );
        CREATE INDEX correction_study ON correction (study_instance_uid);
        CREATE INDEX correction_subject ON correction (kind, subject);
        CREATE UNIQUE INDEX correction_rejected ON correction (subject, message) WHERE kind = 'rejected';
        CREATE INDEX correction_named ON correction (kind, message);
        CREATE INDEX correction_waiting ON correction (recorded_at) WHERE study_instance_uid IS NULL;

        ALTER TABLE delivery ADD COLUMN tried_at REAL;
        ALTER TABLE delivery ADD COLUMN rejected_by TEXT;
        ALTER TABLE worklist_entry ADD COLUMN identity TEXT NOT NULL DEFAULT '{}';
        ALTER TABLE worklist_entry ADD COLUMN film_patient_id TEXT;
        UPDATE worklist_entry SET film_patient_id = patient_id;
        CREATE INDEX worklist_patient ON worklist_entry (patient_id);
        CREATE INDEX worklist_film_patient ON worklist_entry (film_patient_id);
        ALTER TABLE study_revision ADD COLUMN correction TEXT NOT NULL DEFAULT '{}';

        INSERT INTO correction (kind, study_instance_uid, subject, source, said_at, recorded_at, detail)
        SELECT CASE WHEN w.reason LIKE 'its order was cancelled%' THEN 'cancelled'
                WHEN w.reason LIKE 'its X-ray machine says that the wrong%' THEN 'disowned' ELSE 'withdrawn' END,
            w.study_instance_uid, coalesce(w.accession_number, ''), '(earlier release)',
            coalesce(w.state_since, w.received_at),
            coalesce(w.state_since, w.received_at), json_object('reason', w.reason,
                'message', json(w.reason_message), 'films', json((SELECT json_group_array(i.sop_instance_uid)
                    FROM instance i WHERE i.study_instance_uid = w.study_instance_uid AND i.state = 'current')))
        FROM worklist_entry w WHERE w.state = 'withdrawn';
        """
    )
