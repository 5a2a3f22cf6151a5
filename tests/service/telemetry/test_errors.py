"""Errors go to where SENTRY_DSN says, without secrets, payload and local variables."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from pydantic import SecretStr

from service import observers
from service.settings import Settings
from service.telemetry import sentry
from tests.conftest import ROOT, Processes, exit_status, until
from tests.service.conftest import Ledger
from tests.service.telemetry.receiver import Receiver, receiving

SECRET = "pa55-of-nobody"


def dsn(receiver: Receiver) -> str:
    return f"{receiver.url.replace('//', '//key@')}/1"


def events(receiver: Receiver) -> list[dict[str, Any]]:
    """The events of the envelopes that came: a line of JSON about each follows a header."""
    found = []
    for body in receiver.bodies:
        text = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
        lines = [json.loads(line) for line in text.splitlines() if line.startswith(b"{")]
        found += [line for line in lines if "exception" in line]
    return found


async def test_a_job_that_failed_for_good_is_an_event(
    processes: Processes, ledger: Ledger, queue: Any
) -> None:
    with receiving() as receiver:
        worker = processes.start("worker", LOG_FORMAT="json", SENTRY_DSN=dsn(receiver))
        job = await queue.enqueue("sign_in", password=SECRET, fail=True)
        await ledger.until_status(job.key, "failed")
        worker.terminate()
        assert await exit_status(worker, 30) == 0
        await until(lambda: bool(events(receiver)), what="the event")
    (event,) = events(receiver)
    assert event["transaction"] == "sign_in"
    assert event["environment"] == "local"
    about = {"task": "sign_in", "queue": "default", "job_key": job.key, "attempt": "1"}
    assert about.items() <= event["tags"].items()
    (value,) = event["exception"]["values"]
    address = "https://user:[hidden]@example.org/?access_token=[hidden]&page=1"
    assert value["type"] == "ValueError"
    assert value["value"] == f"the password '[hidden]' is wrong at {address}"
    assert value["stacktrace"]["frames"][-1]["function"] == "sign_in"
    assert "vars" not in json.dumps(event)
    assert SECRET not in json.dumps(event)


@pytest.fixture
def reset() -> Iterator[None]:
    yield
    sentry_sdk.init()
    observers.errors = None
    observers.closers.clear()


@pytest.mark.usefixtures("reset")
def test_an_error_of_a_request_is_an_event_and_a_burst_is_not_a_thousand() -> None:
    with receiving() as receiver:
        settings = Settings.model_construct(
            app_name="shop", stage="prod", sentry_dsn=SecretStr(dsn(receiver))
        )
        assert sentry.start(settings, "api") is None
        assert observers.errors is not None
        for _ in range(100):
            try:
                raise LookupError("nothing there\nDETAIL:  Key (mail)=(a@b.c) already exists.")
            except LookupError as error:
                observers.errors.request_failed(error, "GET", "/shop/{id:int}")
        observers.close()
    found = events(receiver)
    assert len(found) == sentry.EVENTS_PER_SECOND
    assert found[0]["transaction"] == "GET /shop/{id:int}"
    assert found[0]["tags"] == {"app": "shop", "process": "api", "method": "GET"}
    assert [each["value"] for each in found[0]["exception"]["values"]] == ["nothing there"]


class Unspeakable(Exception):
    """Cannot be told."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def test_an_error_that_cannot_be_told_raises_no_other_one() -> None:
    reports = sentry.Reports({})
    reports.request_failed(Unspeakable(), "GET", None)
    circle = ValueError("a")
    circle.__cause__ = circle
    reports.request_failed(circle, "GET", None)


@pytest.mark.usefixtures("reset")
def test_a_wrong_address_is_named_without_its_value() -> None:
    settings = Settings.model_construct(stage="prod", sentry_dsn=SecretStr(f"x{SECRET}"))
    problem = sentry.start(settings, "api")
    assert problem is not None
    assert "SENTRY_DSN" in problem
    assert SECRET not in problem
    assert observers.errors is None


STARTS = """
import sys
for name in sys.argv[1:]:
    sys.modules[name] = None  # as where it is not installed
import service.__main__, service.api.server.http_server
service.__main__.main(["worker"])
print([each for each in sys.modules if each.startswith(("service.telemetry", "opentelemetry.",
    "sentry_sdk")) and sys.modules[each]])
"""
# With a queue in memory a worker ends at the last moment: nobody could enqueue anything.
GIVEN = {
    "STAGE": "local", "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x", "QUEUE_DSN": "memory://",
    "LOG_FORMAT": "json",
}  # fmt: skip


def start(*missing: str, **environment: str) -> str:
    """What a worker says at its start, and what of telemetry it has imported."""
    done = subprocess.run(
        [sys.executable, "-c", STARTS, *missing],
        cwd=ROOT, env=GIVEN | environment, capture_output=True, text=True,
        check=False, timeout=30,
    )  # fmt: skip
    return done.stdout


def test_without_the_libraries_a_process_says_so_and_runs() -> None:
    told = start(
        "opentelemetry", "sentry_sdk", SENTRY_DSN="http://key@127.0.0.1:1/1",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
    )  # fmt: skip
    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    said = [line["event"] for line in lines if line["level"] == "error"]
    assert [line.split()[0] for line in said[:2]] == ["OTEL_EXPORTER_OTLP_ENDPOINT", "SENTRY_DSN"]
    assert "requirements-telemetry.lock" in said[0]


@pytest.mark.parametrize(
    "environment", [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}]
)
def test_off_is_not_even_imported(environment: dict[str, str]) -> None:
    # redis asks whether the API of OpenTelemetry is there, hence it is not
    assert start("opentelemetry", **environment).splitlines()[-1] == "[]"
