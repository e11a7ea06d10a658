"""What is asked again and again looks at what it is about, however many studies there have been."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cxr_node.store import overview, results, retention, worklist
from cxr_node.store.db import Parameters, Row, Tx
from cxr_node.store.results import Written
from tests.bench import NOON, Bench, add_film, add_result, header, study_uid

STUDIES = 300


class Watching(Tx):
    """Keeps how SQLite finds what it is asked for."""

    def __init__(self, tx: Tx) -> None:
        super().__init__(tx._connection)
        self.plan: list[str] = []

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        self.plan += [row["detail"] for row in super().rows(f"EXPLAIN QUERY PLAN {sql}", parameters)]
        return super().rows(sql, parameters)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Studies that were read, each with a film, a result and a document that was sent; the last one is on its way."""
    bench = Bench(Path(tmp_path_factory.mktemp("node")))
    with bench.store.transaction() as tx:
        for number in range(STUDIES):
            worklist.arrive(tx, header(number), NOON + number)
            add_result(tx, add_film(tx, number, at=NOON + number), 0.5)
            uid = f"1.2.6.{number}"
            results.add_document(tx, Written(uid, study_uid(number), 1, "full", "sr", "1.2", "1.3", "x"), NOON + number)
            results.add_delivery(tx, uid, "pacs")
        tx.execute("UPDATE delivery SET sent_at = ? WHERE sop_instance_uid != ?", (NOON, "1.2.6.299"))
        tx.execute("UPDATE worklist_entry SET state = 'read' WHERE study_instance_uid != ?", (study_uid(299),))
        tx.execute("UPDATE instance SET purged_at = ? WHERE received_at < ?", (NOON, NOON + 100))
        tx.execute("ANALYZE")
    return bench


@pytest.mark.parametrize(
    ("ask", "found"),
    [
        (lambda tx: [row["study_instance_uid"] for row in overview.newest_studies(tx, 1)], [study_uid(299)]),
        (overview.entry_states, {"read": 299, "waiting": 1}),
        (overview.oldest_pending, {"pacs": NOON + 299}),
        (retention.states, {"kept": 200, "purged": 100}),
        (results.pending_by_destination, {"pacs": 1}),
    ],
)
def test_what_status_asks_is_found_by_an_index(bench: Bench, ask: Callable[[Tx], object], found: object) -> None:
    with bench.store.reading() as tx:
        watching = Watching(tx)
        assert ask(watching) == found
    looked_at_all = [step for step in watching.plan if step.startswith("SCAN") and "INDEX" not in step]
    assert [step for step in looked_at_all if step != "SCAN CONSTANT ROW"] == []
