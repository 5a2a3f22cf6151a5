"""A first job to try a stage with: what `moor up` and `make api` suggest."""

import json
import shlex
from collections.abc import Iterable
from typing import Any

HELLO = "hello"


def first_job(tasks: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The body of `POST /api/v1/jobs` for the first of `tasks` to which any text will do.

    One that also runs by itself is taken where there is no other; None where there is none.
    """
    for task in sorted(tasks, key=lambda each: each["schedule"] is not None):
        schema = task["payload_schema"]
        required = schema.get("required", [])
        if all(_is_any_text(schema["properties"][name]) for name in required):
            payload = {"payload": dict.fromkeys(required, HELLO)} if required else {}
            return {"task": task["name"]} | payload
    return None


def suggestion(url: str, tasks: Iterable[dict[str, Any]], *, header: str = "") -> str:
    """The command that enqueues such a job, or lists the tasks; `header` has the key."""
    key = f" -H {header}" if header else ""
    if (job := first_job(tasks)) is None:
        return f"curl -s {url}/api/v1/tasks{key}"
    body = shlex.quote(json.dumps(job))
    return f"curl -s {url}/api/v1/jobs{key} -H 'content-type: application/json' -d {body}"


def _is_any_text(field: dict[str, Any]) -> bool:
    """Not where it has a pattern, a length or a list of what is allowed."""
    return field.get("type") == "string" and field.keys() <= {"type", "title", "description"}
