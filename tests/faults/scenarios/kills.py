"""Workers that die or stop moving: their jobs must run elsewhere, and soon."""

import asyncio
import signal
import time

import asyncpg

from tests.faults.arena import Arena
from tests.faults.scenarios.load import fill, run_again, seconds_until_run_again, steady_load

CONCURRENCY = 5
SWEEP_OFTEN = {"STOCK_SWEEP_SECONDS": "2"}  # the control need not wait a minute each time


async def kill_one_of_four(arena: Arena) -> None:
    """SIGKILL one of four workers every five seconds, under load; a new one takes its place."""
    workers = await arena.start_workers(4, concurrency=CONCURRENCY)
    killed: list[tuple[int, float]] = []
    async with steady_load(arena, jobs_per_second=30, seconds_max=0.5):
        for _ in range(arena.size(full=8, short=2)):
            await asyncio.sleep(5)
            victim = workers.pop(arena.random.randrange(len(workers)))
            killed.append((victim.pid, arena.hurt(victim, signal.SIGKILL)))
            workers += await arena.start_workers(concurrency=CONCURRENCY)
    await arena.at_rest(45)
    waits = [seconds_until_run_again(arena, pid, at) for pid, at in killed]
    arena.hold("run_again_s", max(seconds for wait in waits for seconds in wait))
    arena.hold("extra_runs_per_kill", max(len(wait) for wait in waits))


async def kill_all_and_restart(arena: Arena) -> None:
    """SIGKILL every worker at once, then start new ones."""
    first, second = await arena.start_workers(2)
    await arena.enqueue(count=40, seconds=60, timeout=3600)
    await arena.wait(lambda: len(arena.ledger.runs()) >= 20, "both workers are full")
    killed = arena.hurt(first, signal.SIGKILL)
    arena.hurt(second, signal.SIGKILL)
    arena.hurry()
    await arena.enqueue(count=10)
    restarted = time.monotonic()
    await arena.start_workers(2)

    await arena.time("first_job_s", lambda: arena.has_begun(after=restarted), since=restarted)
    await run_again(arena, "run_again_s", [first.pid, second.pid], since=killed)
    await arena.at_rest(30)


async def thousand_orphans(arena: Arena) -> None:
    """SIGKILL a worker that runs a thousand jobs; another one is there."""
    count = arena.size(full=1000, short=100)
    (victim,) = await arena.start_workers(concurrency=count)
    await fill(arena, victim, count, seconds=300, timeout=3600)
    await arena.start_workers()
    arena.hurry()
    killed = arena.hurt(victim, signal.SIGKILL)

    async def nobody_waits() -> bool:
        held: int = await arena.database.fetchval(
            "SELECT count(*) FROM saq_jobs WHERE status IN ('active', 'aborting')"
            " AND key = ANY($1::text[])",
            [run.key for run in arena.ledger.runs() if run.pid == victim.pid],
        )
        return held <= 10  # that many run at the survivor

    await arena.time("queued_again_s", nobody_waits, since=killed)
    await arena.at_rest(60)


async def freeze_one_kill_one(arena: Arena) -> None:
    """SIGSTOP the worker that has been up longest, SIGKILL another; the third must do it all."""
    count = arena.size(full=8, short=3)
    (frozen,) = await arena.start_workers(concurrency=count)
    await fill(arena, frozen, count, seconds=300, timeout=3600)
    (killed,) = await arena.start_workers(concurrency=count)
    await fill(arena, killed, count, seconds=300, timeout=3600)
    await arena.start_workers(concurrency=4 * count)
    hurt_at = arena.hurt(frozen, signal.SIGSTOP)
    arena.hurt(killed, signal.SIGKILL)
    arena.hurry()
    await run_again(arena, "run_again_s", [frozen.pid, killed.pid], since=hurt_at)
    await asyncio.sleep(arena.size(full=10, short=0))
    frozen.send(signal.SIGCONT)
    await arena.at_rest(30)


