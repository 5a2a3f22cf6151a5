"""What a running job reports, and how it learns that it has to stop."""

import asyncio
import json
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from saq import Status

from service.api.routes.job_events import STREAMS_MAX
from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.worker.progress import Progress
from tests.conftest import Processes, until
from tests.service.api.api_process import Api, start_api
from tests.service.conftest import Ledger


async def put(queue: PostgresQueue, task: str, **payload: Any) -> str:
    job = await queue.enqueue(task, **payload)
    assert job is not None
    return job.key


async def test_progress_of_async_and_plain_tasks_is_seen_while_they_run(
    queue: PostgresQueue, processes: Processes
) -> None:
    keys = [
        await put(queue, "report_steps", steps=[40], seconds=30),
        await put(queue, "report_from_thread", steps=[40]),
    ]
    processes.start("worker")
    for key in keys:

        async def is_reported(key: str = key) -> bool:
            job = await queue.job(key)
            return job is not None and job.progress == 0.4

        await until(is_reported, seconds=20, what="its progress")
        job = await queue.job(key)
        assert job is not None
        assert job.meta["message"] == "at 40.0"


async def test_many_reports_a_second_are_few_writes_and_the_last_one_counts(
    queue: PostgresQueue, processes: Processes
) -> None:
    key = await put(queue, "report_steps", steps=[n / 10 for n in range(500)], seconds=0)
    waits = await put(queue, "report_steps", steps=[1, 2, 3], seconds=0.05)
    before = await lease_writes(queue)
    processes.start("worker")
    await until(lambda: is_ended(queue, key), seconds=20, what="the end")
    await until(lambda: is_ended(queue, waits), seconds=20, what="the end")
    assert await lease_writes(queue) - before < 30


async def lease_writes(queue: PostgresQueue) -> int:
    """Updated rows of the table of jobs, as Postgres counts them."""
    await queue.pool.execute("SELECT pg_stat_force_next_flush()")
    return int(
        await queue.pool.fetchval(
            "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'saq_jobs'"
        )
    )


async def is_ended(queue: PostgresQueue, key: str) -> bool:
    job = await queue.job(key)
    return job is not None and bool(job.completed)


@pytest.mark.parametrize("percent", [-1, 100.5])
async def test_a_percentage_that_is_none_fails_the_job_by_name(
    queue: PostgresQueue, ledger: Ledger, processes: Processes, percent: float
) -> None:
    job = await queue.enqueue("report_steps", steps=[percent], retries=1)
    assert job is not None
    processes.start("worker")
    await until(lambda: is_ended(queue, job.key), seconds=20)
    assert "must be 0 to 100" in (await ledger.tracked(job.key))["error"]


async def test_a_plain_task_that_checks_ends_as_soon_as_it_is_cancelled(
    queue: PostgresQueue, ledger: Ledger, processes: Processes
) -> None:
    key = await put(queue, "report_from_thread", steps=[10])
    processes.start("worker")

    async def is_running() -> bool:
        job = await queue.job(key)
        return job is not None and job.progress == 0.1

    await until(is_running, seconds=20)
    job = await queue.job(key)
    assert job is not None
    asked = time.monotonic()
    await queue.abort(job, "no longer wanted")
    await until(lambda: is_ended(queue, key), seconds=15)
    assert time.monotonic() - asked < 10, "it would have run for half a minute"
    tracked = await ledger.tracked(key)
    assert (tracked["status"], tracked["error"]) == ("aborted", "no longer wanted")


async def test_a_job_with_a_heartbeat_that_says_nothing_is_stopped(
    queue: PostgresQueue, ledger: Ledger, processes: Processes
) -> None:
    silent = await put(queue, "report_while_it_runs", reports=1)
    talks = await put(queue, "report_while_it_runs", reports=5)
    processes.start("worker")
    await until(lambda: is_ended(queue, silent), seconds=20)
    assert "no progress for its heartbeat of 1 s" in (await ledger.tracked(silent))["error"]
    await until(lambda: is_ended(queue, talks), seconds=20)
    assert (await ledger.tracked(talks))["status"] == "complete"


