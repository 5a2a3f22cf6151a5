"""Nothing that came from outside is obeyed by the operator's terminal, whichever command prints it.

The answers of the API and of AWS are hostile in each text; the commands are those of `moor`'s own
table, so that a new one is tried too.
"""

import io
import json
import re
import sys
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import boto3
import pytest
import structlog

from scripts.cli import main
from scripts.commands import COMMANDS, load
from scripts.errors import OperatorError
from scripts.logs.log_lines import render
from scripts.logs.log_reading import Event
from scripts.terminal.answer import (
    make_line,
    print_json,
    print_screen,
    print_table,
    print_traceback,
    say,
)
from scripts.terminal.render import COLOUR, Screen, shown
from scripts.twin.ecs.task_record import ask_to_stop
from service import logs
from service.contract import ProcessName
from service.escape import escape
from service.settings import Settings
from tests.scripts.deployed import one_command
from tests.scripts.world import REGION, World, deployed, end, put_stack, register

MARK = "pwned"
HOSTILE = (
    f"\x1b]0;{MARK}\x07\x1b[2J\x9b31m\x08\x7f\u202e\u2066\u200b\u2028\u2029\ufeff\U000e0041"
    "\r\nforged [red] [/] [link=file:///x]here"
)
TIME = "2026-11-22T04:00:00Z"
JOB = {
    name: HOSTILE
    for name in ("job_id", "queue", "task", "status", "error", "worker_id", HOSTILE)
} | {
    "attempts": 2, "crashes": 0, "created_at": TIME, "scheduled_at": TIME, "started_at": TIME,
    "finished_at": TIME, "payload": {HOSTILE: HOSTILE}, "result": HOSTILE, "created": False,
}  # fmt: skip
SCHEDULE = {
    name: HOSTILE for name in ("name", "task", "cron", "tz", "last_status", "last_error")
} | {
    "job_id": HOSTILE,
    "every": None,
    "declared": False,
    "enabled": True,
    "next_run_at": TIME,
    "last_run_at": TIME,
}
TASK = {
    "name": HOSTILE, "payload_schema": {"properties": {HOSTILE: {}}}, "timeout": HOSTILE,
    "retries": 3, "schedule": {"every": None, "cron": HOSTILE, "tz": HOSTILE},
    "description": HOSTILE,
}  # fmt: skip
QUEUE = {
    "name": HOSTILE, "queued": 1, "scheduled": 1, "active": 1, "failed": 1, "workers": 1,
    "oldest_due_seconds": 1.0,
}  # fmt: skip
CAUSE = {
    "task": HOSTILE, "status": HOSTILE, "cause": HOSTILE, "jobs": 2, "first_at": TIME,
    "last_at": TIME, "last_job_id": HOSTILE, "text": HOSTILE,
}  # fmt: skip
BULK = {
    "id": 1, "action": HOSTILE, "priority": None, "filter": {"task": HOSTILE}, "keys": None,
    "undoes": None, "undone_by": None, "who": HOSTILE, "state": HOSTILE, "percent": 1.0,
    "changed": 1, "error": HOSTILE, "created_at": TIME, "ended_at": TIME,
}  # fmt: skip
WORKER = {
    "id": HOSTILE, "pool": HOSTILE, "queues": [HOSTILE], "release": HOSTILE, "started_at": TIME,
    "running": [], "slots": 1, "draining": True,
}  # fmt: skip
PAGES: dict[str, dict[str, Any]] = {
    "workers": WORKER,
    "jobs": JOB,
    "bulk-actions": BULK,
    "schedules": SCHEDULE,
    "tasks": TASK,
    "queues": QUEUE,
}
DEV = ("--stage", "dev")
# They start or end processes of this machine, wait for a stage that moves, or synthesize: a wrong
# word only.
NOT_RUN = {
    "up", "down", "sleep", "wake", "open", "run", "psql", "tunnel", "cost", "preflight",
    "new-password", "keys rotate", "keys finish",
}  # fmt: skip
NOT_RUN_BARE = {"scale", "restart", "rollback"}


