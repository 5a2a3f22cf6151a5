"""What the console costs beside a long history: its pages, twenty viewers, and a bulk action."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import httpx

from service.queue.causes import JOBS_MAX
from service.queue.postgres import statements
from service.queue.postgres.surroundings import AROUND
from service.queue.tables import bulk_table, job_history, table_statements
from tests.benchmarks.measures import Sizes, Values, percentiles
from tests.benchmarks.measures.plans import read_plan, time_statement
from tests.benchmarks.stand import ROOT

LOOKS = 20  # at each page
VIEWERS = 20
BULK_JOBS = 100_000
PAGES = {
    "overview": "",
    "jobs": "jobs",
    "failed jobs": "jobs?status=failed",
    "failed jobs of a task": "jobs?status=failed&task=task7",
    "jobs with a text in the error": "jobs?error=RuntimeError",
    "jobs with a payload": "jobs?payload=user.id%3D7",
    "one job": "jobs/job-777",
    "dead letters": "dead-letters",
    "workers": "workers",
    "schedules": "schedules",
    "tasks": "tasks",
    "bulk actions": "bulk",
    "audit": "audit",
}
# What the pages ask beside the list of jobs, whose plans stand with its filters.
STATEMENTS: dict[str, tuple[str, list[Any]]] = {
    "a queue's figures": (statements.STATS, ["default"]),
    "runs of a day": (table_statements.READ_RUNS, [24.5]),
    "dead letters by cause": (job_history.CAUSES, [JOBS_MAX]),
    "dead letters of a task": (job_history.CAUSES_OF_TASK, [JOBS_MAX, "task7"]),
    "a job by its key": (job_history.FIND, ["job-777", "default"]),
    "its attempts": (job_history.ATTEMPTS, [777]),
    "its children": (job_history.CHILDREN, ["job-777", 777, 50]),
    "why it waits": (AROUND, [777]),
    "the workers": (table_statements.LIST_WORKERS, ["default"]),
    "bulk actions": (bulk_table.PAGE, [None, 50]),
}
FAILED = """
INSERT INTO saq_jobs (key, job, queue, status, task, error, attempts, lease, created_at, started_at,
                      finished_at, is_bad, scheduled, expire_at)
SELECT 'bulk-' || n, convert_to('{"function":"bulk","key":"bulk-' || n || '","queue":"default",'
       '"kwargs":{"user":{"id":' || n || '}},"status":"failed","attempts":1}', 'UTF8'),
       'default', 'failed', 'bulk', 'RuntimeError: no', 1, 2, now(), now(),
       now() - INTERVAL '1 s', TRUE, 1, 4102444800
