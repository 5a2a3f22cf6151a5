"""`moor jobs`, `queues` and `tasks` against a real API, found and opened as a deployed stage's."""

import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread
from typing import Any, Literal, cast

import pytest
import typer

from scripts.clock import Clock
from scripts.jobs.job import describe, read_job
from scripts.jobs.job_payload import read_payload
from scripts.jobs.job_search import search
from service.api.routes.queue_routes import _schema
from service.queue.tasks.payload import payload_type
from tests.scripts.deployed import Moor, deploy
from tests.service.api.api_process import API_KEY, Api

pytest_plugins = ["tests.service.api.conftest_api", "tests.scripts.conftest_deployed"]

DEV = ("--stage", "dev")


class Size(StrEnum):
    """Of a value that looks like a number."""

    SMALL = "1"


@pytest.mark.parametrize(
    ("words", "payload"),
    [
        (["count=3", "name=x"], {"count": 3, "name": "x"}),
        (["ok=true", "none=null", "share=0.5"], {"ok": True, "none": None, "share": 0.5}),
        (["zip=007", 'text="7"', "empty="], {"zip": "007", "text": "7", "empty": ""}),
        (["url=https://a/?b=c"], {"url": "https://a/?b=c"}),
        (["list=[1, 2]", 'map={"a": 1}'], {"list": [1, 2], "map": {"a": 1}}),
        (['{"count": 3}', "name=x"], {"count": 3, "name": "x"}),
        (["ratio=NaN"], {"ratio": "NaN"}),
        ([], {}),
    ],
)
def test_words_become_typed_fields(words: list[str], payload: dict[str, Any]) -> None:
    assert read_payload(words) == payload


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["count"], "'count' is neither KEY=VALUE"),
        (["=3"], "'=3' is neither"),
        (["{count: 3}"], "is not JSON"),
        (["count=3", "count=4"], "count is given twice"),
        (['{"count": 3}', "count=4"], "count is given twice"),
    ],
)
def test_a_word_that_is_no_field_is_refused(words: list[str], says: str) -> None:
    with pytest.raises(typer.BadParameter, match=re.escape(says)):
        read_payload(words)


def typed_task(  # noqa: PLR0917 - called by nobody
    ctx: Any, text: str, count: int, ratio: float, ok: bool, maybe: str | None, either: int | str,
    names: list[str], of: dict[str, int], when: datetime, price: Decimal, size: Size, raw: bytes,
    kind: Literal["1", "2"], level: Literal[1, 2], anything: Any = None,
) -> None: ...  # fmt: skip


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("text=5", "5"),
        ("text=5.0", "5.0"),
        ("text=true", "true"),
        ("text=null", "null"),
        ("text=[1, 2]", "[1, 2]"),
        ('text={"a": 1}', '{"a": 1}'),
        ("text= 5 ", " 5 "),
        ("text=1e400", "1e400"),
        ("text=a=b=c", "a=b=c"),
        ("text=", ""),
        ('text="5"', "5"),
        ("count=5", 5),
        ("count=five", "five"),
        ("ratio=5", 5),
        ("ok=false", False),
        ("ok=yes", "yes"),
        ("maybe=null", None),
        ("maybe=5", "5"),
        ("either=5", 5),
        ('either="5"', "5"),
        ('names=["a"]', ["a"]),
        ("names=[1]", [1]),
        ('of={"a": 1}', {"a": 1}),
        ("when=20260101", "20260101"),
        ("price=1.10", "1.10"),
        ("size=1", "1"),
        ("raw=1234", "1234"),
        ("kind=1", "1"),
        ("level=1", 1),
        ("anything=5", 5),
        ("unknown=5", 5),
    ],
)
def test_a_value_is_what_its_field_takes(word: str, value: Any) -> None:
    schema = _schema(payload_type(typed_task, "typed"))
    (found,) = read_payload([word], schema).values()
    assert (found, type(found)) == (value, type(value))


