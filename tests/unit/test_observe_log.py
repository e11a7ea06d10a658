"""Logs: one line an outcome, for people or for machines, without the values that an error may quote."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from cxr_node.observe.log import configure


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    level = logging.getLogger("pydicom").level
    yield
    logging.getLogger("pydicom").setLevel(level)
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


def test_configuring_again_forgets_what_was_always_said(capsys: Captured) -> None:
    configure("info", "json", role="node", port=1)
    configure("info", "json", role="work")
    structlog.get_logger().info("x")
    found = json.loads(capsys.readouterr().err)
    assert (found["role"], "port" in found) == ("work", False)
