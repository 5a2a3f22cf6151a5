"""The job that is suggested to who has just started a stage."""

import json
import shlex
from typing import Any

import pytest

from scripts.jobs.first_job import first_job, suggestion

TEXT = {"type": "string"}


def task(name: str, *, is_scheduled: bool = False, **required: dict[str, Any]) -> dict[str, Any]:
    """As `/api/v1/tasks` lists it; `more` is a field that may be left out."""
    schema = {"properties": {**required, "more": {"type": "integer"}}, "required": list(required)}
    schedule = {"cron": "0 * * * *"} if is_scheduled else None
    return {"name": name, "payload_schema": schema, "schedule": schedule}


NIGHTLY = task("nightly", is_scheduled=True)
HARD = [
    task("numbered", count={"type": "integer"}),
    task("patterned", to={"type": "string", "pattern": "@"}),
    task("chosen", kind={"enum": ["a", "b"]}),
    task("nested", of={"$ref": "#/$defs/Address"}),
]


@pytest.mark.parametrize(
    ("tasks", "body"),
    [
        ([task("bill", text=TEXT)], {"task": "bill", "payload": {"text": "hello"}}),
        ([NIGHTLY, *HARD, task("bill")], {"task": "bill"}),
        ([*HARD, NIGHTLY], {"task": "nightly"}),
        (HARD, None),
        ([], None),
    ],
)
def test_it_is_one_that_any_text_satisfies_and_runs_by_itself_only_where_no_other_is(
    tasks: list[dict[str, Any]], body: dict[str, Any] | None
) -> None:
    assert first_job(tasks) == body


def test_the_command_is_what_a_shell_reads() -> None:
    words = shlex.split(suggestion("http://x", [task("it's", text=TEXT)], header='"X-API-Key: k"'))
    assert words[:5] == ["curl", "-s", "http://x/api/v1/jobs", "-H", "X-API-Key: k"]
    assert json.loads(words[-1]) == {"task": "it's", "payload": {"text": "hello"}}


def test_where_no_task_can_be_tried_so_the_command_lists_them() -> None:
    assert suggestion("http://x", HARD) == "curl -s http://x/api/v1/tasks"
