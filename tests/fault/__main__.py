"""The table of docs/reliability.md, from a run: each fault, how it was made, how often, and what was lost.

python -m tests.fault                  # once each, as continuous integration does
python -m tests.fault --long           # as often as it takes to be sure: hours
python -m tests.fault --long --write   # and put the table into docs/reliability.md

Each row stands for one test. `times` is what the test says of itself, or the number of its cases; `acknowledged` counts
the objects that a sender was told 0x0000 for, and `lost` those of them that the node then knew nothing of. Beyond that,
each test holds that every film comes to a final state, with one SR and one SC where it has a destination.
"""

import platform
import re
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.node import LEDGER

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
MARKS = "<!-- table: python -m tests.fault --write -->\n", "<!-- end of the table -->\n"

ROWS = (
    (
        "kill -9 between a message to the RIS and its answer",
        "SIGKILL while the RIS answers",
        "test_messages::test_the_node_dies_between_a_message_and_its_answer",
    ),
    (
        "kill -9 of what takes messages",
        "SIGKILL",
        "test_messages::test_what_the_ris_says_is_kept_whatever_dies",
    ),
    (
        "bytes without sense to the message port",
        "200 connections",
        "test_messages::test_no_bytes_bring_the_port_down_or_take_its_places",
    ),
    (
        "one of two nodes is gone",
        "shim at five points; SIGKILL to all of it",
        "test_pair::test_whichever_is_gone_the_other_goes_on",
    ),
    (
        "one of two nodes paused for longer than its lease",
        "SIGSTOP, SIGCONT",
        "test_pair::test_one_that_was_stopped_for_longer_than_its_lease_does_not_go_on",
    ),
    (
        "one of two nodes succeeded while its machine was held",
        "SIGSTOP, another term, SIGCONT",
        "test_pair::test_one_that_has_slept_through_its_succession_sends_nothing",
    ),
    ("RIS away", "real sockets", "test_messages::test_a_ris_that_is_away_gets_all_messages_in_order_and_once"),
    (
        "kill -9 at a commit point",
        "shim: before and after the call",
        "test_kill_points::test_kill_at_every_commit_point",
    ),
    (
        "kill -9 at a commit point of a correction",
        "shim: before and after the call",
        "test_kill_corrections::test_kill_at_the_commit_points_of_corrections",
    ),
    ("kill -9 at any moment", "SIGKILL to one process", "test_kill::test_kills_at_any_moment"),
    (
        "a film that kills the process",
        "SIGKILL on opening it",
        "test_kill::test_a_film_that_kills_the_child_is_set_aside_and_its_neighbours_go_on",
    ),
    (
        "kill -9 of a decoder while it reads, draws, has drawn",
        "SIGKILL on opening or renaming",
        "test_decoders::test_a_decoder_that_is_killed_while_it",
    ),
    (
        "kill -9 of a decoder that rests",
        "SIGKILL",
        "test_decoders::test_a_decoder_that_is_killed_while_it_rests_is_no_films_fault",
    ),
    (
        "a decoder hangs",
        "SIGSTOP",
        "test_decoders::test_a_decoder_that_hangs_holds_up_films_and_nothing_else",
    ),
    ("a decoder without memory", "RLIMIT_AS of the running process", "test_decoders::test_a_decoder_without_memory"),
    (
        "a process dies under an open association",
        "SIGKILL",
        "test_kill::test_the_death_of_a_child_drops_no_association",
    ),
    (
        "power cut at every sync",
        "journal, folder rebuilt",
        "test_power_cut::test_at_every_moment_everything_acknowledged_is_on_the_disk",
    ),
    ("power cut, node started again", "journal, folder rebuilt", "test_power_cut::test_the_power_goes_and_comes_back"),
    ("disk full, EIO, read-only while receiving", "shim: errno", "test_bad_disk::test_while_a_film_is_received"),
    ("disk full, EIO, read-only while working", "shim: errno", "test_bad_disk::test_while_a_film_is_worked_on"),
    ("disk full", "tmpfs of 48 MiB, filled", "test_bad_site::test_a_disk_that_is_full"),
    ("disk below its watermark", "tmpfs of 48 MiB", "test_bad_site::test_a_disk_below_its_watermark"),
    ("spool gone", "folder renamed", "test_bad_site::test_a_spool_that_is_gone"),
    (
        "database held by another process",
        "BEGIN IMMEDIATE for longer than it waits",
        "test_bad_site::test_a_database_that_another_process_holds",
    ),
    (
        "database damaged, truncated, empty, gone",
        "bytes changed on disk",
        "test_bad_database::test_a_database_that_is_damaged",
    ),
    (
        "database's log damaged",
        "bytes changed after kill -9",
        "test_bad_database::test_a_log_of_the_database_that_is_spoiled",
    ),
    (
        "database on a read-only disk at the start",
        "tmpfs mounted again, ro",
        "test_bad_site::test_a_read_only_database",
    ),
    (
        "spool and database disagree",
        "files put and taken",
        "test_restart::test_spool_and_database_are_brought_together",
    ),
    ("node stopped within a film", "SIGTERM", "test_restart::test_a_stopping_node_finishes_the_film_in_hand"),
    (
        "destination away for an hour; name unknown; mute; stuck half-way; clock set back and forward",
        "real sockets; shim: clock",
        "test_bad_peers::test_an_hour_without_a_destination_beside_others_that_never_answer",
    ),
    ("destination answers 0xA700", "storage SCP", "test_destinations::test_a_destination_that_is_full_for_a_while"),
    ("destination answers 0xB000", "storage SCP", "test_destinations::test_a_destination_that_takes_with_a_warning"),
    ("destination answers 0xC000", "storage SCP", "test_destinations::test_a_destination_that_refuses"),
    (
        "sender aborts within a film",
        "A-ABORT",
        "test_bad_connections::test_an_association_that_is_aborted_within_a_data_set",
    ),
    (
        "connection breaks within a film",
        "shutdown of the socket",
        "test_bad_connections::test_a_connection_that_breaks_within_a_data_set",
    ),
    (
        "sender falls silent within a film",
        "half a film",
        "test_bad_connections::test_a_sender_that_falls_silent_within_a_data_set",
    ),
    ("abort in every other state", "A-ABORT from a raw socket", "test_bad_connections::test_an_abort_in_any_state"),
    (
        "noise, web requests, oversized and half PDUs",
        "raw socket",
        "test_bad_connections::test_a_connection_that_is_no_association",
    ),
    ("slow loris", "a PDU byte by byte", "test_bad_connections::test_a_pdu_that_trickles_in"),
    (
        "no memory; every prediction fails, as on a lost GPU",
        "RLIMIT_AS of the running process",
        "test_bad_child::test_a_child_whose_every_prediction_fails_from_now_on",
    ),
    ("inference hangs", "SIGSTOP", "test_bad_child::test_a_child_that_hangs"),
    (
        "model not as released, then replaced while running",
        "file changed",
        "test_bad_site::test_a_model_that_is_not_as_released",
    ),
    (
        "a film that kills the shadow models' process",
        "SIGKILL on opening it",
        "test_models::test_a_film_that_kills_the_shadows_holds_the_model_in_service_up_by_nothing",
    ),
    (
        "another model put in service, and taken back, in a burst of films",
        "models activate, rollback",
        "test_models::test_another_model_takes_over_and_is_rolled_back_in_a_burst_of_films",
    ),
    (
        "a new model that dies while it is loaded",
        "its process ended",
        "test_models::test_a_model_that_dies_while_it_is_loaded_does_not_take_over",
    ),
    (
        "node killed between the wish for a model and its making",
        "SIGKILL",
        "test_models::test_what_was_wanted_when_the_node_was_killed_is_done_at_its_next_start",
    ),
    (
        "clock set back under studies that wait",
        "shim: clock",
        "test_bad_web::test_what_came_before_the_clock_was_set_back_is_read_before_what_came_since",
    ),
    (
        "web process killed",
        "SIGKILL",
        "test_bad_web::test_a_web_process_that_is_killed_comes_back_and_nothing_else_notices",
    ),
    (
        "port of the web page taken",
        "bound by another",
        "test_bad_web::test_a_port_that_is_taken_keeps_nobody_from_sending",
    ),
)
"""Fault, how it is made, and the test that makes it."""


