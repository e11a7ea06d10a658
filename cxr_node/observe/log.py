"""Logs: JSON for machines, readable on a terminal; one line an outcome, and no patient data (Law 7)."""

import io
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import ExcInfo

from cxr_node.errors import ConfigError

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(level: str, form: Literal["auto", "console", "json"], file: Path | None = None, **always: Any) -> None:
    """Log to `file`, or else to standard error, from now on; `auto` is readable on a terminal and JSON elsewhere.

    What nobody catches and what libraries complain of comes the same way, without the words that they chose. Raises
    ConfigError where the file cannot be written.
    """
    readable = form == "console" or (form == "auto" and file is None and sys.stderr.isatty())
    plain = structlog.dev.plain_traceback  # what is left to render of an error is text already
    renderer = (
        structlog.dev.ConsoleRenderer(exception_formatter=plain) if readable else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            lambda _, __, event: {**always, **event},  # context variables would not reach the other threads
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if readable else "iso", utc=not readable),
            _without_nothing,
            structlog.processors.ExceptionRenderer(_outline),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(_opened(file) if file else sys.stderr),
        cache_logger_on_first_use=False,
    )
    _silence_pydicom()
    logging.getLogger().addHandler(LIBRARIES)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


class _Renewed(io.TextIOBase):
    """A file that is opened anew when it was renamed or removed, so that it may be rotated; a line at once, since
    several processes write to it. While it cannot be written, standard error gets the lines."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._stream: TextIO | None = path.open("a", encoding="utf-8")

    def write(self, text: str) -> int:
        with self._lock:
            try:
                stream = self._current()
                stream.write(text)
                stream.flush()
            except OSError:
                sys.stderr.write(text)
        return len(text)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        super().close()

    def _current(self) -> TextIO:
        if self._stream is not None and not _same(self._path, self._stream):
            stream, self._stream = self._stream, None
            stream.close()
        if self._stream is None:
            self._stream = self._path.open("a", encoding="utf-8")
        return self._stream


def _same(path: Path, stream: TextIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def _opened(path: Path) -> TextIO:
    try:
        return cast(TextIO, _Renewed(path))
    except OSError as error:
        raise ConfigError(f"log.file: cannot write {path}: {error.strerror}") from error


class _Libraries(logging.Handler):
    """Says that a library complained, and where; its sentence may quote anything."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno, "library.complained",
            library=record.name, where=f"{record.module}:{record.lineno}", exc_info=record.exc_info,
        )  # fmt: skip


LIBRARIES = _Libraries(logging.WARNING)
"""On the root logger once logs are configured."""


def _uncaught(_: type[BaseException], error: BaseException, __: TracebackType | None) -> None:
    structlog.get_logger().critical("process.broken", exc_info=error)


def _uncaught_in_thread(found: threading.ExceptHookArgs) -> None:
    if not issubclass(found.exc_type, SystemExit):
        name = found.thread.name if found.thread else None
        structlog.get_logger().critical("thread.broken", thread=name, exc_info=found.exc_value)


def _silence_pydicom() -> None:
    """pydicom quotes the values that it objects to, in warnings and in its log: names and identifiers (Law 7)."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module="pydicom")


def _outline(exc_info: ExcInfo) -> str:
    """Where an error was raised, and its kind; not its message, which may quote a film's header (Law 7)."""
    error: BaseException | None = exc_info[1]
    parts = []
    while error is not None:
        parts.append("".join(traceback.format_tb(error.__traceback__)) + type(error).__qualname__)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\nwhich came of this:\n\n".join(parts)


def _without_nothing(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in event.items() if value is not None}
