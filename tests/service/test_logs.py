"""What is in the log of a process, and what is not."""

import contextlib
import dataclasses
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Literal

import httpx
import pytest
import structlog

from service import logs
from service.settings import Settings
from tests.conftest import ROOT


@contextlib.contextmanager
def logging_as_deployed(form: Literal["json", "pretty"] = "json") -> Iterator[None]:
    before = logging.getLogger().handlers
    try:
        logs.configure(Settings.model_construct(log_level="info", log_format=form), "worker")
        yield
    finally:
        logging.getLogger().handlers = before
        structlog.reset_defaults()


def test_what_a_task_asks_for_by_http_is_not_logged_with_its_secrets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    with logging_as_deployed(), httpx.Client(transport=transport) as client:
        client.get("https://example.org/feed?token=secret")
        logging.getLogger("worker").info("asked")
    (line,) = capsys.readouterr().out.splitlines()
    assert '"asked"' in line


@pytest.mark.parametrize(
    "value",
    [
        "half a pair \ud83d",
        2**80,
        float("nan"),
        b"\xff",
        {1: "x"},
        {("a", 1)},
        ROOT,
        ValueError("x"),
    ],
    ids=repr,
)
def test_any_value_can_be_logged(capsys: pytest.CaptureFixture[str], value: object) -> None:
    with logging_as_deployed():
        structlog.stdlib.get_logger("worker").info("seen", value=value)
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["event"] == "seen"


@pytest.mark.parametrize("form", ["json", "pretty"])
def test_a_process_goes_on_where_its_log_cannot_be_written(form: str) -> None:
    code = """
import os, sys, structlog
from service import logs
from service.settings import load_settings
logs.configure(load_settings("worker"), "worker")
log = structlog.stdlib.get_logger("worker")
log.info("for an old terminal: \\N{SNOWMAN} \\ud83d")
reader, writer = os.pipe()
os.dup2(writer, 1)
os.close(writer)
os.close(reader)
log.info("nobody reads this")
os.write(2, b"goes on")
os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True,
        env={
            "STAGE": "local", "DATABASE_URL": "postgresql://x@localhost/x", "LOG_FORMAT": form,
            "PYTHONIOENCODING": "ascii",
        },
    )  # fmt: skip
    assert done.stderr == "goes on"
    assert "for an old terminal" in done.stdout


def test_a_line_of_ours_has_the_fields_of_a_library_s_line() -> None:
    code = """
import logging, structlog
from service import logs
from service.settings import load_settings
logs.configure(load_settings("worker"), "worker")
structlog.contextvars.bind_contextvars(job_key="k")
for log in (structlog.stdlib.get_logger("some"), logging.getLogger("some")):
    log.debug("not shown")
    log.warning("careful")
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("oh")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True,
        env={"STAGE": "local", "DATABASE_URL": "postgresql://x@localhost/x", "LOG_FORMAT": "json"},
    )  # fmt: skip
    ours, ours_failed, theirs, theirs_failed = map(json.loads, done.stdout.splitlines())
    for line in (ours, theirs, ours_failed, theirs_failed):
        assert line.pop("timestamp").endswith("Z")
    assert ours == theirs == {
        "event": "careful", "level": "warning", "logger": "some", "process": "worker",
        "job_key": "k",
    }  # fmt: skip
    assert ours_failed == theirs_failed
    assert ours_failed["level"] == "error"
    assert ours_failed["exception"].endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize("form", ["json", "pretty"])
def test_a_line_holds_no_password(capsys: pytest.CaptureFixture[str], form: Any) -> None:
    @dataclasses.dataclass
    class Login:
        user: str
        password: str

    with logging_as_deployed(form):
        log = structlog.stdlib.get_logger("worker")
        log.info("one", password="hunter2", user="ada")
        log.info("two", logins=[Login("ada", "hunter2")], payload={"x": ({"apiKey": "hunter2"},)})
        log.info("to redis://:hunter2@h", url="https://ada:hunter2@h/?token=hunter2")
        no_text: Any = {"token": "hunter2"}
        log.info(no_text)
        logging.getLogger("of.a.library").warning("to redis://:hunter2@%s", "h")
        try:
            raise ValueError("postgresql://ada:hunter2@h")
        except ValueError:
            log.exception("failed")
    text = capsys.readouterr().out
    assert text.count("[hidden]") == 10
    assert text.count("ada") >= 3
    assert "hunter2" not in text
