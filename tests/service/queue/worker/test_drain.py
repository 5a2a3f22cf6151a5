"""What a worker does between SIGTERM and its end."""

import signal
import time
from pathlib import Path

import pytest

from service.queue.postgres.postgres_queue import PostgresQueue
from tests.conftest import Processes, exit_status, until
from tests.prefork import Child
from tests.service.conftest import Ledger


async def test_idle_worker_is_gone_one_second_after_sigterm(
    ledger: Ledger, processes: Processes
) -> None:
    took = []
    for run in (1, 2, 3):  # where other tests keep the machine busy, one of them shows it
        worker = processes.start("worker")
        await ledger.until_event("worker start", run, seconds=30)
        worker.send_signal(signal.SIGTERM)
        asked_at = time.monotonic()
        assert await exit_status(worker, 15) == 0
        took.append(time.monotonic() - asked_at)
        if took[-1] <= 1.0:
            break
    assert min(took) <= 1.0, took
    assert (await ledger.events())[-1] == "worker stop"
    rows = await ledger.pool.fetch("SELECT * FROM queue_workers")
    assert rows == []


@pytest.mark.parametrize("variable", ["HANG_AT_START", "HANG_AT_STOP"])
async def test_hook_that_hangs_does_not_keep_the_process_after_sigterm(
    ledger: Ledger, processes: Processes, variable: str
) -> None:
    child = processes.start("worker", **{variable: "60"})
    await ledger.until_event("worker start")  # written by the hook before
    child.send_signal(signal.SIGTERM)
    assert await exit_status(child, 15) == 0
    assert "worker stopped" in processes.log(child)


async def test_sigterm_lets_the_running_job_finish_and_starts_no_other(
    queue: PostgresQueue, ledger: Ledger, worker: Child
) -> None:
    job = await queue.enqueue("sleep", seconds=2)
    assert job is not None
    await ledger.until_event("start")
    worker.send_signal(signal.SIGTERM)
    for _ in range(20):
        await queue.enqueue("sleep", seconds=0)
    assert await exit_status(worker, 5.0) == 0
    assert await ledger.status(job.key) == "complete"
    assert (await ledger.events()).count("start") == 1


async def test_a_worker_is_drained_from_elsewhere_as_by_sigterm(
    queue: PostgresQueue, ledger: Ledger, worker: Child, processes: Processes
) -> None:
    job = await queue.enqueue("sleep", seconds=2)
    assert job is not None
    await ledger.until_event("start")
    (found,) = await queue.list_workers()
    await queue.drain_worker(found.id)
    asked_at = time.monotonic()
    await until(lambda: "wants this worker to drain" in processes.log(worker))
    assert time.monotonic() - asked_at < 1.5, "it is woken, and does not wait for its next beat"
    for _ in range(20):
        await queue.enqueue("sleep", seconds=0)
    assert await exit_status(worker, 5.0) == 0
    assert await ledger.status(job.key) == "complete"
    assert (await ledger.events()).count("start") == 1
    assert await queue.pool.fetch("SELECT * FROM queue_workers") == []


@pytest.mark.parametrize("task", ["sleep", "sleep_through_cancel"])
async def test_job_longer_than_the_drain_is_queued_again_at_no_attempt(
    queue: PostgresQueue, ledger: Ledger, processes: Processes, task: str
) -> None:
    worker = processes.start("worker", DRAIN_SECONDS="1")
    job = await queue.enqueue(task, seconds=60)
    assert job is not None
    await ledger.until_event("start")
    worker.send_signal(signal.SIGTERM)
    assert await exit_status(worker, 1 + 5 + 5) == 0
    row = await ledger.tracked(job.key)
    assert (row["status"], row["attempts"], row["crashes"]) == ("queued", 0, 0)
    assert "shutdown" in row["error"]


async def test_plain_function_longer_than_the_drain_does_not_keep_the_process(
    queue: PostgresQueue, ledger: Ledger, processes: Processes, tmp_path: Path
) -> None:
    worker = processes.start("worker", DRAIN_SECONDS="1")
    path = tmp_path / "ledger"
    job = await queue.enqueue("sleep_in_thread", seconds=60, path=str(path))
    assert job is not None
    await until(path.exists)
    worker.send_signal(signal.SIGTERM)
    assert await exit_status(worker, 1 + 5 + 5) == 0
    row = await ledger.tracked(job.key)
    assert (row["status"], row["attempts"]) == ("queued", 0)
