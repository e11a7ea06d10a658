"""Which of two nodes works: one at a time, whatever the other is doing, and whatever becomes of it."""

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cxr_node import lease
from cxr_node.errors import ConfigError, Permanent, Transient
from cxr_node.lease import Candidate, Lease, Tenure
from cxr_node.lock import hold, is_held

SECONDS = 10.0


@dataclass
class Hospital:
    """A folder, a monotonic clock that both nodes have, and what was taken in it."""

    data: Path
    now: float = 100.0
    ends: list[float] = field(default_factory=list)
    deaths: list[str] = field(default_factory=list)
    locks: list[int] = field(default_factory=list)

    def candidate(self, name: str) -> Candidate:
        return Candidate(self.data, name, SECONDS, lambda: self.now, lambda: 1000.0 + self.now)

    def works(self, name: str) -> Tenure:
        """A node that has the lease, not renewing it by itself."""
        taken = self.candidate(name).attempt()
        assert taken is not None
        self.locks.append(taken[1])
        return self.tenure(*taken)

    def tenure(self, found: Lease, lock: int) -> Tenure:
        return Tenure(
            self.data, found, lock, SECONDS,
            kill_at=self.ends.append, now=lambda: self.now, die=lambda: self.deaths.append(found.name),
        )  # fmt: skip

    def gone(self, tenure: Tenure) -> None:
        """Every process of the node is gone."""
        self.locks.remove(tenure.lock)
        os.close(tenure.lock)

    def written(self) -> Lease:
        found = lease.read(self.data)
        assert found is not None
        return found


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    found = Hospital(tmp_path)
    yield found
    for lock in found.locks:
        os.close(lock)


def test_the_first_one_works_at_once(hospital: Hospital) -> None:
    tenure = hospital.works("north")
    assert (hospital.written(), tenure.lease) == (Lease(1, "north", 1100.0), Lease(1, "north", 1100.0))
    assert is_held(hospital.data)


def test_the_other_one_does_not_while_a_process_of_the_first_is_there(hospital: Hospital) -> None:
    """However long its beat has stood still: what was stopped could go on."""
    hospital.works("north")
    south = hospital.candidate("south")
    for _ in range(3):
        assert south.attempt() is None
        hospital.now += 10 * SECONDS
    assert hospital.written().name == "north"


def test_it_takes_over_when_the_first_is_gone_and_its_lease_has_run_out(hospital: Hospital) -> None:
    north, south = hospital.works("north"), hospital.candidate("south")
    assert south.attempt() is None
    hospital.gone(north)
    hospital.now += 10 * SECONDS
    for passed in (0.0, SECONDS, 0.9):
        hospital.now += passed
        assert south.attempt() is None, "it has seen it stand still for so long only since the lock was free"
    hospital.now += 0.1
    taken = south.attempt()
    assert taken is not None
    hospital.locks.append(taken[1])
    assert (taken[0].term, taken[0].name, hospital.written()) == (2, "south", taken[0])


def test_it_takes_over_at_once_from_one_that_was_stopped(hospital: Hospital) -> None:
    north = hospital.works("north")
    north.begin()
    north.release()
    assert hospital.ends[-1] == 0, "the kernel's timer is called off"
    assert hospital.candidate("south").attempt() is None, "its process is still there"
    hospital.gone(north)
    assert hospital.works("south").lease.term == 2


def test_one_that_is_started_again_waits_as_the_other_does(hospital: Hospital) -> None:
    hospital.gone(hospital.works("north"))
    again = hospital.candidate("north")
    assert again.attempt() is None
    hospital.now += SECONDS + 1
    taken = again.attempt()
    assert taken is not None
    assert taken[0].term == 2
    hospital.locks.append(taken[1])


def test_of_two_that_stand_by_one_takes_over(hospital: Hospital) -> None:
    hospital.gone(hospital.works("north"))
    both = [hospital.candidate("south"), hospital.candidate("north")]
    assert [each.attempt() for each in both] == [None, None]
    hospital.now += SECONDS + 1
    south, north = (each.attempt() for each in both)
    assert south is not None
    hospital.locks.append(south[1])
    assert north is None


