"""A real worker process: what happens to its jobs when it fails, is killed or stopped."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from saq import Job

from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.tasks.registry import Registry
from tests.conftest import ROOT, OwnServer, Processes, exit_status, until
from tests.ports import free_port
from tests.prefork import Child
from tests.service.conftest import Ledger


def _get(url: str) -> Any:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url).json()
    return None


async def test_completed_job_is_tracked_with_its_times_and_worker(
    queue: PostgresQueue, ledger: Ledger, worker: Child
) -> None:
    job = await queue.enqueue("sleep", seconds=0)
    assert job is not None
    row = await ledger.until_status(job.key, "complete")
    assert row["task"] == "sleep"
    assert row["attempts"] == 1
    assert row["error"] is None
    assert row["worker_id"]
    assert row["created_at"] <= row["started_at"] <= row["finished_at"]
    stored = await queue.job(job.key)
    assert stored is not None
    assert stored.result == "slept"


async def test_failing_job_is_retried_and_its_success_clears_the_error(
    queue: PostgresQueue, ledger: Ledger, worker: Child
) -> None:
    job = await queue.enqueue("fail", times=2)
    assert job is not None
    row = await ledger.until_status(job.key, "complete")
    assert row["attempts"] == 3
    assert row["error"] is None
    assert await ledger.events(job.key) == ["run", "run", "run"]


async def test_job_that_always_fails_ends_after_its_attempts_with_the_error_text(
    queue: PostgresQueue, ledger: Ledger, worker: Child
) -> None:
    job = await queue.enqueue("fail", text="no such thing \x00 here")
    assert job is not None
    row = await ledger.until_status(job.key, "failed")
    assert row["attempts"] == 3
    assert "ValueError: no such thing" in row["error"]
    assert "tasks.py" in row["error"]


async def test_retry_waits_for_its_backoff(
    queue: PostgresQueue, ledger: Ledger, worker: Child
) -> None:
    job = await queue.enqueue("fail", times=1, retry_delay=2.0, retry_backoff=False)
    assert job is not None
    await ledger.until_event("run")
    row = await ledger.until_status(job.key, "queued")
    assert "ValueError" in row["error"]
    assert row["scheduled_at"] > row["started_at"]
    row = await ledger.until_status(job.key, "complete")
    assert (row["started_at"] - row["created_at"]).total_seconds() >= 2.0


async def test_job_that_overruns_its_timeout_is_cancelled_and_says_so(
    queue: PostgresQueue, ledger: Ledger, worker: Child
) -> None:
    job = await queue.enqueue("sleep", seconds=30, timeout=1, retries=1)
    assert job is not None
    row = await ledger.until_status(job.key, "failed")
    assert "TimeoutError: took longer than its timeout of 1 s" in row["error"]
    assert await ledger.events(job.key) == ["start"]


async def test_plain_function_that_overruns_never_runs_beside_itself(
    queue: PostgresQueue, ledger: Ledger, worker: Child, tmp_path: Path
) -> None:
    path = tmp_path / "ledger"
    job = await queue.enqueue("sleep_in_thread", seconds=2, path=str(path), timeout=1, retries=2)
    assert job is not None
    await ledger.until_status(job.key, "failed")
    assert path.read_text().split() == ["start", "end", "start", "end"]


async def test_running_job_is_cancelled_within_two_seconds(
    queue: PostgresQueue, ledger: Ledger, worker: Child
) -> None:
    job = await queue.enqueue("sleep", seconds=30)
    assert job is not None
    await ledger.until_event("start")
    asked = time.monotonic()
    await queue.abort(job, "not wanted any more")
    row = await ledger.until_status(job.key, "aborted")
    assert time.monotonic() - asked < 2
    assert row["error"] == "not wanted any more"
    assert "end" not in await ledger.events(job.key)


async def test_delayed_job_is_not_kept_waiting_by_a_backlog(
    queue: PostgresQueue, ledger: Ledger, processes: Processes
) -> None:
    processes.start("worker", WORKER_CONCURRENCY="2")
    await ledger.until_event("worker start")
    await queue.enqueue_many(Job("sleep", kwargs={"seconds": 0.1}) for _ in range(300))
    job = await queue.enqueue("sleep", seconds=0, delay=2, priority=0)
    assert job is not None
    await queue.pool.execute("UPDATE saq_jobs SET priority = 5 WHERE NOT is_delayed")
    row = await ledger.until_status(job.key, "complete")
    assert (row["started_at"] - row["scheduled_at"]).total_seconds() < 3
    assert (await queue.stats()).queued > 50, "the backlog was there all the time"


async def test_waiting_job_is_cancelled_at_once_and_never_runs(
    queue: PostgresQueue, ledger: Ledger, worker: Child
) -> None:
    job = await queue.enqueue("sleep", seconds=0, delay=2)
    assert job is not None
    await queue.abort(job, "not wanted any more")
    assert await ledger.status(job.key) == "aborted"
    last = await queue.enqueue("sleep", seconds=0, delay=3)
    assert last is not None
    await ledger.until_status(last.key, "complete")
    assert await ledger.events(job.key) == []


async def test_cancellation_raised_inside_a_job_is_a_failure_like_any_other(
    queue: PostgresQueue, ledger: Ledger, worker: Child
) -> None:
    job = await queue.enqueue("cancel_itself", retries=2)
    assert job is not None
    row = await ledger.until_status(job.key, "failed")
    assert row["attempts"] == 2
    assert "CancelledError" in row["error"]


async def test_result_without_json_form_fails_the_job_once_and_says_why(
    queue: PostgresQueue, ledger: Ledger, worker: Child
) -> None:
    job = await queue.enqueue("return_unstorable")
    assert job is not None
    row = await ledger.until_status(job.key, "failed")
    assert "its result cannot be stored as JSON" in row["error"]
    assert await ledger.events(job.key) == ["run"]


async def test_malformed_row_fails_with_a_reason_and_stops_nothing_else(
    queue: PostgresQueue, ledger: Ledger, worker: Child
) -> None:
    for key, blob in (("bad1", b"\xff\x00"), ("bad2", b"[1]"), ("bad3", b'{"function": 5}')):
        await queue.pool.execute(
            "INSERT INTO saq_jobs (key, job, queue, status) VALUES ($1, $2, 'default', 'queued')",
            key, blob,
        )  # fmt: skip
    job = await queue.enqueue("sleep", seconds=0)
    assert job is not None
    await ledger.until_status(job.key, "complete")
    for key in ("bad1", "bad2", "bad3"):
        row = await ledger.until_status(key, "failed")
        assert "malformed job" in row["error"]


async def test_hooks_run_around_a_job_and_an_error_in_them_has_one_outcome(
    queue: PostgresQueue, ledger: Ledger, worker: Child
) -> None:
    fine = await queue.enqueue("hooked")
    before = await queue.enqueue("hooked", fail="before", retries=2)
    after = await queue.enqueue("hooked", fail="after")
    broken = await queue.enqueue("hooked", fail="run", retries=1)
    assert fine
    assert before
    assert after
    assert broken
    await ledger.until_status(fine.key, "complete")
    await ledger.until_status(after.key, "complete")
    assert "before hook failed" in (await ledger.until_status(before.key, "failed"))["error"]
    await ledger.until_status(broken.key, "failed")
    await ledger.until_event("after RuntimeError", count=3)
    await ledger.until_event("after NoneType", count=2)
    assert await ledger.events(fine.key) == ["before", "run", "after NoneType"]
    # the outcome is written first, so a retry may begin beside the hook of the run before
    assert sorted(await ledger.events(before.key)) == sorted(["before", "after RuntimeError"] * 2)
    assert await ledger.events(broken.key) == ["before", "run", "after RuntimeError"]


async def test_payload_fields_named_like_job_options_reach_the_task(
    queue: PostgresQueue, ledger: Ledger, worker: Child
) -> None:
    given: dict[str, Any] = {
        "key": "mine", "timeout": 7, "queue": "other", "status": "new", "connection": "tcp",
    }  # fmt: skip
    job = await queue.enqueue("awkward_names", **given)
    assert job is not None
    assert job.key != "mine"
    assert job.timeout == 60
    await ledger.until_status(job.key, "complete")
    stored = await queue.job(job.key)
    assert stored is not None
    assert stored.result == given


async def test_jobs_of_a_killed_worker_run_again_within_twenty_seconds_at_no_attempt(
    queue: PostgresQueue, ledger: Ledger, processes: Processes, worker: Child
) -> None:
    job = await queue.enqueue("sleep", seconds=3, timeout=3600)
    assert job is not None
    await ledger.until_event("start")
    worker.kill()
    killed = time.monotonic()
    processes.start("worker")
    row = await ledger.until_status(job.key, "complete", seconds=30)
    assert time.monotonic() - killed < 20 + 3
    assert row["attempts"] == 1
    assert row["crashes"] == 1
    assert await ledger.events(job.key) == ["start", "start", "end"]


async def test_job_that_keeps_its_worker_busy_is_not_run_beside_itself(
    queue: PostgresQueue, ledger: Ledger, processes: Processes, worker: Child
) -> None:
    job = await queue.enqueue("block_the_loop", seconds=17)
    assert job is not None
    await ledger.until_event("start")
    processes.start("worker")
    row = await ledger.until_status(job.key, "complete", seconds=30)
    assert (row["attempts"], row["crashes"]) == (1, 0)
    assert await ledger.events(job.key) == ["start", "end"]


async def test_late_finish_of_a_frozen_worker_is_refused(
    queue: PostgresQueue, ledger: Ledger, processes: Processes, worker: Child
) -> None:
    job = await queue.enqueue("sleep", seconds=4)
    assert job is not None
    await ledger.until_event("start")
    worker.send_signal(signal.SIGSTOP)
    processes.start("worker")
    first = await ledger.until_status(job.key, "complete", seconds=30)
    worker.send_signal(signal.SIGCONT)
    await ledger.until_event("end", count=2)
    await until(lambda: "lease lost" in processes.log(worker), what="the late finish is dropped")
    assert await ledger.tracked(job.key) == first


async def test_job_that_kills_three_workers_is_failed_for_good(
    queue: PostgresQueue, ledger: Ledger, processes: Processes
) -> None:
    job = await queue.enqueue("kill_worker")
    assert job is not None
    for death in range(1, 4):
        worker = processes.start("worker")
        await exit_status(worker, 10)
        # the next worker would only rescue the job after the lease: rescue it now
        await queue.pool.execute(
            "UPDATE queue_workers SET expires_at = now() - interval '1 s' WHERE id <> $1",
            queue.owner,
        )
        # not within twelve seconds after the server's own start
        await until(queue.consumer.lease.rescue, seconds=20, what="the job is rescued")
        assert (await ledger.tracked(job.key))["crashes"] == death
    row = await ledger.tracked(job.key)
    assert row["status"] == "failed"
    assert "died 3 times" in row["error"]


async def test_outcome_is_written_when_the_database_returns_not_run_again(
    project: Path, own_server: OwnServer, tmp_path: Path, registry: Registry
) -> None:
    running = Processes(project, own_server.dsn, tmp_path)
    queue = PostgresQueue(own_server.dsn, registry)
    await queue.connect()
    try:
        running.start("worker")
        ledger = Ledger(queue.pool)
        await ledger.until_event("worker start")
        job = await queue.enqueue("sleep_in_thread", seconds=2, path=str(tmp_path / "ledger"))
        assert job is not None
        await until((tmp_path / "ledger").exists)
        own_server.stop()
        await asyncio.sleep(5)
        own_server.start()
        await ledger.until_status(job.key, "complete", seconds=30)
        assert (tmp_path / "ledger").read_text().split() == ["start", "end"]
        log = running.log(running.started[0])
        assert "outcome not written yet" in log
        assert log.count("cannot renew the lease") == 1, "one line for an outage"
    finally:
        await queue.disconnect()
        running.stop_all()


async def test_health_check_follows_the_heartbeat(worker: Child, processes: Processes) -> None:
    def check(path: Path) -> int:
        return subprocess.run(
            [sys.executable, "-m", "service", "healthcheck"],
            cwd=ROOT,
            env={"WORKER_HEARTBEAT_FILE": str(path)},
            check=False,
            capture_output=True,
        ).returncode

    heartbeat = processes.folder / "heartbeat-0"
    await until(heartbeat.exists)
    assert check(heartbeat) == 0
    os.utime(heartbeat, (time.time() - 60, time.time() - 60))
    assert check(heartbeat) == 1
    assert check(processes.folder / "nothing-here") == 1


async def test_plain_saq_runs_the_settings_object_and_its_web_page(
    project: Path, queue: PostgresQueue, ledger: Ledger, tmp_path: Path, database: str
) -> None:
    output, port = tmp_path / "saq.log", str(free_port())
    with output.open("wb") as log:
        saq = subprocess.Popen(
            [sys.executable, "-m", "saq", "service.queue.worker.settings", "--web", "--port", port],
            cwd=project,
            env={
                "PATH": os.environ["PATH"],  # noqa: TID251
                "STAGE": "local",
                "DATABASE_URL": database,
                "DRAIN_SECONDS": "1",
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        job = await queue.enqueue("keep_note", message="for plain saq")
        assert job is not None
        row = await ledger.until_status(job.key, "complete")
        assert row["attempts"] == 1
        page = await until(lambda: _get(f"http://127.0.0.1:{port}/api/queues/default"))
        assert page["queue"]["workers"]
    finally:
        saq.terminate()
        saq.wait(30)
    assert "Traceback" not in output.read_text()