class Taken(BaseHTTPRequestHandler):
    """An API that says what its attacker likes."""

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind, *rest = self.path.partition("?")[0].removeprefix("/api/v1/").split("/")
        found: dict[str, Any] = {"items": [PAGES[kind]], "next_cursor": None}
        if rest == ["causes"]:
            found = {"items": [CAUSE], "looked_at": 2, "is_whole": False}
        elif rest or self.command != "GET":
            found = {**PAGES[kind], "retried": 1, "cleared": 1, "is_more": False}
        status = 200
        if self.command == "DELETE" or "cancel" in rest:
            status, found = 409, {"detail": HOSTILE, "errors": [{"field": HOSTILE}]}
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, *_: object) -> None: ...


@contextmanager
def _in_region(patch: pytest.MonkeyPatch) -> Iterator[None]:
    patch.setenv("AWS_DEFAULT_REGION", REGION)
    yield


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A stage of whose every text somebody else is the author."""
    with (
        pytest.MonkeyPatch.context() as patch,
        ThreadingHTTPServer(("127.0.0.1", 0), Taken) as api,
        _in_region(patch),
        deployed() as found,
    ):
        Thread(target=api.serve_forever, daemon=True).start()
        names = found.aws.names
        (secret,) = [boto3.client("secretsmanager").create_secret(Name="k", SecretString="x" * 20)]
        outputs = {
            "Url": f"http://127.0.0.1:{api.server_port}",
            "ApiKeySecret": secret["ARN"],
            **{
                f"{each.capitalize()}TaskDefinition": register(found.stage, each, f"\x1b[2J{MARK}")
                for each in (ProcessName.API, ProcessName.WORKER)
            },
        }
        put_stack(names.service_stack, outputs)
        for process in (ProcessName.API, ProcessName.WORKER):
            service = found.service(process)
            service.events.append({"id": "e", "createdAt": found.now, "message": HOSTILE})
            task = found.tasks(process)[0]
            ask_to_stop(task, HOSTILE, HOSTILE)
            end(task, 1)
            group = names.log_group(process)
            found.aws.call("logs", "create_log_group", logGroupName=group)
            client = boto3.client("logs")
            client.create_log_stream(logGroupName=group, logStreamName=f"{process}/{process}/abc")
            fields = {"event": HOSTILE, "level": HOSTILE, HOSTILE: HOSTILE, "exception": HOSTILE}
            lines = [HOSTILE, json.dumps(fields)]
            now = int(1000 * time.time())
            client.put_log_events(
                logGroupName=group,
                logStreamName=f"{process}/{process}/abc",
                logEvents=[{"timestamp": now, "message": line} for line in lines],
            )
        yield found
        api.shutdown()


def leaves() -> dict[tuple[str, ...], Any]:
    """Every command of `moor`, those within others too."""
    found: dict[tuple[str, ...], Any] = {}
    for name in COMMANDS:
        command = load(name)
        inner = getattr(command, "commands", None)
        found |= {(name, each): inner[each] for each in inner} if inner else {(name,): command}
    return found


LEAVES = leaves()


def deceives(text: str, *, colours: bool = False) -> list[str]:
    """What a terminal would obey, or an eye not see, in a command's output."""
    if colours:
        text = COLOUR.sub("", text)
    return [
        repr(each)
        for each in text
        if each not in "\n\t" and unicodedata.category(each) in {"Cc", "Cf", "Zl", "Zp", "Cs"}
    ]


def given(command: Any) -> Iterator[list[str]]:
    """Ways to type it, each with something hostile."""
    yield ["--" + HOSTILE]
    texts: list[str] = []
    for each in command.params:
        option = each.opts[-1] if each.param_type_name == "option" else None
        kind = each.type_descriptor.annotation
        words = [option, HOSTILE] if option else [HOSTILE]
        if kind is bool or option in {"--stage", "--home"}:
            continue
        if kind is str:
            texts += words
        else:
            yield words
    yield texts


