"""A drain beside another transaction that has held its snapshot for minutes.

No vacuum may remove what such a transaction could still see, so each queue keeps the dead rows and
index entries of all jobs since. Reports, dumps and forgotten sessions hold snapshots for so long.
"""

import asyncpg

from tests.benchmarks import contenders
from tests.benchmarks.child import Order
from tests.benchmarks.contender import BATCH
from tests.benchmarks.measures import Measure, Sizes, Values, percentiles
from tests.benchmarks.stand import Stand

RATE = 500
CONCURRENCY = 10
DRAIN_CONCURRENCY = 100
LATE_SECONDS = 3.0  # given to what is still waiting when the last job has been enqueued


async def run(stand: Stand, name: str, case: str, sizes: Sizes) -> Values:
    contender = contenders.load(name)
    without = await _drained(stand, name, await stand.fresh(contender, sizes.jobs), sizes)
    dsn = await stand.fresh(contender)
    jobs = int(RATE * sizes.snapshot_seconds)
    order = Order(contender=name, dsn=dsn, role="pace", jobs=jobs, rate=RATE)
    other = await asyncpg.connect(dsn)
    try:
        async with other.transaction(isolation="repeatable_read"):
            await other.execute("SELECT count(*) FROM pg_class")  # takes the snapshot
            async with (
                stand.child(order) as client,
                stand.crew(name, dsn, concurrency=CONCURRENCY) as crew,
            ):
                await client.go()
                await crew.ran(jobs, sizes.snapshot_seconds + LATE_SECONDS)
                await client.result()
            waits = crew.results[0]["waits"]
            async with contender.producer(dsn) as producer:
                for _ in range(0, sizes.jobs, BATCH):
                    await producer.enqueue_many(min(BATCH, sizes.jobs))
            with_ = await _drained(stand, name, dsn, sizes)
    finally:
        await other.close()
    last = waits[-len(waits) // 5 :]
    return {
        "share_done": len(waits) / jobs,
        **{f"last_{key}": value for key, value in percentiles(last).items() if "_ms" in key},
        "rate": with_,
        "rate_without": without,
        "rate_share": with_ / without,
    }


async def _drained(stand: Stand, name: str, dsn: str, sizes: Sizes) -> float:
    found = await stand.drain(
        name, dsn, jobs=sizes.jobs, seconds=sizes.drain_seconds, concurrency=DRAIN_CONCURRENCY,
        is_partial=True,
    )  # fmt: skip
    rate: float = found["rate"]
    return rate


MEASURE = Measure(
    name="snapshot",
    cases=(str(RATE),),
    contenders=("moorage", "pgqueuer", "procrastinate"),
    run=run,
    rounds=1,
)
