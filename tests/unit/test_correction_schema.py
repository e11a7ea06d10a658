"""A database of before corrections: what withdrew its studies is a fact from then on."""

import json
from pathlib import Path

from sqlite_utils import Database

from cxr_node.domain.correction import CANCELLED, DISOWNED
from cxr_node.domain.reading import Actor
from cxr_node.store import corrections, withdrawal, worklist
from cxr_node.store.db import Store
from cxr_node.store.migrations import migrations
from tests.bench import JUDGING, add_film, header, study_uid


def test_what_was_withdrawn_before_stays_so_until_a_person_says_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "cxr-node.sqlite"
    before = Database(path)
    migrations.apply(before, stop_before="m011_corrections")
    reasons = {1: CANCELLED, 2: DISOWNED, 3: "taken back"}
    for number, reason in reasons.items():
        row = {
            "study_instance_uid": study_uid(number), "state": "withdrawn", "tier": "none", "received_at": 1.0,
            "reason": str(reason), "accession_number": "A1", "state_since": 2.0,
        }  # fmt: skip
        before["worklist_entry"].insert(row)
        before["instance"].insert(
            {
                "sop_instance_uid": f"1.2.3.{number}", "study_instance_uid": study_uid(number), "digest": str(number),
                "state": "current", "path": "x", "size": 1, "transfer_syntax": "1.2", "calling_ae_title": "A",
                "received_at": 1.0, "header": json.dumps(header(number).to_json()),
            }
        )  # fmt: skip
    before.close()
    store = Store.open(path)
    with store.transaction() as tx:
        facts = [corrections.facts(tx, study_uid(number), {}) for number in reasons]
        words = [[(one.word.value, one.order, sorted(one.films)) for one in each.spoken] for each in facts]
        assert words == [
            [("cancelled", "A1", ["1.2.3.1"])], [("disowned", "A1", ["1.2.3.2"])], [("withdrawn", "A1", ["1.2.3.3"])],
        ]  # fmt: skip
        for number in reasons:
            assert withdrawal.follow(tx, study_uid(number), JUDGING, 3.0) is None
            assert worklist.state(tx, study_uid(number)) == "withdrawn"
    store.close()


def test_a_film_that_comes_to_such_a_study_holds_it(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "cxr-node.sqlite")
    with store.transaction() as tx:
        add_film(tx, 1)
        worklist.arrive(tx, header(1), 1.0)
        withdrawal.withdraw(tx, study_uid(1), "wrong", Actor("ana"), judging=JUDGING, now=2.0)
        add_film(tx, 2, study=1)
        moved = withdrawal.follow(tx, study_uid(1), JUDGING, 3.0)
        assert moved is not None
        assert (moved.state, worklist.state(tx, study_uid(1))) == ("held", "held")
    store.close()