def test_each_renewal_puts_the_end_off_from_when_it_began(hospital: Hospital) -> None:
    tenure = hospital.works("north")
    tenure.renew()
    hospital.now += 3
    tenure.renew()
    assert hospital.ends == [110.0, 113.0]
    assert hospital.written().beat == 2


def test_a_lease_that_cannot_be_renewed_runs_out(hospital: Hospital) -> None:
    tenure = hospital.works("north")
    tenure.renew()
    (hospital.data / "lease").write_text("{")
    with pytest.raises(ConfigError, match="no lease; move it away"):
        tenure.renew()
    (hospital.data / "lease").unlink()
    (hospital.data / "lease").mkdir()
    with pytest.raises(OSError):
        tenure.renew()
    assert (hospital.ends, hospital.deaths) == ([110.0], [])


def test_whose_turn_is_over_ends(hospital: Hospital) -> None:
    """As after a sleep of the whole machine, in which no timer of its kernel went on."""
    tenure = hospital.works("north")
    succeeded = Lease(2, "south", 2000.0)
    (hospital.data / "lease").write_text(json.dumps({"term": 2, "name": "south", "since": 2000.0}))
    tenure.renew()
    assert (hospital.deaths, hospital.ends) == (["north"], [])
    assert hospital.written() == succeeded, "it has written nothing"


def test_what_one_wrote_whose_turn_was_over_is_written_over(hospital: Hospital) -> None:
    hospital.works("north")
    south = hospital.tenure(Lease(2, "south", 2000.0), hospital.locks[0])
    with capture_logs() as told:
        south.renew()
    assert (hospital.written(), hospital.deaths) == (Lease(2, "south", 2000.0, beat=1), [])
    assert [(one["event"], one["by"]) for one in told] == [("pair.written_over", "north")]


def test_a_file_system_without_locks_between_hosts_is_noticed(hospital: Hospital) -> None:
    """This node has the lock, and the other one works all the same: it is never this one's turn."""
    found = hospital.works("north").lease
    hospital.gone(hospital.tenure(found, hospital.locks[0]))
    south = hospital.candidate("south")
    with capture_logs() as told:
        for beat in range(1, 4):
            assert south.attempt() is None
            (hospital.data / "lease").write_text(json.dumps({"term": 1, "name": "north", "since": 1.0, "beat": beat}))
            hospital.now += SECONDS + 1
            assert south.attempt() is None
    assert [(one["event"], one["works"]) for one in told] == [("pair.lock_ignored", "north")] * 3


def test_a_folder_that_does_not_answer_begins_the_wait_anew(hospital: Hospital) -> None:
    hospital.gone(hospital.works("north"))
    south, kept = hospital.candidate("south"), (hospital.data / "lease").read_text()
    assert south.attempt() is None
    (hospital.data / "lease").unlink()
    (hospital.data / "lease").mkdir()
    hospital.now += SECONDS + 1
    with pytest.raises(OSError):
        south.attempt()
    assert not is_held(hospital.data)
    (hospital.data / "lease").rmdir()
    (hospital.data / "lease").write_text(kept)
    assert south.attempt() is None


def test_a_command_of_the_other_host_is_waited_for(hospital: Hospital) -> None:
    hospital.gone(hospital.works("north"))
    command = hold(hospital.data / "readers", shared=True)
    assert command is not None
    south = hospital.candidate("south")
    south.attempt()
    hospital.now += SECONDS + 1
    with capture_logs() as told:
        assert south.attempt() is None
    assert [one["event"] for one in told] == ["pair.waiting"]
    assert not is_held(hospital.data), "the other host can have it again meanwhile"
    os.close(command)
    south.attempt()
    hospital.now += SECONDS + 1
    taken = south.attempt()
    assert taken is not None
    hospital.locks.append(taken[1])
    again = hold(hospital.data / "readers")
    assert again is not None, "commands here are free to read"
    os.close(again)


def test_a_command_of_its_own_host_is_not(hospital: Hospital) -> None:
    hospital.gone(hospital.works("north"))
    command = hold(hospital.data / "readers", shared=True)
    assert command is not None
    north = hospital.candidate("north")
    north.attempt()
    hospital.now += SECONDS + 1
    taken = north.attempt()
    os.close(command)
    assert taken is not None
    hospital.locks.append(taken[1])