@pytest.mark.parametrize("leaf", LEAVES, ids=" ".join)
def test_no_command_passes_on_what_it_is_typed_or_told(
    world: World, leaf: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    ways = [*given(LEAVES[leaf]), *([[]] if leaf[0] not in NOT_RUN_BARE else [])]
    with one_command():
        for words in ways[:1] if " ".join(leaf) in NOT_RUN else ways:
            main([*leaf, *DEV, *words])
            out, err = capsys.readouterr()
            assert not deceives(out + err), words
            assert not re.search(r"^forged", out + err, re.M), words
            assert out + err, words


READING = [
    ["bulk", "list"], ["bulk", "show", "1"], ["bulk", "undo", "1"], ["jobs", "causes"],
    ["workers"], ["workers", "drain", "w"],
    ["status"], ["deployments"], ["logs"], ["queues"], ["tasks"], ["jobs", "list"],
    ["jobs", "show", "k"], ["schedules", "list"], ["schedules", "show", "n"],
    ["jobs", "cancel", "k"], ["schedules", "delete", "n"], ["jobs", "enqueue", "t"],
    ["schedules", "run", "n"],
]  # fmt: skip


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_what_it_is_told_is_shown_escaped(
    world: World, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with one_command():
        main([*words, *DEV])
    out, err = capsys.readouterr()
    assert MARK in out + err
    if words != ["deployments"]:  # of an image's tag the beginning is shown
        assert r"\x1b]0;" in out + err


@pytest.mark.parametrize("words", [["jobs", "show", "k"], ["jobs", "list"], ["queues"]])
def test_json_is_exact_and_harmless(
    world: World, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with one_command():
        assert main([*words, *DEV, "--json"]) == 0
    out = capsys.readouterr().out
    assert not deceives(out)
    assert HOSTILE in str(json.loads(out)).encode().decode("unicode_escape") or HOSTILE in [
        value for item in _objects(json.loads(out)) for value in item.values()
    ]


def _objects(found: Any) -> list[dict[str, Any]]:
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize("text", [HOSTILE, "\ud800", "a\tb", "👨‍👩‍👧", "\u3164", "é ü 日本 🙂"])
def test_each_way_to_print_escapes(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(text)
    print_table(("a",), [(text,)])
    print_screen(make_line(text))
    print_json({text: text})
    print_traceback(ValueError, ValueError(text), None)
    screen = Screen({})
    screen.say(text)
    screen.title(text)
    screen.line(text, text)
    screen.fail(OperatorError(text, text))
    out, err = capsys.readouterr()
    assert not deceives(out + err)
    assert not re.search(r"^forged", out + err, re.M)
    (found,) = json.loads(out[out.index("{") : out.index("}") + 1])
    assert found == text


@pytest.mark.parametrize("text", ["é ü 日本 🙂", "a\\x1b", "[red]x[/] %s {0}", "مرحبا"])
def test_honest_text_stays_as_it_is(text: str) -> None:
    assert escape(text) == text


def test_our_colours_are_painted_and_no_others() -> None:
    fields = {"event": "\x1b[8mhidden", "level": "error", "key": HOSTILE}
    line = render(Event("1", 0, "worker", "abc", json.dumps(fields)), is_coloured=True)
    assert "\x1b[31merror" in line
    assert not deceives(line, colours=True)
    assert "\n" not in line


def test_what_is_made_of_shown_text_is_escaped_again() -> None:
    painted = shown("safe")
    assert shown(f"{painted}\x1b[2J") == r"safe\x1b[2J"


@pytest.mark.parametrize("name", ["pretty", "json"])
def test_a_process_at_a_terminal_escapes_its_lines(
    name: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    settings = Settings(stage="local", database_url="postgresql://x@localhost/x", log_format=name)
    try:
        logs.configure(settings, "worker")
        log = structlog.stdlib.get_logger("worker")
        log.warning(HOSTILE, key=HOSTILE, several=[HOSTILE], **{HOSTILE: HOSTILE})
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            log.exception("failed")
    finally:
        structlog.reset_defaults()
    text = stream.getvalue()
    assert text.count(MARK) >= 5
    assert not deceives(text, colours=True)
