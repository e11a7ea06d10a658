"""The worklist of a hub: entries of studies whose films are at other sites, as those say that they stand."""

from cxr_node.domain import region
from cxr_node.domain.dicom_json import Attributes
from cxr_node.store import asked, events
from cxr_node.store.db import Tx


def take(tx: Tx, site: str, study: str, said: Attributes, now: float) -> str | None:
    """Put a site's study into the list, or where the site now says that it stands; why it is not taken, else None.

    A study whose films are here, or that another site has, is not this site's to tell of.
    """
    known = tx.row("SELECT site, state, tier, priority FROM worklist_entry WHERE study_instance_uid = ?", (study,))
    if known is not None and known["site"] != site:
        return "the study is known from elsewhere"
    try:
        entry, decided = region.read(said), region.decided(said)
    except ValueError as error:
        return str(error)
    names = ", ".join(region.COLUMNS)
    tx.execute(
        f"INSERT OR REPLACE INTO worklist_entry (study_instance_uid, site, {names}) "  # noqa: S608 - constants
        f"VALUES (?, ?, {', '.join('?' * len(region.COLUMNS))})",
        (study, site, *(entry[name] for name in region.COLUMNS)),
    )
    before = {name: known[name] if known else None for name in ("state", "tier", "priority")}
    after = {name: entry[name] for name in before}
    outcome = asked.answered(tx, study, decided, entry["state"])
    answer = {"answer": outcome} if outcome else {}
    events.append(tx, now, "worklist.gathered", study, site=site, before=before, after=after, **answer)
    return None
