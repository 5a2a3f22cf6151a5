"""What `moor logs` shows of a line, and which lines it shows."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from scripts.commands.logs import is_wanted
from scripts.logs.log_lines import as_object, render, render_message
from scripts.logs.log_reading import Event
from service.contract import Metric, MetricDimension
from service.metrics import render as render_metrics
from tests.conftest import ROOT

AT = 1_767_225_600_123  # 2026-01-01 00:00:00.123 UTC


def line(message: str, process: str = "worker") -> Event:
    return Event("1", AT, process, "0a1b2c3d4e", message)


def logged(statement: str) -> str:
    """The line that the service's own logging writes for it."""
    code = (
        "import structlog\n"
        "from service import logs\nfrom service.settings import load_settings\n"
        "logs.configure(load_settings('worker'), 'worker')\n"
        f"log = structlog.stdlib.get_logger('worker')\n{statement}\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True,
        env={"STAGE": "local", "DATABASE_URL": "postgresql://x@localhost/x", "LOG_FORMAT": "json"},
    )  # fmt: skip
    return result.stdout


def test_our_json_line_becomes_level_event_and_fields() -> None:
    message = logged("log.info('job started', job_key='k1', text='two words', attempt=1, ok=None)")
    assert (
        render_message(message, is_coloured=False)
        == 'info    job started job_key=k1 text="two words" attempt=1 ok=null'
    )


def test_traceback_stands_below_its_line() -> None:
    message = logged("try:\n  1 / 0\nexcept Exception:\n  log.exception('oh')")
    first, *below = render_message(message, is_coloured=False).splitlines()
    assert first == "error   oh"
    assert below[0] == "    Traceback (most recent call last):"
    assert below[-1] == "    ZeroDivisionError: division by zero"


@pytest.mark.parametrize("message", ["plain text", "{not json", '{"no": "event field"}', "[1]"])
def test_line_of_another_form_is_shown_as_it_stands(message: str) -> None:
    assert render_message(message + "\n", is_coloured=False) == message


def test_line_says_process_ecs_task_and_local_time() -> None:
    local = datetime.fromtimestamp(AT / 1000, UTC).astimezone()
    assert (
        render(line("hello"), is_coloured=False)
        == f"worker  0a1b2c | {local:%Y-%m-%d %H:%M:%S}.123 hello"
    )


def test_colours_mark_the_process_and_change_no_word() -> None:
    message = json.dumps({"event": "x", "level": "error", "a": 1})
    plain, coloured = (str(render(line(message), is_coloured=each)) for each in (False, True))
    assert coloured.startswith("\x1b[35mworker  0a1b2c |\x1b[0m")
    assert "\x1b[31merror" in coloured
    for code in ("\x1b[35m", "\x1b[31m", "\x1b[1m", "\x1b[2m", "\x1b[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == plain


def test_metrics_are_for_machines_only() -> None:
    dimensions = {each: "x" for each in MetricDimension}
    emf = line(render_metrics(dimensions, {Metric.BACKLOG: 3}, milliseconds=AT))
    assert not is_wanted(emf, job_key="", text="", with_metrics=False)
    assert is_wanted(emf, job_key="", text="", with_metrics=True)
    assert as_object(emf)["message"]["Backlog"] == 3


@pytest.mark.parametrize(
    ("fields", "is_about_it"),
    [
        ({"event": "enqueued", "job_key": "k1"}, True),
        ({"event": "job started", "job_key": "k10"}, False),
        ({"event": "stuck", "job_keys": ["k0", "k1"]}, True),
        ({"event": "request", "path": "/api/v1/jobs/k1/retry"}, True),
        ({"event": "request", "path": "/api/v1/jobs/k1"}, True),
        ({"event": "request", "path": "/api/v1/jobs/k10"}, False),
        ({"event": "job started", "note": "k1"}, False),
    ],
)
def test_lines_of_a_job_are_those_that_name_its_key(
    fields: dict[str, object], is_about_it: bool
) -> None:
    event = line(json.dumps(fields))
    assert is_wanted(event, job_key="k1", text="", with_metrics=False) is is_about_it
    assert not is_wanted(line("k1 in plain text"), job_key="k1", text="", with_metrics=False)


def test_text_is_looked_for_in_any_line() -> None:
    assert is_wanted(line("abc def"), job_key="", text="c d", with_metrics=False)
    assert not is_wanted(line("abc def"), job_key="", text="C d", with_metrics=False)
