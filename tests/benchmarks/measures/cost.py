"""What one job asks of the database: round trips, statements, commits, WAL, dead tuples."""

from tests.benchmarks import contenders
from tests.benchmarks.child import Order
from tests.benchmarks.measures import Measure, Sizes, Values
from tests.benchmarks.probe import read_counts
from tests.benchmarks.proxy import proxy_to
from tests.benchmarks.server import with_address
from tests.benchmarks.stand import Stand


async def run(stand: Stand, name: str, case: str, sizes: Sizes) -> Values:
    role, _, concurrency = case.partition(" ")
    waiting = sizes.jobs if role == "run" else 0
    direct = await stand.fresh(contenders.load(name), waiting)
    before = await read_counts(direct)
    async with proxy_to(stand.postgres.port) as proxy:
        dsn = with_address(direct, proxy.port)
        if role == "run":
            drain = await stand.drain(
                name, dsn, jobs=waiting, seconds=sizes.drain_seconds, concurrency=int(concurrency)
            )
            jobs = drain["jobs"]
        else:
            jobs = await _enqueue(stand, name, dsn, int(concurrency), sizes)
    counts = await read_counts(direct) - before
    return {
        "jobs": jobs,
        "turns": proxy.asked.turns / jobs,
        "statements": proxy.asked.statements / jobs,
        "commits": counts.commits / jobs,
        "wal_bytes": counts.wal_bytes / jobs,
        "dead_tuples": counts.dead_tuples / jobs,
        "hot_share": counts.hot_updates / max(counts.updates, 1),
        "index_entries": counts.index_entries / jobs,
    }


async def _enqueue(stand: Stand, name: str, dsn: str, callers: int, sizes: Sizes) -> int:
    batch = 0
    if name == "floor" and callers > 1:
        callers, batch = 1, callers
    order = Order(
        contender=name, dsn=dsn, role="enqueue", concurrency=callers, batch=batch,
        jobs=sizes.enqueue_jobs, seconds=sizes.enqueue_seconds,
    )  # fmt: skip
    async with stand.child(order) as child:
        await child.go()
        jobs: int = (await child.result())["jobs"]
    return jobs


MEASURE = Measure(
    name="cost",
    cases=("enqueue 1", "enqueue 100", "run 1", "run 10", "run 100"),
    quick_cases=("enqueue 100", "run 10"),
    contenders=(*contenders.OURS, "pgqueuer", "procrastinate", "saq", "floor"),
    run=run,
    rounds=1,
)
