"""Studies of before that were taken in (backfill), and how far each source has been worked through."""

from contextlib import suppress

from cxr_node.domain.reading import Actor
from cxr_node.errors import Permanent
from cxr_node.store import reading
from cxr_node.store.db import Tx

_BACKFILL = Actor("backfill", overrules=True)


def expect(tx: Tx, study: str, *, reported: bool) -> None:
    """From now on films of a study are those of a prior; `reported`: it gets documents as any other."""
    tx.execute(
        "INSERT OR REPLACE INTO prior (study_instance_uid, reported, expected) VALUES (?, ?, 1)", (study, int(reported))
    )


def close(tx: Tx, study: str) -> None:
    """Its films are here; one that comes now is a new one."""
    tx.execute("UPDATE prior SET expected = 0 WHERE study_instance_uid = ?", (study,))


def film_came(tx: Tx, study: str, digest: str, now: float) -> None:
    """Of a prior: it is read, and its film is analysed behind all that come by themselves. A new film of such a study
    makes it one as any other."""
    row = tx.row("SELECT expected FROM prior WHERE study_instance_uid = ?", (study,))
    if row is None:
        return
    if not row["expected"]:
        tx.execute("DELETE FROM prior WHERE study_instance_uid = ?", (study,))
        return
    with suppress(Permanent):  # one that is held or withdrawn stays so
        reading.mark_read(tx, study, _BACKFILL, now, cause="backfill")
    tx.execute(
        "UPDATE job SET attempt = max(attempt, 1) WHERE kind = 'analyse' AND subject = ? AND state = 'ready'", (digest,)
    )


def marked(tx: Tx, study: str) -> bool:
    """Whether a study is a prior."""
    return tx.row("SELECT 1 FROM prior WHERE study_instance_uid = ?", (study,)) is not None


def silent(tx: Tx, study: str) -> bool:
    """Whether a study is a prior that gets no documents."""
    return tx.row("SELECT 1 FROM prior WHERE study_instance_uid = ? AND reported = 0", (study,)) is not None


def known(tx: Tx, study: str) -> bool:
    """Whether films of a study are here already, that came by themselves."""
    row = tx.row("SELECT 1 FROM instance WHERE study_instance_uid = ? LIMIT 1", (study,))
    return row is not None and not marked(tx, study)


def ended(tx: Tx, source: str) -> set[str]:
    """What of a source is done or was left out, and is not looked at again; what failed is."""
    rows = tx.rows("SELECT item FROM backfill WHERE source = ? AND state != 'failed'", (source,))
    return {str(row["item"]) for row in rows}


def end(tx: Tx, source: str, item: str, state: str, *, reason: str | None, now: float) -> None:
    """What became of one thing of a source: done, skipped or failed."""
    tx.execute("INSERT OR REPLACE INTO backfill VALUES (?, ?, ?, ?, ?)", (source, item, state, reason, now))


def waiting(tx: Tx) -> int:
    """How many films wait to be analysed."""
    row = tx.row("SELECT count(*) AS n FROM job WHERE kind = 'analyse' AND state = 'ready'")
    return int(row["n"]) if row else 0
