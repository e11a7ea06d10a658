"""What migration 1 made, between an acknowledged instance and a delivered document: once released, never edited."""

from sqlite_utils import Database


def create(db: Database) -> None:
    """Instances, jobs, results, revisions, documents, deliveries, steps, commitments, the worklist and the trail."""
    db.executescript(
        """
        CREATE TABLE instance (
            id INTEGER PRIMARY KEY,
            sop_instance_uid TEXT NOT NULL,
            study_instance_uid TEXT NOT NULL,
            digest TEXT NOT NULL UNIQUE,
            state TEXT NOT NULL,
            path TEXT NOT NULL,
            size INTEGER NOT NULL,
            transfer_syntax TEXT NOT NULL,
            calling_ae_title TEXT NOT NULL,
            received_at REAL NOT NULL,
            header TEXT NOT NULL,
            refusal_code TEXT,
            refusal_reason TEXT
        );
        CREATE INDEX instance_study ON instance (study_instance_uid);
        CREATE INDEX instance_sop ON instance (sop_instance_uid);

        CREATE TABLE job (
            id INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            subject TEXT NOT NULL,
            target TEXT NOT NULL DEFAULT '',
            state TEXT NOT NULL DEFAULT 'ready',
            attempt INTEGER NOT NULL DEFAULT 0,
            not_before REAL NOT NULL DEFAULT 0,
            owner TEXT,
            lease_token TEXT,
            lease_until REAL,
            crash_count INTEGER NOT NULL DEFAULT 0,
            alone INTEGER NOT NULL DEFAULT 0,
            error_code TEXT,
            error TEXT,
            changed_at REAL NOT NULL,
            UNIQUE (kind, subject, target)
        );
        CREATE INDEX job_ready ON job (kind, attempt > 0, not_before) WHERE state = 'ready';
        CREATE INDEX job_running ON job (owner) WHERE state = 'running';
        CREATE INDEX job_failed ON job (kind) WHERE state = 'failed';

        CREATE TABLE result (
            id INTEGER PRIMARY KEY,
            instance_digest TEXT NOT NULL,
            model_digest TEXT NOT NULL,
            model TEXT NOT NULL,
            version TEXT NOT NULL,
            finding TEXT NOT NULL,
            probability REAL NOT NULL,
            probabilities TEXT NOT NULL,
            activation TEXT NOT NULL,
            explanation TEXT NOT NULL,
            analysed_at REAL NOT NULL,
            UNIQUE (instance_digest, model_digest)
        );

        CREATE TABLE study_revision (
            study_instance_uid TEXT NOT NULL,
            revision INTEGER NOT NULL,
            settled_at REAL NOT NULL,
            model_digest TEXT NOT NULL,
            images TEXT NOT NULL,
            pending TEXT NOT NULL,
            tier TEXT NOT NULL,
            positive INTEGER NOT NULL,
            PRIMARY KEY (study_instance_uid, revision)
        );

        CREATE TABLE document (
            sop_instance_uid TEXT PRIMARY KEY,
            study_instance_uid TEXT NOT NULL,
            revision INTEGER NOT NULL,
            mode TEXT NOT NULL,
            kind TEXT NOT NULL,
            sop_class_uid TEXT NOT NULL,
            series_instance_uid TEXT NOT NULL,
            path TEXT NOT NULL,
            written_at REAL NOT NULL
        );
        CREATE INDEX document_study ON document (study_instance_uid, revision);

        CREATE TABLE delivery (
            sop_instance_uid TEXT NOT NULL REFERENCES document (sop_instance_uid),
            destination TEXT NOT NULL,
            sent_at REAL,
            status INTEGER,
            resent INTEGER NOT NULL DEFAULT 0,
            transaction_uid TEXT,
            asked_at REAL,
            unanswered INTEGER NOT NULL DEFAULT 0,
            failure INTEGER,
            confirmed_by TEXT,
            confirmed_at REAL,
            PRIMARY KEY (sop_instance_uid, destination)
        );
        CREATE INDEX delivery_pending ON delivery (destination) WHERE sent_at IS NULL;

        CREATE TABLE performed_step (
            sop_instance_uid TEXT PRIMARY KEY,
            state TEXT NOT NULL,
            reason TEXT,
            reason_scheme TEXT,
            calling_ae_title TEXT NOT NULL,
            created_at REAL NOT NULL,
            changed_at REAL NOT NULL
        );
        CREATE TABLE performed_step_study (
            step TEXT NOT NULL REFERENCES performed_step (sop_instance_uid),
            study_instance_uid TEXT NOT NULL,
            PRIMARY KEY (step, study_instance_uid)
        );
        CREATE INDEX performed_step_study_uid ON performed_step_study (study_instance_uid);
        CREATE TABLE performed_step_instance (
            step TEXT NOT NULL REFERENCES performed_step (sop_instance_uid),
            sop_instance_uid TEXT NOT NULL,
            sop_class_uid TEXT NOT NULL,
            PRIMARY KEY (step, sop_instance_uid)
        );
        CREATE INDEX performed_step_instance_uid ON performed_step_instance (sop_instance_uid);

        CREATE TABLE commitment_transaction (
            transaction_uid TEXT PRIMARY KEY,
            destination TEXT NOT NULL,
            asked_at REAL NOT NULL
        );
        CREATE INDEX commitment_transaction_age ON commitment_transaction (asked_at);

        CREATE TABLE commitment_request (
            id INTEGER PRIMARY KEY,
            requester TEXT NOT NULL,
            transaction_uid TEXT NOT NULL,
            received_at REAL NOT NULL,
            answered_at REAL,
            UNIQUE (requester, transaction_uid)
        );
        CREATE TABLE commitment_reference (
            request INTEGER NOT NULL REFERENCES commitment_request (id) ON DELETE CASCADE,
            sop_instance_uid TEXT NOT NULL,
            sop_class_uid TEXT NOT NULL,
            retrieve_ae_title TEXT,
            failure INTEGER,
            PRIMARY KEY (request, sop_instance_uid)
        );
        CREATE INDEX commitment_reference_sop ON commitment_reference (sop_instance_uid);

        CREATE TABLE worklist_entry (
            study_instance_uid TEXT PRIMARY KEY,
            accession_number TEXT,
            patient_id TEXT,
            issuer_of_patient_id TEXT,
            state TEXT NOT NULL,
            tier TEXT NOT NULL,
            priority TEXT,
            positive INTEGER NOT NULL DEFAULT 0,
            finding TEXT,
            probability REAL,
            threshold REAL,
            reason TEXT,
            received_at REAL NOT NULL,
            settled_instance INTEGER NOT NULL DEFAULT 0,
            settled_at REAL NOT NULL DEFAULT 0
        );
        CREATE INDEX worklist_open ON worklist_entry (received_at) WHERE state NOT IN ('read', 'withdrawn');

        CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);

        CREATE TABLE event (
            sequence INTEGER PRIMARY KEY,
            time REAL NOT NULL,
            study_instance_uid TEXT,
            event TEXT NOT NULL,
            detail TEXT NOT NULL,
            hash TEXT NOT NULL
        );
        CREATE INDEX event_study ON event (study_instance_uid);
        CREATE INDEX event_name ON event (event);

        CREATE TABLE audit_cursor (target TEXT PRIMARY KEY, sequence INTEGER NOT NULL, hash TEXT NOT NULL);
        """
    )
