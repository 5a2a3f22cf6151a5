"""A worker with nothing to do: what it asks of the database, its memory and CPU."""

import asyncio

from tests.benchmarks import contenders
from tests.benchmarks.measures import Measure, Sizes, Values
from tests.benchmarks.proxy import proxy_to
from tests.benchmarks.server import with_address
from tests.benchmarks.stand import Stand

CONCURRENCY = 10
START_SECONDS = 3.0  # connecting and first looks do not count


async def run(stand: Stand, name: str, case: str, sizes: Sizes) -> Values:
    direct = await stand.fresh(contenders.load(name))
    async with proxy_to(stand.postgres.port) as proxy:
        dsn = with_address(direct, proxy.port)
        async with stand.crew(name, dsn, concurrency=CONCURRENCY) as crew:
            await asyncio.sleep(START_SECONDS)
            statements, turns = proxy.asked.statements, proxy.asked.turns
            await asyncio.sleep(sizes.idle_seconds)
            statements, turns = proxy.asked.statements - statements, proxy.asked.turns - turns
    return {
        "statements_per_second": statements / sizes.idle_seconds,
        "turns_per_second": turns / sizes.idle_seconds,
        "rss_mb": crew.results[0]["rss_bytes"] / 2**20,
        "cpu_share": crew.results[0]["cpu_seconds"] / (sizes.idle_seconds + START_SECONDS),
    }


MEASURE = Measure(
    name="idle",
    cases=("worker",),
    contenders=("moorage", "pgqueuer", "procrastinate", "saq"),
    run=run,
    rounds=1,
)
