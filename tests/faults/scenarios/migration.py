"""A database in use goes over to this release while both releases work, and goes back."""

import asyncio
import contextlib
import shutil
import signal
import time
from collections.abc import AsyncIterator

import asyncpg

from service.db import QUEUE_SESSION, UNAVAILABLE
from service.migrate import migrate
from service.queue.job import CRASHES_MAX
from tests.faults import checker
from tests.faults.arena import Arena
from tests.faults.scenarios.load import Load, steady_load
from tests.faults.workers import WorkerProcess
from tests.service.queue.postgres.earlier import FIRST_OF_THIS_RELEASE, Earlier

EARLIER = ("-m", "tests.faults.earlier")
MIGRATE = ("-m", "tests.faults.process", "migrate")

# $1 how many, $2 seconds until the delayed ones are due. Of fifty jobs one waits and one is
# delayed; a few run in a worker that is dead, every other of these in a group; the rest has ended.
FILL = """
WITH made AS (
    INSERT INTO saq_jobs (key, job, queue, status, scheduled, is_delayed, task, group_key, owner,
                          lease, attempts, started_at, error, expire_at)
    SELECT 'before-' || n,
           convert_to(json_build_object('function', 'work', 'key', 'before-' || n,
                                        'queue', 'default')::text, 'UTF8'),
           'default', status,
           extract(epoch FROM now())::bigint + CASE n % 50 WHEN 2 THEN $2::int ELSE 0 END,
           n % 50 = 2, 'work',
           CASE WHEN status IN ('active', 'aborting') AND n % 2 = 0 THEN 'group-' || n END,
           CASE WHEN status IN ('active', 'aborting') THEN 'dead' END,
           (status <> 'queued')::int, (status <> 'queued')::int,
           CASE WHEN status <> 'queued' THEN now() END,
           CASE WHEN status IN ('failed', 'aborting', 'aborted') THEN 'a reason' END,
           CASE WHEN status IN ('complete', 'failed', 'aborted')
                THEN extract(epoch FROM now())::bigint + 86400 END
    FROM generate_series(1, $1::int) AS n,
    LATERAL (SELECT CASE WHEN n % 50 IN (1, 2) THEN 'queued' WHEN n % 500 IN (3, 4) THEN 'active'
                         WHEN n % 500 IN (5, 6) THEN 'aborting' WHEN n % 50 = 7 THEN 'failed'
                         WHEN n % 50 = 8 THEN 'aborted' ELSE 'complete' END AS status) AS one
    RETURNING *
)
INSERT INTO background_jobs (id, key, queue, task, status, attempts, error, worker_id,
                             scheduled_at, started_at, finished_at, is_bad)
SELECT background_job_id, key, queue, task, status, attempts, error, owner,
       to_timestamp(scheduled), started_at,
       CASE WHEN status IN ('complete', 'failed', 'aborted') THEN now() END,
       status IN ('failed', 'aborted')
FROM made
"""


async def over_and_back(arena: Arena) -> None:
    """Processes of both releases work and die while a database of the release before migrates;
    then those of this release go, and the others end the rest."""
    await _go_back_to_the_release_before(arena)
    old = await _start_earlier(arena, 2)
    async with _earlier_load(arena) as load:
        await asyncio.sleep(arena.size(full=5, short=1))
        load.slowest_s = 0.0
        before = time.monotonic()
        migration = arena.spawn(command=MIGRATE, is_forked=arena.is_short)
        async with _cut_connections(arena):
            while migration.is_alive:
                await asyncio.sleep(arena.random.uniform(0.1, arena.size(full=10, short=1)))
                old = await _replace(arena, old)
        assert migration.exit_status == 0, migration.log
        arena.note("migrated_s", time.monotonic() - before)
        arena.hold("slowest_enqueue_s", load.slowest_s)
        await arena.engine.open()
        new = await arena.start_workers(2)
        async with steady_load(arena, jobs_per_second=20, seconds_max=0.3), _cut_connections(arena):
            for _ in range(arena.size(full=4, short=1)):
                await asyncio.sleep(arena.size(full=5, short=1))
                arena.hold("misplaced", await checker.count_misplaced(arena.database))
                old = await _replace(arena, old)
                arena.hurt(new.pop(), signal.SIGKILL)
                new += await arena.start_workers()
        await _roll_back(arena, new)
        assert all(worker.is_alive for worker in old), "an earlier worker has died of a statement"
    await arena.wait(arena.is_at_rest, "at rest", arena.size(full=300, short=60))
    # By chance three of the workers that were killed had claimed the same job.
    given_up = await arena.database.fetch(
        "SELECT key FROM saq_jobs WHERE status = 'failed' AND crashes >= $1", CRASHES_MAX
    )
    arena.hold("given_up", len(given_up))
    arena.acknowledged.difference_update(row["key"] for row in given_up)
    await arena.check()


