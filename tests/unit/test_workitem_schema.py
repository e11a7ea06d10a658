"""A database of before workitems: each of its studies gets one, in the state that it stands in."""

from pathlib import Path

from sqlite_utils import Database

from cxr_node.domain.reading import Actor
from cxr_node.domain.workitem import uid_of
from cxr_node.store import reading
from cxr_node.store.db import Store
from cxr_node.store.migrations import migrations


def test_studies_of_before_have_workitems(tmp_path: Path) -> None:
    path = tmp_path / "cxr-node.sqlite"
    before = Database(path)
    migrations.apply(before, stop_before="m008_workitems")
    for number, state in enumerate(["waiting", "held", "reading", "read", "withdrawn"]):
        row = {"study_instance_uid": f"1.2.{number}", "state": state, "tier": "none", "received_at": 1.0}
        before["worklist_entry"].insert(row)
    before.close()
    store = Store.open(path)
    with store.transaction() as tx:
        rows = tx.rows("SELECT uid, study_instance_uid AS study, state FROM workitem ORDER BY study")
        assert [row["state"] for row in rows] == ["SCHEDULED", "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"]
        assert all(row["uid"] == uid_of(row["study"], 1) for row in rows)
        reading.mark_read(tx, "1.2.0", Actor("dr.adams"), 2.0)
        assert tx.rows("SELECT state FROM workitem WHERE study_instance_uid = '1.2.0'") == [{"state": "COMPLETED"}]
    store.close()
