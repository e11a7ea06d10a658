"""Bringing spool and database together again after a fall between the two."""

import time
from pathlib import Path

import structlog

from cxr_node.domain.intake import Intake, Received
from cxr_node.errors import Permanent
from cxr_node.imaging.digest import data_set_digest
from cxr_node.imaging.part10 import read_film_header
from cxr_node.spool import Spool
from cxr_node.store import events, studies
from cxr_node.store.db import Store

log = structlog.get_logger()

_RECOVERED = "(recovered)"


def reconcile(store: Store, spool: Spool, intake: Intake, older_than: float) -> None:
    """Take in films that stand in the spool without a row; report rows whose file is gone.

    A film without a row was never acknowledged, so its sender will send it again: taking it in loses nothing. Files
    younger than `older_than` (seconds since 1970 UTC) are left alone: their row may be on its way. Who sent such a film
    is not known any more, so what the configuration says of its sender (a character set) is not applied.
    """
    missing: list[str] = []
    for prefix in (f"{number:02x}" for number in range(256)):
        with store.reading() as tx:
            known = studies.digests(tx, prefix)
        there = {path.stem: path for path in (spool.films / prefix).glob("*.dcm")}  # afterwards: a row follows its file
        missing += {digest for digest, kept in known.items() if kept} - there.keys()
        for digest in (digest for digest, kept in known.items() if not kept and digest in there):
            there[digest].unlink(missing_ok=True)  # it was given up, and the node fell before it was removed
        for digest in sorted(there.keys() - known.keys()):
            if there[digest].stat().st_mtime < older_than:
                _take_in(there[digest], spool, intake)
    if missing:
        log.error("spool.files_missing", count=len(missing), digests=[digest[:12] for digest in missing[:10]])
    with store.transaction() as tx:
        before = events.latest(tx, "spool.files_missing") or {"count": 0}
        if missing or before["count"]:
            events.append(tx, time.time(), "spool.files_missing", None, digests=missing[:100], count=len(missing))


def _take_in(path: Path, spool: Spool, intake: Intake) -> None:
    part = spool.incoming / f"{path.stem}.recovered.part"
    path.replace(part)
    try:
        meta = read_film_header(part).file_meta
        with part.open("rb") as stream:
            verdict = intake.accept(
                Received(
                    path=part,
                    stream=stream,
                    digest=data_set_digest(part),
                    error=None,
                    sop_class_uid=str(meta.MediaStorageSOPClassUID),
                    sop_instance_uid=str(meta.MediaStorageSOPInstanceUID),
                    transfer_syntax=str(meta.TransferSyntaxUID),
                    calling_ae_title=_RECOVERED,
                    address="",
                )
            )
        log.warning("spool.film_recovered", digest=path.stem[:12], status=f"0x{verdict.answer:04X}")
    except Permanent as error:
        log.error("spool.film_unreadable", digest=path.stem[:12], code=error.code, reason=error.message)
        part.replace(spool.quarantine / path.name)