SUMMARY: dict[str, Any] = {
    "job_id": "a", "queue": "default", "task": "t", "status": "failed", "attempts": 2, "crashes": 0,
    "error": "Traceback\n  File\nValueError: no", "worker_id": "w",
    "created_at": "2026-11-22T04:00:00Z", "scheduled_at": "2026-11-22T04:00:00Z",
    "started_at": "2026-11-22T04:00:01.5Z", "finished_at": "2026-11-22T04:00:03Z",
}  # fmt: skip


def test_a_job_knows_how_long_its_last_attempt_took() -> None:
    assert read_job(SUMMARY).seconds == 1.5
    assert read_job(SUMMARY | {"finished_at": None}).seconds is None


def test_the_traceback_of_a_job_comes_last_and_whole() -> None:
    found = describe(SUMMARY | {"payload": {"é": 1}, "result": None})
    assert found.endswith("error\n  Traceback\n    File\n  ValueError: no")
    assert 'payload       {"é": 1}\n' in found
    assert "result" not in found


def test_why_a_job_waits_is_a_sentence() -> None:
    waiting = {"code": "no_worker", "message": "No live worker.", "job_id": None}
    assert "waiting_for   No live worker.\n" in describe(SUMMARY | {"waiting_for": waiting})


def test_each_attempt_is_a_line() -> None:
    attempt = {
        "attempt": 1, "outcome": "failed", "worker_id": "w", "error": "Traceback\nValueError: no",
        "started_at": "2026-11-22T04:00:01Z", "ended_at": "2026-11-22T04:00:02.5Z",
    }  # fmt: skip
    runs = attempt | {"attempt": 2, "outcome": "running", "error": None, "ended_at": None}
    found = describe(SUMMARY | {"attempts_made": [attempt, runs]})
    assert (
        "\nattempts_made 1 failed 2026-11-22 04:00:01 took 1.5 s on w: ValueError: no"
        "\n              2 running 2026-11-22 04:00:01 on w\nerror\n"
    ) in found


def test_a_job_goes_in_and_is_shown(
    deployed: Api, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    key = f"jobs/{uuid.uuid4()}"
    words = ("keep_note", "message=ping", "user_id=7", "--key", key, "--delay", "3600", *DEV)
    assert moor("jobs", "enqueue", *words) == 0
    out, err = capsys.readouterr()
    assert out == f"{key}\n"
    assert f"`moor jobs show {key} --stage dev`" in err

    assert moor("jobs", "enqueue", *words) == 0
    assert "nothing was enqueued" in capsys.readouterr().err

    assert moor("jobs", "show", key, "--json", *DEV) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["payload"] == {"message": "ping", "user_id": 7, "author": ""}
    assert shown["waiting_for"]["code"] == "not_due"
    assert moor("jobs", "show", key, *DEV) == 0
    assert "\nwaiting_for   It is due at 2" in capsys.readouterr().out

    assert moor("jobs", "list", "--task", "keep_note", "--status", "queued", *DEV) == 0
    assert key in capsys.readouterr().out

    assert moor("jobs", "cancel", key, *DEV) == 0
    assert capsys.readouterr().out == f"{key} is aborted\n"
    assert moor("jobs", "retry", key, *DEV) == 0
    assert capsys.readouterr().out == f"{key} is queued\n"


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (("enqueue", "keep_note"), (1, "payload.message")),
        (("enqueue", "keep_note", '{"message": 5}'), (1, "payload.message: Expected `str`")),
        (("enqueue", "no_such_task"), (7, "no task is named")),
        (("enqueue", "hooked", "fail"), (2, "neither KEY=VALUE")),
        (("show", "no such job"), (7, "no such job")),
        (("retry", "no such job"), (7, "no such job")),
        (("list", "--status", "lost"), (1, "status")),
        (("list", "--since", "soon"), (2, "neither how long ago")),
        (("list", "--payload", "user_id"), (1, "payload")),
        (("list", "--error", "x", "--status", "complete"), (1, "error")),
        (("clear", "--status", "complete"), (1, "status")),
    ],
)
def test_what_the_api_refuses_is_said_with_the_field(
    deployed: Api,
    moor: Moor,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    refusal: tuple[int, str],
) -> None:
    code, says = refusal
    assert moor("jobs", *words, *DEV) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert says in err


