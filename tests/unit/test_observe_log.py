"""Logs: one line an outcome, for people or for machines, without the values that an error may quote."""

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from apscheduler.events import EVENT_JOB_ERROR
from apscheduler.schedulers.background import BackgroundScheduler

from cxr_node.errors import ConfigError
from cxr_node.observe.log import LIBRARIES, configure


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    level, hooks = logging.getLogger("pydicom").level, (sys.excepthook, threading.excepthook)
    yield
    logging.getLogger("pydicom").setLevel(level)
    logging.getLogger().removeHandler(LIBRARIES)
    sys.excepthook, threading.excepthook = hooks
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


NAME = "Doe^" + "Jane"  # so that it does not stand in a line of this source
Captured = pytest.CaptureFixture[str]


def fail() -> None:
    try:
        int(NAME)
    except ValueError as error:
        raise RuntimeError(NAME) from error


def log_a_failure() -> None:
    try:
        fail()
    except RuntimeError:
        structlog.get_logger().exception("instance.fault", calling="CR1")


def test_json_where_nobody_watches(capsys: Captured) -> None:
    configure("info", "auto", role="node")
    structlog.get_logger().info("instance.stored", digest="ab12", reason=None)
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert found.pop("timestamp").endswith("Z")
    assert found == {"event": "instance.stored", "level": "info", "role": "node", "digest": "ab12"}


def test_readable_on_a_terminal(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    configure("info", "auto", role="node")
    structlog.get_logger().info("instance.stored", digest="ab12")
    text = capsys.readouterr().err
    assert "instance.stored" in text
    assert "{" not in text


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_error_shows_where_it_was_raised_and_never_what_it_quotes(capsys: Captured, form: str) -> None:
    configure("info", form, role="node")  # type: ignore[arg-type]
    log_a_failure()
    text = capsys.readouterr().err
    assert "RuntimeError" in text
    assert "ValueError" in text
    assert "in fail" in text
    assert NAME not in text


@pytest.mark.parametrize(("level", "lines"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_what_is_below_the_level_is_left_out(capsys: Captured, level: str, lines: int) -> None:
    configure(level, "json")
    log = structlog.get_logger()
    log.debug("a"), log.info("b"), log.warning("c")
    assert len(capsys.readouterr().err.splitlines()) == lines


def uncaught_in_a_thread() -> None:
    thread = threading.Thread(target=fail, name="lane")
    thread.start()
    thread.join()


def uncaught_in_the_process() -> None:
    try:
        fail()
    except RuntimeError:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]


def fails_in_the_scheduler() -> None:
    done = threading.Event()
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.add_listener(lambda _: done.set(), EVENT_JOB_ERROR)
    scheduler.add_job(fail)
    scheduler.start()
    assert done.wait(60)
    scheduler.shutdown()


@pytest.mark.parametrize(
    ("break_down", "event"),
    [
        (uncaught_in_a_thread, "thread.broken"),
        (uncaught_in_the_process, "process.broken"),
        (fails_in_the_scheduler, "library.complained"),
    ],
)
def test_what_nobody_catches_is_one_line_without_what_it_quotes(
    capsys: Captured, break_down: Callable[[], None], event: str
) -> None:
    configure("info", "json", role="node")
    break_down()
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert found["event"] == event
    assert "in fail" in found["exception"]
    assert NAME not in line


def test_configuring_again_forgets_what_was_always_said(capsys: Captured) -> None:
    configure("info", "json", role="node", port=1)
    configure("info", "json", role="work")
    structlog.get_logger().info("x")
    found = json.loads(capsys.readouterr().err)
    assert (found["role"], "port" in found) == ("work", False)


def test_a_file_may_be_renamed_at_any_time(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "node.log"
    configure("info", "auto", path)
    log = structlog.get_logger()
    log.info("instance.stored", digest="first")
    path.rename(tmp_path / "node.log.1")
    log.info("instance.stored", digest="second")
    assert [json.loads(line)["digest"] for line in (tmp_path / "node.log.1").read_text().splitlines()] == ["first"]
    assert [json.loads(line)["digest"] for line in path.read_text().splitlines()] == ["second"]
    assert capsys.readouterr().err == ""


def test_while_the_file_cannot_be_written_standard_error_gets_the_lines(tmp_path: Path, capsys: Captured) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    configure("info", "json", folder / "node.log")
    (folder / "node.log").unlink()
    folder.rmdir()
    structlog.get_logger().info("instance.stored", digest="ab12")
    assert json.loads(capsys.readouterr().err)["digest"] == "ab12"
    folder.mkdir()
    structlog.get_logger().info("instance.stored", digest="cd34")
    assert json.loads((folder / "node.log").read_text())["digest"] == "cd34"


def test_a_file_that_cannot_be_had_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"log\.file: cannot write .*node\.log: No such file"):
        configure("info", "json", tmp_path / "nowhere" / "node.log")