async def _go_back_to_the_release_before(arena: Arena) -> None:
    """The row's database as that release has made it, full of jobs."""
    await arena.engine.close()
    folder = arena.fleet.folder / "before"
    migrations = "queue/migrations"
    shutil.copytree(arena.fleet.project / "service" / migrations, folder / migrations)
    for file in (folder / migrations).iterdir():
        if int(file.name[:4]) >= FIRST_OF_THIS_RELEASE:
            file.unlink()
    await arena.database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await migrate(arena.engine.dsn, folder)
    async with arena.database.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")  # no triggers
        await connection.execute(FILL, arena.size(1_000_000, 1000), arena.size(120, 8))
    await arena.database.execute("ANALYZE saq_jobs; ANALYZE background_jobs")
    left = await arena.database.fetch(
        "SELECT key FROM saq_jobs WHERE status IN ('queued', 'active')"
    )
    arena.acknowledged.update(row["key"] for row in left)


async def _start_earlier(arena: Arena, count: int) -> list[WorkerProcess]:
    """Workers of the release before."""
    started = [arena.spawn(command=EARLIER, is_forked=arena.is_short) for _ in range(count)]
    pids = {worker.pid for worker in started}
    await arena.wait(
        lambda: pids <= {line["pid"] for line in arena.ledger.events("worker start")},
        "the earlier workers have started",
    )
    return started


async def _replace(arena: Arena, workers: list[WorkerProcess]) -> list[WorkerProcess]:
    """SIGKILL the first of these earlier workers; another one takes its place."""
    arena.hurt(workers[0], signal.SIGKILL)
    return [*workers[1:], *await _start_earlier(arena, 1)]


async def _roll_back(arena: Arena, new: list[WorkerProcess]) -> None:
    """This release's workers go, one of them without a word; some of their jobs are still to do."""
    victim, other = new

    async def is_busy() -> bool:
        await arena.enqueue(count=40, seconds=60, timeout=600)  # the others take some of them
        await asyncio.sleep(0.3)
        return any(run.pid == victim.pid and not run.ended_at for run in arena.ledger.runs())

    await arena.wait(is_busy, "the victim has jobs")
    arena.hurt(victim, signal.SIGKILL)
    await arena.enqueue(count=20, delay=5)
    other.send(signal.SIGTERM)
    arena.hurry()
    assert await other.exit(30) == 0


@contextlib.asynccontextmanager
async def _earlier_load(arena: Arena) -> AsyncIterator[Load]:
    """The release before enqueues a job every 20 ms, one after the other."""
    load = Load()
    settings = {**QUEUE_SESSION, "application_name": "earlier"}
    pool = asyncpg.create_pool(arena.engine.dsn, min_size=0, max_size=1, server_settings=settings)

    async def enqueue() -> None:
        api, number = Earlier(pool, "api"), 0
        while True:
            number += 1
            started = time.monotonic()
            try:
                arena.acknowledged.update(await api.enqueue(f"old-{number}", task="work"))
            except UNAVAILABLE:
                load.refused += 1
            load.slowest_s = max(load.slowest_s, time.monotonic() - started)
            await asyncio.sleep(0.02)

    async with pool:
        feeding = asyncio.create_task(enqueue())
        try:
            yield load
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])
    assert feeding.cancelled(), feeding.exception()


@contextlib.asynccontextmanager
async def _cut_connections(arena: Arena) -> AsyncIterator[None]:
    """Twice a second terminate a random backend, the migration's aside."""

    async def cut() -> None:
        while True:
            await asyncio.sleep(0.5)
            await arena.database.execute(
                "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity"
                " WHERE datname = current_database()"
                " AND application_name NOT IN ('checker', 'migrate')"
                " AND backend_type = 'client backend'"
                " ORDER BY md5(pid::text || $1) LIMIT 1) AS one",
                str(arena.random.random()),
            )

    cutting = asyncio.create_task(cut())
    try:
        yield
    finally:
        cutting.cancel()
        await asyncio.wait([cutting])