def test_commands_are_for_where_the_node_works(hospital: Hospital) -> None:
    lease.require_here(hospital.data / "not-there", "north")
    lease.require_here(hospital.data, None)
    assert list(hospital.data.iterdir()) == [], "a node alone has nothing of it"
    hospital.works("north")
    lease.require_here(hospital.data, "north")
    with pytest.raises(Permanent, match="south stands by, and north works; give this command there") as refused:
        lease.require_here(hospital.data, "south")
    assert refused.value.code == "STANDS_BY"
    (hospital.data / "lease").unlink()
    (hospital.data / "lease").mkdir()
    with pytest.raises(Permanent, match="which node works cannot be read"):
        lease.require_here(hospital.data, "north")


def test_no_command_begins_while_the_turn_changes(hospital: Hospital, tmp_path: Path) -> None:
    taking = hold(hospital.data / "readers")
    assert taking is not None
    with pytest.raises(Permanent, match="nobody works"):
        lease.require_here(hospital.data, "north")
    os.close(taking)
    lease.require_here(hospital.data, "north")


def test_the_thread_renews_it_until_it_is_released(tmp_path: Path) -> None:
    beats = threading.Semaphore(0)
    taken = Candidate(tmp_path, "north", 0.04, lambda: 0.0).attempt()
    assert taken is not None
    tenure = Tenure(tmp_path, *taken, 0.04, kill_at=lambda _: beats.release(), now=lambda: 0.0, die=lambda: None)
    tenure.begin()
    for _ in range(3):
        assert beats.acquire(timeout=60)
    assert tenure.alive()
    tenure.release()
    assert not tenure.alive()
    found = lease.read(tmp_path)
    assert found is not None
    assert found == replace(tenure.lease, released=True)
    os.close(tenure.lock)


def test_a_renewal_that_fails_is_told_and_tried_again(tmp_path: Path) -> None:
    taken = Candidate(tmp_path, "north", 0.04, lambda: 0.0).attempt()
    assert taken is not None
    beats, tried = threading.Semaphore(0), threading.Semaphore(0)

    def now() -> float:
        tried.release()
        return 0.0

    tenure = Tenure(tmp_path, *taken, 0.04, kill_at=lambda _: beats.release(), now=now, die=lambda: None)
    tenure.begin()
    kept = (tmp_path / "lease").read_text()
    (tmp_path / "lease").unlink()
    (tmp_path / "lease").mkdir()
    for _ in range(8):
        assert tried.acquire(timeout=60)
    assert tenure.alive()
    (tmp_path / "lease").rmdir()
    (tmp_path / "lease").write_text(kept)
    while beats.acquire(blocking=False):
        pass
    assert beats.acquire(timeout=60)
    tenure.release()
    os.close(tenure.lock)


def test_a_lease_that_cannot_be_released_runs_out(hospital: Hospital) -> None:
    tenure = hospital.works("north")
    tenure.begin()
    (hospital.data / "lease").unlink()
    (hospital.data / "lease").mkdir()
    with capture_logs() as told:
        tenure.release()
    assert [one["event"] for one in told] == ["pair.not_renewed"]
    assert hospital.ends[-1] == 0


def test_a_node_that_is_none_of_a_pair_is_free_to_send(tmp_path: Path) -> None:
    lease.guard(tmp_path, {})()


def test_nothing_is_sent_where_it_cannot_be_read_who_works(hospital: Hospital) -> None:
    check = lease.guard(hospital.data, {lease.VARIABLE: f"{os.getpid()}:{hospital.works('north').lease.term}"})
    check()
    (hospital.data / "lease").write_text("nonsense")
    with pytest.raises(Transient, match="whether this node still works") as refused:
        check()
    assert refused.value.code == "LEASE_UNREADABLE"


def test_a_lock_says_what_else_fails(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        hold(tmp_path / "gone" / "lock")
    one, other = hold(tmp_path / "lock", shared=True), hold(tmp_path / "lock", shared=True)
    assert one is not None
    assert other is not None
    assert hold(tmp_path / "lock") is None
    os.close(one)
    os.close(other)