async def late_finish(arena: Arena) -> None:
    """SIGSTOP a worker until its job has been done elsewhere, then let it finish too."""
    (other,) = await arena.start_workers(concurrency=1, environment=SWEEP_OFTEN)
    await fill(arena, other, 1, seconds=4)
    (frozen,) = await arena.start_workers(concurrency=1, environment=SWEEP_OFTEN)
    (key,) = await fill(arena, frozen, 1, seconds=2, timeout=6)
    arena.hurt(frozen, signal.SIGSTOP)

    async def row() -> tuple[str, str]:
        (found,) = await arena.database.fetch("SELECT * FROM saq_jobs WHERE key = $1", key)
        return found["status"], repr(found)

    async def is_done() -> bool:
        return (await row())[0] in ("complete", "failed", "aborted")

    await arena.wait(is_done, "done elsewhere", 90)
    before = await row()
    frozen.send(signal.SIGCONT)
    await asyncio.sleep(arena.size(full=8, short=4))
    arena.hold("overwritten", float(await row() != before))
    await arena.at_rest(10)


async def slow_but_alive(arena: Arena) -> None:
    """A job that takes twice as long as a lease, in a worker that is well."""
    await arena.start_workers(2, concurrency=3)
    await arena.enqueue(count=4, seconds=arena.size(full=30, short=5), timeout=3600)
    await arena.enqueue("block", count=2, seconds=arena.size(full=30, short=5), timeout=3600)
    await arena.at_rest(60)
    arena.hold("runs", len(arena.ledger.runs()))


async def killed_before_it_heard(arena: Arena) -> None:
    """SIGKILL a worker whose claim is committed and which has begun none of its jobs."""
    (other,) = await arena.start_workers(1, {"DATABASE_URL": arena.engine.dsn}, concurrency=1)
    await fill(arena, other, 1, seconds=300, timeout=600)
    keys = await arena.enqueue(count=10)
    arena.proxy.freeze_at(keys[0].encode())
    (victim,) = await arena.start_workers()
    claimed = "SELECT count(*) = 10 FROM saq_jobs WHERE status = 'active' AND key = ANY ($1)"
    await arena.wait(lambda: arena.database.fetchval(claimed, keys), "claimed")
    killed = arena.hurt(victim, signal.SIGKILL)
    arena.hold("begun_by_the_victim", float(arena.has_begun(*keys)))
    arena.hurry()
    await arena.time("run_again_s", lambda: arena.has_begun(*keys), since=killed)
    await arena.at_rest(10)


async def late_claim(arena: Arena) -> None:
    """SIGSTOP a worker with six jobs of one claim until half have ended elsewhere and half run."""
    brief = await arena.enqueue(count=3, seconds=2)
    long = await arena.enqueue(count=3, seconds=8)
    (frozen,) = await arena.start_workers(concurrency=6)
    await arena.wait(lambda: arena.has_begun(*brief, *long), "six jobs run")
    arena.hurt(frozen, signal.SIGSTOP)
    claims = await arena.database.fetch("SELECT jobs FROM queue_claims")
    assert [len(claim["jobs"]) for claim in claims] == [6], "all of one claim"
    await arena.start_workers(concurrency=6)

    async def ended() -> dict[str, asyncpg.Record]:
        found = await arena.database.fetch("SELECT * FROM saq_jobs WHERE status = 'complete'")
        return {row["key"]: row for row in found}

    async def half_ended() -> dict[str, asyncpg.Record] | None:
        found = await ended()
        return found if found.keys() == set(brief) else None

    def ended_by(is_frozen: bool) -> set[str]:
        """The jobs that ran to their end in the frozen worker, or elsewhere."""
        runs = arena.ledger.runs()
        return {run.key for run in runs if run.ended_at and (run.pid == frozen.pid) is is_frozen}

    before = await arena.wait(half_ended, "half have ended elsewhere")
    frozen.send(signal.SIGCONT)
    await arena.wait(lambda: len(ended_by(is_frozen=True)) == 6, "its own six runs have ended")
    await asyncio.sleep(1)  # for their outcomes
    after = await ended()
    early = after.keys() - ended_by(is_frozen=False)
    changed = [key for key, row in before.items() if after.get(key) != row]
    arena.hold("late_outcomes_written", len(early) + len(changed))
    await arena.at_rest(20)
    rested = time.monotonic()

    async def has_no_claim() -> bool:
        return not await arena.database.fetchval("SELECT count(*) FROM queue_claims")

    await arena.time("claims_gone_s", has_no_claim, since=rested)
