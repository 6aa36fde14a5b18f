"""Logs that hold no free text: events with constant names, ids, counts, times.

What a visitor typed cannot leak from what is never written: values are numbers, flags, and short
words of identifier characters; anything else is shown as its length. A trace has files, lines and
the kind of the error, without its message, since messages quote their input (SQLAlchemy's hold the
parameters of the statement). JSON lines where stderr is no terminal, readable lines where it is.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from typing import Any

import structlog
from structlog.types import EventDict, Processor

_WORD = re.compile(r"[\w.:/@+=-]{0,128}", re.ASCII)


def configure(*, json_lines: bool | None = None) -> None:
    """Set up structlog and the loggers of the libraries, once, at the start of a program."""
    as_json = not sys.stderr.isatty() if json_lines is None else json_lines
    renderer: Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            without_text,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    handler = logging.StreamHandler()
    handler.setLevel(logging.INFO)  # bm25s turns on its own DEBUG lines
    handler.setFormatter(_WithoutMessage("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("app").setLevel(logging.INFO)  # which weights served, what was unpacked


class _WithoutMessage(logging.Formatter):
    """For the libraries' own loggers: the trace of an exception without its message."""

    def formatException(self, ei: Any) -> str:
        return "\n".join([type(ei[1]).__name__, *trace(ei[1])])


def without_text(logger: Any, method: str, event: EventDict) -> EventDict:
    """A structlog processor: keeps numbers and identifiers, shows other values by their length."""
    del logger, method
    error = event.pop("exc_info", None)
    clean = {key: _clean(value) for key, value in event.items()}
    if isinstance(error, BaseException):
        clean |= {"error": type(error).__name__, "trace": trace(error)}
    return clean


def trace(error: BaseException) -> list[str]:
    """file:line function, outermost first, then the cause's; no message, no values."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    cause = error.__cause__ or error.__context__
    return [*lines, f"from {type(cause).__name__}", *trace(cause)] if cause else lines


def _clean(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = str(value)
    return text if _WORD.fullmatch(text) else f"<{len(text)} characters>"