def test_failed_jobs_are_cleared_and_their_history_stays(
    deployed: Api, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = [f"clear-{uuid.uuid4()}" for _ in range(2)]
    waiting = f"wait-{uuid.uuid4()}"
    for key in (*keys, waiting):
        assert moor("jobs", "enqueue", "hooked", "--key", key, "--delay", "3600", *DEV) == 0
    deployed.sql(
        "UPDATE saq_jobs SET status = 'failed', error = 'it failed', expire_at = scheduled + 9999"
        " WHERE key = ANY($1::text[])",
        keys,
    )
    capsys.readouterr()

    assert moor("jobs", "clear", *DEV) == 0
    removed = capsys.readouterr().out
    assert int(removed.split()[0]) >= 2
    assert not deployed.sql("SELECT FROM saq_jobs WHERE status = 'failed'")
    assert deployed.sql("SELECT FROM saq_jobs WHERE key = $1", waiting)

    assert moor("jobs", "show", keys[0], "--json", *DEV) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["status"], shown["error"], shown["is_kept"]) == ("failed", "it failed", False)
    assert moor("jobs", "retry", keys[0], *DEV) == 1
    assert "no longer kept" in capsys.readouterr().err

    assert moor("jobs", "clear", "--json", *DEV) == 0
    assert json.loads(capsys.readouterr().out) == {"cleared": 0}


