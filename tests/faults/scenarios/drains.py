"""SIGTERM, as every deploy and every scale-in sends it."""

import asyncio
import signal
import time

from tests.faults.arena import Arena
from tests.faults.scenarios.load import fill, steady_load
from tests.faults.workers import WorkerProcess

TRACEBACK = "Traceback (most recent call last)"


async def idle(arena: Arena) -> None:
    """SIGTERM to a worker that has run jobs and waits for more."""
    for _ in range(arena.size(full=3, short=1)):
        (worker,) = await arena.start_workers()
        await arena.enqueue(count=20)
        await arena.at_rest(10)
        await asyncio.sleep(arena.random.uniform(0.0, 1.0))
        arena.hold("exit_s", await _terminate(arena, worker))
        arena.hold("exit_status", abs(worker.exit_status))


async def busy(arena: Arena) -> None:
    """SIGTERM one second into a job of five; it may finish."""
    (worker,) = await arena.start_workers(drain_seconds=20)
    await fill(arena, worker, 1, seconds=5)
    await asyncio.sleep(1)
    worker.send(signal.SIGTERM)
    status = await worker.exit(25)
    gone_at = time.monotonic()
    (run,) = arena.ledger.runs()
    arena.hold("interrupted", float(run.ended_at is None))
    arena.hold("exit_after_job_s", gone_at - (run.ended_at or 0), is_over=status is None)
    await arena.at_rest(1)
    arena.hold("attempts_burnt", await _attempts_burnt(arena))


async def enqueue_after(arena: Arena) -> None:
    """SIGTERM to a worker with eight free slots, then a hundred new jobs."""
    (worker,) = await arena.start_workers()
    await fill(arena, worker, 2, seconds=3)
    worker.send(signal.SIGTERM)
    await asyncio.sleep(0.5)
    late = set(await arena.enqueue(count=100))
    await worker.exit(25)
    starts = [run for run in arena.ledger.runs() if run.key in late]
    arena.hold("starts_after_sigterm", len(starts))
    await arena.start_workers()
    await arena.at_rest(20)


async def job_that_will_not_end(arena: Arena) -> None:
    """SIGTERM, two seconds to drain, and a job of minutes that ignores its cancellation."""
    (worker,) = await arena.start_workers(drain_seconds=2)
    await fill(arena, worker, 1, task="ignore_cancel", seconds=300, timeout=600)
    arena.victims.add(worker.pid)  # its job begins again elsewhere, as it has to
    asked = time.monotonic()
    worker.send(signal.SIGTERM)
    await arena.time("exit_s", lambda: not worker.is_alive, since=asked)
    arena.hold("exit_status", abs(worker.exit_status))
    arena.hurry()
    await arena.start_workers()
    await arena.at_rest(30)
    arena.hold("runs_too_many", len(arena.ledger.runs()) - 2)
    arena.hold("attempts_burnt", await _attempts_burnt(arena))


async def any_signal_any_time(arena: Arena) -> None:
    """SIGTERM or SIGINT while a worker starts; SIGTERM twice, SIGINT twice while it is busy."""
    unclean = 0
    for _ in range(arena.size(full=10, short=2)):
        worker = arena.spawn()
        await asyncio.sleep(arena.random.uniform(0.05, 1.5))
        worker.send(signal.SIGTERM)
        status = await worker.exit(10)
        # before it has put up its handlers, the signal ends it on the spot: nothing had begun
        unclean += status not in (0, -signal.SIGTERM) or TRACEBACK in worker.log
    for signum in (signal.SIGTERM, signal.SIGINT):
        (worker,) = await arena.start_workers()
        await fill(arena, worker, 5, seconds=2)
        worker.send(signum)
        await asyncio.sleep(0.3)
        worker.send(signum)
        unclean += await worker.exit(10) != 0 or TRACEBACK in worker.log
        await arena.at_rest(1)
    arena.hold("unclean_exits", unclean)


async def under_load(arena: Arena) -> None:
    """SIGTERM to every worker at its own random moment, again and again, under load."""
    async with steady_load(arena, jobs_per_second=60, seconds_max=0.3):
        for _ in range(arena.size(full=5, short=1)):
            exits = await asyncio.gather(
                *(
                    _terminate(arena, worker, after=arena.random.uniform(0.2, 3.0))
                    for worker in await arena.start_workers(3)
                )
            )
            active: int = await arena.database.fetchval(
                "SELECT count(*) FROM saq_jobs WHERE status IN ('active', 'aborting')"
            )
            arena.hold("left_active", active)
            arena.hold("attempts_burnt", await _attempts_burnt(arena))
            arena.hold("exit_s", max(exits))
    await arena.start_workers(2)
    await arena.at_rest(60)


async def _terminate(arena: Arena, worker: WorkerProcess, *, after: float = 0.0) -> float:
    """SIGTERM a worker; the seconds until it is gone."""
    await asyncio.sleep(after)
    asked = time.monotonic()
    worker.send(signal.SIGTERM)
    await worker.exit(30)
    return time.monotonic() - asked


async def _attempts_burnt(arena: Arena) -> int:
    """Attempts that the jobs have used and no run of theirs failed for."""
    if arena.engine.name == "stock":
        count: int = await arena.database.fetchval(
            "SELECT count(*) FROM saq_jobs WHERE"
            " (convert_from(job, 'UTF8')::jsonb ->> 'attempts')::int"
            " > CASE WHEN status = 'queued' THEN 0 ELSE 1 END"
        )
    else:
        count = await arena.database.fetchval(
            "SELECT count(*) FROM saq_jobs"
            " WHERE attempts > CASE WHEN status = 'queued' THEN 0 ELSE 1 END"
        )
    return count
