"""Configures the logs: one line for an event, JSON for machines or colours for a terminal."""

import contextlib
import io
import json
import logging
import sys
from datetime import UTC, datetime
from functools import partial
from types import NoneType
from typing import Any, TextIO

import msgspec
import structlog

from service import metrics, observers, redact
from service.escape import escape, escape_json
from service.settings import Settings

# Libraries that repeat our lines at info, or that may print a job's payload.
QUIET = dict.fromkeys(("saq", "uvicorn", "botocore", "httpx"), logging.WARNING) | {
    "opentelemetry": logging.CRITICAL  # `service/telemetry/exporting.py` says it, less often
}

# Every line of a job has these alone, and none can be a secret: looking at each would cost a tenth
# of the line.
PLAIN = {
    "event", "logger", "level", "timestamp", "process", "job_key", "task", "attempt", "request_id",
    "milliseconds", "trace_id", "span_id", "_record", "_from_structlog",
}  # fmt: skip
SCALARS = {int, float, bool, NoneType, datetime}

log = structlog.stdlib.get_logger("start")
_ENCODER = msgspec.json.Encoder(enc_hook=repr)


def configure(settings: Settings, process: str) -> None:
    """Send every logger of this process, also those of libraries, to stdout in one format."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    is_pretty = settings.log_format == "pretty" or (
        settings.log_format == "auto" and sys.stdout.isatty()
    )
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a character that the encoding lacks is still shown
        sys.stdout.reconfigure(errors="backslashreplace")
    shared: list[structlog.typing.Processor]
    last: structlog.typing.Processor
    if is_pretty:
        shared = [
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.processors.StackInfoRenderer(),
            _escaped,
        ]
        last = structlog.dev.ConsoleRenderer(exception_formatter=_traceback, pad_event_to=24)
    else:
        shared = [
            structlog.contextvars.merge_contextvars,
            partial(_described, process),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
        ]
        last = _to_json
    if observers.tracer is not None:
        shared.insert(1, partial(_traced, observers.tracer))
    structlog.configure(
        processors=[*shared, last],
        # Directly to stdout: through the standard library a line takes four times as long, and each
        # job writes two.
        logger_factory=partial(_Logger, sys.stdout),
        # a call below the level costs nothing
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    bare = logging.StreamHandler(sys.stdout)
    bare.setFormatter(logging.Formatter("%(message)s"))
    values = logging.getLogger(metrics.LOGGER)
    values.handlers, values.propagate, values.disabled = [bare], False, is_pretty
    values.setLevel(logging.INFO)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name, quiet in QUIET.items():
        logging.getLogger(name).setLevel(max(level, quiet))
    logging.captureWarnings(True)


class _Logger:
    """Writes each line to `file` and flushes it; structlog reads `name`."""

    def __init__(self, file: TextIO, name: str = "") -> None:
        self.name = name
        self._file = file

    def info(self, line: str) -> None:
        # A job must not fail because its log cannot be written.
        with contextlib.suppress(OSError, ValueError):
            self._file.write(line + "\n")
            self._file.flush()

    debug = warning = error = critical = info


def _traced(
    tracer: observers.Tracer, logger: Any, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """The trace and the span in which the line is written."""
    if ids := tracer.ids():
        event["trace_id"], event["span_id"] = ids
    return event


def _described(
    process: str, logger: Any, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """What structlog's own processors add, in a third of their time: each job writes two lines."""
    event["logger"] = (event.get("_record") or logger).name  # that of a library, or ours
    event["level"] = method
    event["timestamp"] = datetime.now(UTC)
    event["process"] = process
    return event


def _redacted(event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Hide passwords, tokens and keys in the fields, and in what is in them."""
    found, is_hidden = {}, redact.name_check()
    for name, value in event.items():
        if name in PLAIN and name != "event":
            continue
        kind, end = type(value), name[-redact.NAME_MAX_CHARACTERS :]
        if kind is str:
            if "://" in value or is_hidden(end):
                found[name] = value
        elif kind not in SCALARS:
            found[name] = _readable(value)
        elif is_hidden(end):
            found[name] = value
    if found:
        event.update(redact.redacted(found))
    return event


def _readable(value: Any) -> Any:
    """The value as JSON has it: a payload may be a struct, a dataclass or in a tuple."""
    try:
        return msgspec.to_builtins(value, enc_hook=repr)
    except (TypeError, ValueError, RecursionError):
        return repr(value)


def _to_json(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    text = event["event"]
    if not (event.keys() <= PLAIN and type(text) is str and "://" not in text):
        event = _redacted(event)
    try:
        line = _ENCODER.encode(event).decode()
        # somebody may read the JSON on a terminal
        return line if line.isascii() and "\x7f" not in line else escape_json(line)
    except (TypeError, ValueError, ArithmeticError):  # half a surrogate pair, a number of 80 bits
        timestamp = f"{event['timestamp']:%Y-%m-%dT%H:%M:%S.%fZ}"
        return json.dumps({**event, "timestamp": timestamp}, default=repr)


def _escaped(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Escape the text of an event, which may hold payloads and errors, for the terminal."""
    event = _redacted(event)
    return {
        escape(key): escape(value, keep="\n\t" if key == "stack" else "")
        if isinstance(value, str)
        else value
        for key, value in event.items()
    }


def _traceback(stream: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    """Write a plain traceback: structlog's rich ones print local variables, so also payloads."""
    text = io.StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    stream.write(escape(redact.redacted_text(text.getvalue()), keep="\n\t"))