@pytest.fixture
def failed(deployed: Api, moor: Moor, capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    """The keys of failed jobs by their task; there are no others."""
    deployed.sql("DELETE FROM saq_jobs")
    payload = {"hooked": (), "keep_note": ("message=ping",)}
    keys = {task: [f"{task}-{uuid.uuid4()}" for _ in range(2)] for task in payload}
    for task, words in payload.items():
        for key in keys[task]:
            late = ("--key", key, "--delay", "3600")
            assert moor("jobs", "enqueue", task, *words, *late, *DEV) == 0
    deployed.sql(
        "UPDATE saq_jobs SET status = 'failed', error = 'it failed', attempts = 3,"
        " expire_at = scheduled + 9999"
    )
    capsys.readouterr()
    return keys


def statuses(api: Api) -> dict[str, tuple[str, int]]:
    """Status and attempts of every job, by key."""
    rows = api.sql("SELECT key, status, attempts FROM saq_jobs")
    return {row["key"]: (row["status"], row["attempts"]) for row in rows}


def test_failed_jobs_of_one_task_or_all_run_again_with_their_attempts(
    deployed: Api,
    moor: Moor,
    capsys: pytest.CaptureFixture[str],
    failed: dict[str, list[str]],
) -> None:
    assert moor("jobs", "retry", "--failed", "--task", "hooked", *DEV) == 0
    assert capsys.readouterr().out == "2 failed jobs queued again\n"
    assert statuses(deployed) == {
        **dict.fromkeys(failed["hooked"], ("queued", 0)),
        **dict.fromkeys(failed["keep_note"], ("failed", 3)),
    }

    assert moor("jobs", "retry", "--failed", *DEV) == 0
    assert capsys.readouterr().out == "2 failed jobs queued again\n"
    assert set(statuses(deployed).values()) == {("queued", 0)}

    key = failed["keep_note"][0]
    assert moor("jobs", "show", key, "--json", *DEV) == 0
    assert json.loads(capsys.readouterr().out)["payload"]["message"] == "ping"
    assert moor("jobs", "retry", "--failed", *DEV) == 0
    assert capsys.readouterr().out == "0 failed jobs queued again\n"


def test_more_failed_jobs_than_one_request_retries_run_again_in_several(
    deployed: Api, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.sql("DELETE FROM saq_jobs")
    deployed.sql(
        "INSERT INTO saq_jobs (key, job, queue, status, scheduled, task)"
        " SELECT 'again-' || n, convert_to(json_build_object('function', 'hooked', 'queue',"
        " 'default', 'key', 'again-' || n)::text, 'utf8'), 'default', 'queued', 1, 'hooked'"
        " FROM generate_series(1, 1500) n"
    )
    deployed.sql("UPDATE saq_jobs SET status = 'failed', expire_at = 99999999999")
    assert moor("jobs", "retry", "--failed", *DEV) == 0
    out, err = capsys.readouterr()
    assert out == "1500 failed jobs queued again\n"
    assert "1000 queued again so far" in err
    assert {status for status, _ in statuses(deployed).values()} == {"queued"}
    deployed.sql("DELETE FROM saq_jobs")


def test_failed_jobs_of_one_task_are_cleared_and_the_others_stay(
    deployed: Api,
    moor: Moor,
    capsys: pytest.CaptureFixture[str],
    failed: dict[str, list[str]],
) -> None:
    assert moor("jobs", "clear", "--task", "hooked", *DEV) == 0
    assert capsys.readouterr().out == "2 failed jobs removed\n"
    assert set(statuses(deployed)) == set(failed["keep_note"])
    assert moor("jobs", "clear", "--task", "hooked", *DEV) == 0
    assert capsys.readouterr().out == "0 failed jobs removed\n"
    assert moor("jobs", "clear", "--task", "no_such_task", *DEV) == 7
    assert "no task is named 'no_such_task'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [(), ("k", "--failed"), ("k", "--task", "hooked"), ("--task", "hooked")]
)
def test_a_retry_says_one_key_or_all_that_failed(
    moor: Moor, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert moor("jobs", "retry", *words, *DEV) == 2
    assert "--failed" in capsys.readouterr().err


def test_a_question_before_a_clear_says_which_jobs(
    aws: str, guarded_api: Api, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy("prod", guarded_api.url, API_KEY)
    assert moor("jobs", "clear", "--task", "hooked", "--stage", "prod") == 8
    assert "every failed job of hooked" in capsys.readouterr().err
    assert moor("jobs", "retry", "--failed", "--task", "hooked", "--stage", "prod") == 8
    assert "every failed job of hooked" in capsys.readouterr().err


def test_more_failed_jobs_than_a_statement_holds_are_cleared_in_several(
    deployed: Api, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.sql(
        "INSERT INTO saq_jobs (key, job, queue, status, scheduled, task)"
        " SELECT 'many-' || n, '{}', 'default', 'queued', 1, 'hooked'"  # nobody can read these
        " FROM generate_series(1, 2500) n"
    )
    deployed.sql(
        "UPDATE saq_jobs SET status = 'aborted', expire_at = 99999999999 WHERE key LIKE 'many-%'"
    )
    with deployed.client(**{"X-API-Key": API_KEY}) as http:
        first = http.delete("/api/v1/jobs", params={"status": "aborted"})
    assert first.json() == {"cleared": 1000, "is_more": True}
    assert moor("jobs", "clear", "--status", "aborted", "--json", *DEV) == 0
    assert json.loads(capsys.readouterr().out)["cleared"] >= 1500
    assert not deployed.sql("SELECT FROM saq_jobs WHERE status = 'aborted'")


@pytest.mark.parametrize("query", [{}, {"status": "complete"}, {"status": "failed", "key": "x"}])
def test_a_clear_that_does_not_say_what_it_clears_is_refused(
    guarded_api: Api, query: dict[str, str]
) -> None:
    with guarded_api.client(**{"X-API-Key": API_KEY}) as http:
        answer = http.delete("/api/v1/jobs", params=query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] in {"status", "key"}


def test_listing_follows_the_pages_up_to_the_limit(
    deployed: Api, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.sql(
        "INSERT INTO saq_jobs (key, job, queue, status, scheduled, is_delayed, task)"
        " SELECT 'page-' || n, '{}', 'default', 'queued', 99999999999, TRUE, 'paged'"
        " FROM generate_series(1, 450) n"
    )
    assert moor("jobs", "list", "--task", "paged", "--limit", "430", "--json", *DEV) == 0
    found = [job["job_id"] for job in json.loads(capsys.readouterr().out)]
    assert len(found) == len(set(found)) == 430


def test_filters_of_a_listing_combine(
    deployed: Api, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = str(uuid.uuid4())
    for number in (7, 8):
        words = ("keep_note", f"message={mark}", f"user_id={number}", "--key", f"{mark}-{number}")
        assert moor("jobs", "enqueue", *words, *DEV) == 0
    capsys.readouterr()

    def found(*words: str) -> list[str]:
        assert moor("jobs", "list", "--json", *words, *DEV) == 0
        return [job["job_id"] for job in json.loads(capsys.readouterr().out)]

    assert found("--key", f"{mark}-*") == [f"{mark}-8", f"{mark}-7"]
    both = ("--payload", f"message={mark}")
    assert found(*both, "--payload", "user_id=7") == [f"{mark}-7"]
    assert found(*both, "--since", "1h", "--status", "queued", "--queue", "default") == [
        f"{mark}-8", f"{mark}-7",
    ]  # fmt: skip
    assert found(*both, "--until", "1h") == found(*both, "--worker", "nobody") == []
    assert found(*both, "--since", "2100-01-01T00:00Z") == []


def test_a_search_says_how_far_it_has_looked_after_half_a_minute(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[Any] = []

    class Slow:
        """An API with a million jobs, of which the filter leaves one in ten thousand."""

        def get(self, *path: str, **query: Any) -> dict[str, Any]:
            asked.append(query["cursor"])
            at = datetime(2026, 11, 28, 12, tzinfo=UTC) - timedelta(hours=len(asked))
            return {
                "items": [{"n": len(asked)}], "next_cursor": str(len(asked)),
                "searched_until": at.isoformat(),
            }  # fmt: skip

    times = (datetime(2026, 11, 28, tzinfo=UTC) + timedelta(seconds=n) for n in count(0, 10))
    clock = Clock(now=lambda: next(times))
    found = list(search(cast(Any, Slow()), 20, {"worker": "w"}, clock))
    assert [each["n"] for each in found] == [1, 2, 3, 4]
    assert asked == [None, "1", "2", "3"]
    assert "looked back to 2026-11-28T08:00:00Z. `--until 2026-11-28T08:00:00Z`" in (
        capsys.readouterr().err
    )


def test_a_number_is_text_where_the_task_wants_text(
    deployed: Api, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert moor("jobs", "enqueue", "keep_note", "message=5", "user_id=5", "--json", *DEV) == 0
    key = json.loads(capsys.readouterr().out)["job_id"]
    assert moor("jobs", "show", key, "--json", *DEV) == 0
    payload = json.loads(capsys.readouterr().out)["payload"]
    assert (payload["message"], payload["user_id"]) == ("5", 5)

    assert moor("jobs", "enqueue", "keep_note", "message=5", "nobody=1", *DEV) == 1
    err = capsys.readouterr().err
    assert "nobody" in err
    assert "A value is JSON if its field accepts that, else text" in err
    late = ("--every", "1 day", *DEV)
    assert moor("schedules", "create", "by-number", "keep_note", "message=5", *late) == 0
    assert moor("schedules", "delete", "by-number", *DEV) == 0


def test_tasks_and_queues_are_listed(
    deployed: Api, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert moor("tasks", *DEV) == 0
    out = capsys.readouterr().out
    assert re.search(r"^keep_note +message \[user_id\] \[author\] +\d+ s", out, re.M)
    assert "0 3 * * * UTC" in out or re.search(r"\* UTC", out)
    assert moor("queues", "--json", *DEV) == 0
    (queue,) = json.loads(capsys.readouterr().out)
    assert queue["name"] == "default"
    assert moor("queues", "pause", "default", *DEV) == 0
    assert capsys.readouterr().out == "default is paused\n"
    assert moor("queues", *DEV) == 0
    assert re.search(r"^default .* paused$", capsys.readouterr().out, re.M)
    assert moor("queues", "resume", "default", "--json", *DEV) == 0
    assert json.loads(capsys.readouterr().out)["paused"] is False
    assert moor("queues", "pause", "mail", *DEV) == 7
    assert "no worker serves a queue 'mail'" in capsys.readouterr().err


def test_causes_of_failed_jobs_are_counted(
    deployed: Api, moor: Moor, capsys: pytest.CaptureFixture[str], failed: dict[str, list[str]]
) -> None:
    deployed.sql("UPDATE saq_jobs SET error = 'told by ' || key")
    assert moor("jobs", "causes", *DEV) == 0
    out = capsys.readouterr().out
    for task in failed:
        assert re.search(rf"^2 +failed +{task} +told by {task}-… +2", out, re.M)
    assert moor("jobs", "causes", "--task", "hooked", "--json", *DEV) == 0
    found = json.loads(capsys.readouterr().out)
    (cause,) = (each for each in found["items"] if each["error"] == "told by hooked-")
    assert (cause["jobs"], found["is_whole"]) == (2, True)
    assert cause["last_job_id"] in failed["hooked"]


def test_workers_are_listed_and_drained(
    deployed: Api, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.sql(
        "INSERT INTO queue_workers (id, queue, expires_at, pool, slots, can_drain)"
        " VALUES ('host-1', 'default', clock_timestamp() + INTERVAL '1 h', 'reports', 10, TRUE),"
        " ('host-2', 'default', clock_timestamp() + INTERVAL '1 h', '', NULL, FALSE)"
    )
    assert moor("workers", "drain", "host-1", *DEV) == 0
    assert capsys.readouterr().out == "host-1 drains\n"
    assert moor("workers", *DEV) == 0
    out = capsys.readouterr().out
    assert re.search(r"^host-1 +worker-reports +default .* 0 of 10 +drains$", out, re.M)
    assert re.search(r"^host-2 +worker +default .* 0 +-$", out, re.M)
    assert moor("workers", "drain", "host-2", *DEV) == 1
    assert "cannot be drained by itself" in capsys.readouterr().err
    assert moor("workers", "drain", "host-3", *DEV) == 7
    assert "no live worker is named 'host-3'" in capsys.readouterr().err
    assert moor("workers", "--json", *DEV) == 0
    assert [each["draining"] for each in json.loads(capsys.readouterr().out)] == [False, True]
    deployed.sql("DELETE FROM queue_workers")


@pytest.mark.parametrize(
    "words",
    [("clear",), ("cancel", "k"), ("retry", "k"), ("retry", "--failed"), ("enqueue", "hooked")],
)
def test_a_protected_stage_is_changed_only_with_yes(
    aws: str,
    guarded_api: Api,
    moor: Moor,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
) -> None:
    deploy("prod", guarded_api.url, API_KEY)
    assert moor("jobs", *words, "--stage", "prod") == 8
    assert "--yes" in capsys.readouterr().err
    assert moor("jobs", *words, "--stage", "prod", "--yes") in {0, 7}


def test_a_key_that_is_not_the_apis_is_refused_in_a_sentence(
    aws: str, guarded_api: Api, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy("dev", guarded_api.url, "another-key-of-forty-letters")
    assert moor("queues", *DEV) == 5
    assert "the API refuses this" in capsys.readouterr().err


def test_an_api_that_is_gone_is_named(
    aws: str, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy("dev", "http://127.0.0.1:1", API_KEY)
    assert moor("queues", *DEV) == 6
    assert "http://127.0.0.1:1 does not answer" in capsys.readouterr().err


class Nobody(BaseHTTPRequestHandler):
    """A load balancer without targets."""

    def do_GET(self) -> None:
        self.send_response(503)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(b"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>")


def test_a_balancers_page_of_html_is_told_by_its_status_alone(
    aws: str, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Nobody) as balancer:
        Thread(target=balancer.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{balancer.server_port}"
        deploy("dev", url, API_KEY)
        code = moor("queues", *DEV)
        balancer.shutdown()
    assert code == 6
    assert f"error: {url} answers 503: Service Unavailable\n" in capsys.readouterr().err