def events(answer: httpx.Response) -> list[dict[str, str]]:
    """The messages of a stream, to its end."""
    found, fields = [], dict[str, str]()
    for line in answer.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            found.append(fields)
            fields = {}
    return found


async def follow(api: Api, key: str, **headers: str) -> list[dict[str, str]]:
    def read() -> list[dict[str, str]]:
        with (
            api.client() as http,
            http.stream("GET", f"/api/v1/jobs/{key}/events", headers=headers, timeout=40) as answer,
        ):
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            return events(answer)

    return await asyncio.to_thread(read)


async def test_a_stream_sends_each_change_and_ends_with_the_job(
    queue: PostgresQueue, processes: Processes
) -> None:
    api = start_api(processes)
    with api.client() as http:
        assert http.get("/api/v1/jobs/nobody/events").status_code == 404
    key = await put(queue, "report_steps", steps=[25, 75], seconds=1.5)
    following = asyncio.create_task(follow(api, key))
    await asyncio.sleep(1)
    processes.start("worker")
    events_seen = await following
    assert [events_seen[0]["event"], events_seen[-1]["event"]] == ["queued", "complete"]
    said = [json.loads(each["data"]) for each in events_seen]
    assert {25.0, 75.0, 100.0} <= {each["progress"] for each in said}
    assert "at 25.0" in {each["message"] for each in said}
    assert await follow(api, key, **{"Last-Event-ID": events_seen[-1]["id"]}) == []
    (again,) = await follow(api, key, **{"Last-Event-ID": events_seen[0]["id"]})
    assert again["event"] == "complete"


async def test_streams_end_at_once_when_the_api_stops(
    queue: PostgresQueue, processes: Processes
) -> None:
    api = start_api(processes)
    key = await put(queue, "sleep", seconds=0)
    following = asyncio.create_task(follow(api, key))
    await asyncio.sleep(1)
    began = time.monotonic()
    (process,) = processes.started
    process.terminate()
    assert await asyncio.to_thread(process.wait, 20) == 0
    assert time.monotonic() - began < 8, "the drain time is 20 s"
    assert [each["event"] for each in await following] == ["queued"]


async def test_streams_are_bounded_and_the_place_of_a_client_that_left_is_free(
    queue: PostgresQueue, processes: Processes
) -> None:
    api = start_api(processes)
    key = await put(queue, "sleep", seconds=0)
    limits = httpx.Limits(max_connections=None)
    async with AsyncExitStack() as left, AsyncExitStack() as stack:
        http = await left.enter_async_context(
            httpx.AsyncClient(base_url=api.url, timeout=40, limits=limits)
        )

        async def open_stream() -> int:
            answer = await stack.enter_async_context(
                http.stream("GET", f"/api/v1/jobs/{key}/events")
            )
            return answer.status_code

        codes = await asyncio.gather(*(open_stream() for _ in range(STREAMS_MAX + 50)))
        assert Counter(codes) == {200: STREAMS_MAX, 503: 50}

        async def next_is(code: int) -> bool:
            async with http.stream("GET", f"/api/v1/jobs/{key}/events") as answer:
                return answer.status_code == code

        assert await next_is(503)
        await stack.aclose()
        await until(lambda: next_is(200), seconds=20, what="the places are free again")


async def test_meta_that_is_no_json_keeps_no_job_from_reporting(queue: PostgresQueue) -> None:
    job = await queue.enqueue("sleep", seconds=0)
    assert job is not None
    held = await queue.dequeue(timeout=10)
    assert held is not None
    held.meta["open file"] = object()
    await Progress(held, asyncio.get_running_loop()).report(40)
    await queue.finish(held, Status.COMPLETE)
    done = await queue.job(job.key)
    assert done is not None
    assert done.status is Status.COMPLETE
