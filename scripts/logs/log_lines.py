"""A log event as a line for people, and as an object."""

import json
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import unquote

from scripts.logs.log_reading import Event
from scripts.terminal.render import (
    BOLD,
    DIM,
    PREFIX_WIDTH,
    PROCESS_COLOURS,
    RED,
    YELLOW,
    Shown,
    indent,
    join,
    paint,
    shown,
)

LEVEL_COLOURS = {"warning": YELLOW, "error": RED, "critical": RED}
LEVEL_WIDTH = len("warning")
ID_SHOWN = 6  # characters of an ECS task's id, enough to distinguish a few
# Fields that the line shows elsewhere or that nobody needs.
LEFT_OUT = {"timestamp", "level", "event", "logger", "process", "exception", "stack"}
ECS = "ecs"  # instead of a process, for what ECS itself did


def parse(message: str) -> dict[str, Any] | None:
    """The fields of a line that is a JSON object; None for any other line."""
    if not message.startswith("{"):
        return None
    try:
        found = json.loads(message)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def is_metric(fields: dict[str, Any] | None) -> bool:
    """Is the line a metric for CloudWatch (service/metrics.py)?"""
    return fields is not None and "_aws" in fields


def names_job(fields: dict[str, Any] | None, job_key: str) -> bool:
    """Is the line about this job, or of a request for it (`POST /api/v1/jobs/KEY/retry`)?"""
    if fields is None:
        return False
    several = fields.get("job_keys")
    path = unquote(str(fields.get("path", "")))
    return (
        fields.get("job_key") == job_key
        or (isinstance(several, list) and job_key in several)
        or f"/{job_key}/" in f"{path}/"
    )


def as_object(event: Event) -> dict[str, Any]:
    """For --json: `message` is an object where the process wrote one."""
    return {
        "at": datetime.fromtimestamp(event.at / 1000).astimezone().isoformat(),
        "process": event.process,
        "ecs_task": event.ecs_task,
        "message": parse(event.message) or event.message,
    }


def render(event: Event, *, is_coloured: bool, width: int = PREFIX_WIDTH) -> Shown:
    """Process in `width` characters, ECS task, local time, level, event and fields."""
    colour = partial(paint, is_coloured=is_coloured)
    prefix = f"{event.process:<{width}} {event.ecs_task[:ID_SHOWN]:<{ID_SHOWN}} |"
    at = datetime.fromtimestamp(event.at / 1000).astimezone()
    time = at.strftime("%H:%M:%S.") + f"{event.at % 1000:03}"
    if at.date() != datetime.now().astimezone().date():
        time = f"{at:%Y-%m-%d} {time}"
    return join(
        " ",
        (
            colour(prefix, PROCESS_COLOURS.get(event.process.partition("-")[0], DIM)),
            colour(time, DIM),
            render_message(event.message, is_coloured=is_coloured),
        ),
    )


def render_message(message: str, *, is_coloured: bool) -> Shown:
    """`level event key=value`, with the traceback below; a line of another form unchanged."""
    fields = parse(message)
    if fields is None or "event" not in fields:
        return shown(message.rstrip("\n"), keep="\t")
    colour = partial(paint, is_coloured=is_coloured)
    level = str(fields.get("level", ""))
    words = [
        colour(f"{level:<{LEVEL_WIDTH}}", LEVEL_COLOURS.get(level, DIM)),
        colour(str(fields["event"]), BOLD),
        *(
            join("=", (colour(key, DIM), _value(fields[key])))
            for key in fields
            if key not in LEFT_OUT
        ),
    ]
    below = [indent(str(fields[key]), 4) for key in ("stack", "exception") if fields.get(key)]
    return join("\n", [join(" ", words), *below])


def _value(value: Any) -> str:
    if isinstance(value, str) and value and not any(each in value for each in ' "=\n'):
        return value
    return json.dumps(value, ensure_ascii=False)