FROM generate_series(1, $1::bigint) AS n
"""


async def look(pool: asyncpg.Pool, dsn: str, sizes: Sizes) -> Values:
    """Every page, as a browser gets it from an API process on that database."""
    await _service("migrate", dsn)
    async with _api(dsn) as api:
        pages = {name: await _page(api, path) for name, path in PAGES.items()}
        viewers = await _view(pool, api, sizes.idle_seconds)
    jobs = min(sizes.history // 10, BULK_JOBS)
    asked = {
        name: {
            "ms": await time_statement(pool, statement, arguments),
            "plan": await read_plan(pool, statement, arguments),
        }
        for name, (statement, arguments) in STATEMENTS.items()
    }
    bulk = await _bulk(pool, dsn, jobs)
    return {"pages": pages, "statements": asked, "viewers": viewers, "bulk": bulk}


async def _page(api: httpx.AsyncClient, path: str) -> Values:
    took: list[int] = []
    size = 0
    for _ in range(LOOKS):
        began = time.monotonic_ns()
        answer = await api.get(f"/console/{path}")
        took.append(time.monotonic_ns() - began)
        answer.raise_for_status()
        size = len(answer.content)
    p95 = sorted(took)[LOOKS * 95 // 100 - 1] / 1e6
    return percentiles(took) | {"p95_ms": p95, "bytes": size}


async def _view(pool: asyncpg.Pool, api: httpx.AsyncClient, seconds: float) -> Values:
    """Statements in a second with one and with twenty at the overview."""
    found = {}
    for viewers in (1, VIEWERS):
        async with AsyncExitStack() as stack:
            for _ in range(viewers):
                stream = await stack.enter_async_context(api.stream("GET", "/console/live"))
                task = asyncio.create_task(_read(stream))
                stack.callback(task.cancel)
            await asyncio.sleep(2)
            before = await _transactions(pool)
            await asyncio.sleep(seconds)
            # each statement is a transaction; one of them is our own question
            found[str(viewers)] = (await _transactions(pool) - before - 1) / seconds
    return found


async def _read(stream: httpx.Response) -> None:
    async for _ in stream.aiter_bytes():
        pass


async def _transactions(pool: asyncpg.Pool) -> int:
    await asyncio.sleep(1.2)  # a backend reports its transactions at most once in a second
    found: int = await pool.fetchval(
        "SELECT xact_commit + xact_rollback FROM pg_stat_database"
        " WHERE datname = current_database()"
    )
    return found


async def _bulk(pool: asyncpg.Pool, dsn: str, jobs: int) -> Values:
    """A retry of failed jobs from one filter; then again, by a process that is killed half-way."""
    await pool.execute(FAILED, jobs)
    asked = {"action": "retry", "filter": {"task": "bulk"}}
    async with _api(dsn) as api:
        began = time.monotonic()
        number = (await api.post("/api/v1/bulk-actions", json=asked)).json()["id"]
        await _done(api, number)
        whole = time.monotonic() - began
        began = time.monotonic()
        undo = (await api.post(f"/api/v1/bulk-actions/{number}/undo", json={})).json()["id"]
        await _done(api, undo)
        undone = time.monotonic() - began
    async with _api(dsn, is_killed=True) as api:
        number = (await api.post("/api/v1/bulk-actions", json=asked)).json()["id"]
        at = f"/api/v1/bulk-actions/{number}"
        while (now := (await api.get(at)).json())["changed"] < 0.4 * jobs:
            pass
    async with _api(dsn) as api:
        changed = (await _done(api, number))["changed"]
    lease = """SELECT count(*) FROM saq_jobs
        WHERE task = 'bulk' AND (status <> 'queued' OR lease <> 5)"""
    return {
        "jobs": jobs, "seconds": whole, "undo_seconds": undone, "killed_at": now["changed"],
        "changed": changed, "not_once": await pool.fetchval(lease),
    }  # fmt: skip


async def _done(api: httpx.AsyncClient, number: int) -> Values:
    async with asyncio.timeout(120):
        while True:
            found: Values = (await api.get(f"/api/v1/bulk-actions/{number}")).json()
            if found["state"] == "done":
                return found
            await asyncio.sleep(0.05)


@asynccontextmanager
async def _api(dsn: str, *, is_killed: bool = False) -> AsyncIterator[httpx.AsyncClient]:
    """An API process that answers, and a client of it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await _start("api", dsn, API_PORT=str(port))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            async with asyncio.timeout(60):
                while not await _answers(client):
                    await asyncio.sleep(0.1)
            yield client
    finally:
        if is_killed:
            process.kill()
        else:
            process.terminate()
        await process.wait()


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/health/ready")).is_success
    except httpx.TransportError:
        return False


async def _service(name: str, dsn: str) -> None:
    process = await _start(name, dsn)
    if await process.wait():
        raise RuntimeError(f"{name} has failed")


async def _start(name: str, dsn: str, **more: str) -> asyncio.subprocess.Process:
    environment = {
        "PATH": os.defpath, "STAGE": "local", "DATABASE_URL": dsn, "LOG_LEVEL": "warning",
    }  # fmt: skip
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service", name,
        cwd=ROOT, env=environment | more, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
