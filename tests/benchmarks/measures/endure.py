"""2,000 jobs a second for twenty minutes: do the tables and the waits stay as they are?"""

import asyncio

import asyncpg

from tests.benchmarks import contenders
from tests.benchmarks.child import Order
from tests.benchmarks.measures import Measure, Sizes, Values, percentiles
from tests.benchmarks.stand import Stand

RATE = 2000
CONCURRENCY = 100
PARTS = 10  # of the time; each with its own figures
# MiB: the jobs, their indexes, where they stand, and the history of those that are gone.
SIZES = """
SELECT pg_table_size('saq_jobs') AS jobs, pg_indexes_size('saq_jobs') AS indexes,
       pg_total_relation_size('queue_ready') + pg_total_relation_size('queue_delayed')
       + pg_total_relation_size('queue_claims') + pg_total_relation_size('queue_groups') AS places,
       pg_total_relation_size('job_archive') AS archive
"""


async def run(stand: Stand, name: str, case: str, sizes: Sizes) -> Values:
    dsn = await stand.fresh(contenders.load(name))
    jobs = int(RATE * sizes.endure_seconds)
    order = Order(contender=name, dsn=dsn, role="pace", jobs=jobs, rate=RATE)
    server_cpu = stand.postgres.cpu_seconds()
    found: list[dict[str, float]] = []
    async with (
        stand.child(order) as client,
        stand.crew(name, dsn, concurrency=CONCURRENCY) as crew,
    ):
        await client.go()
        for _ in range(PARTS):
            await asyncio.sleep(sizes.endure_seconds / PARTS)
            found.append(await _sizes(dsn))
        sent = await client.result()
        done, _ = await crew.ran(sent["jobs"], sizes.endure_seconds + 10)
        server_cpu = stand.postgres.cpu_seconds() - server_cpu
    waits = crew.results[0]["waits"]
    each = len(waits) // PARTS
    parts = [
        size | percentiles(waits[part * each : (part + 1) * each])
        for part, size in enumerate(found)
    ]
    return {
        "done": done,
        "sent": sent["jobs"],
        "seconds": sent["seconds"],
        "worker_cpu_seconds": crew.results[0]["cpu_seconds"],
        "server_cpu_seconds": server_cpu,
        "parts": parts,
    }


async def _sizes(dsn: str) -> dict[str, float]:
    connection = await asyncpg.connect(dsn)
    try:
        row = await connection.fetchrow(SIZES)
        assert row is not None
        return {name: float(value) / 2**20 for name, value in row.items()}
    finally:
        await connection.close()


MEASURE = Measure(
    name="endure",
    cases=(str(RATE),),
    contenders=("moorage",),
    run=run,
    rounds=1,
)