class Figures:
    """A pytest plugin that adds up, by test, what a run did."""

    def __init__(self) -> None:
        self.sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._before = LEDGER.copy()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = _name(report.nodeid)
        if report.when == "call" and report.passed:
            self.sums[name]["times"] += int(str(dict(report.user_properties).get("times", 1)))
        for figure in ("acknowledged", "lost"):
            self.sums[name][figure] += LEDGER[figure] - self._before[figure]
        self._before = LEDGER.copy()


def _name(nodeid: str) -> str:
    """tests/fault/test_kill.py::test_x[a] as the table has it: test_kill::test_x."""
    return re.sub(r"^.*/(\w+)\.py::(\w+).*$", r"\1::\2", nodeid)


def table(sums: dict[str, Counter[str]], long: bool) -> str:
    lines = [
        f"{'The long run' if long else 'The short run'} of {datetime.now(UTC):%Y-%m-%d}, on {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}:",
        "",
        "| fault | how it is made | times | acknowledged | lost | test |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for fault, made, test in ROWS:
        found = sums[test]
        lines.append(f"| {fault} | {made} | {found['times']} | {found['acknowledged']} | {found['lost']} | `{test}` |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    long = "--long" in arguments
    figures = Figures()
    folder = Path(__file__).parent
    tests = [f"{folder / test.partition('::')[0]}.py::{test.partition('::')[2]}" for _, _, test in ROWS]
    status = pytest.main(["-q", "--timeout=0", *(["--long"] if long else []), *tests], plugins=[figures])
    made = table(figures.sums, long)
    print(made)
    if status == pytest.ExitCode.OK and "--write" in arguments:
        before, _, rest = PAGE.read_text("utf-8").partition(MARKS[0])
        PAGE.write_text(before + MARKS[0] + made + MARKS[1] + rest.partition(MARKS[1])[2], "utf-8")
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
