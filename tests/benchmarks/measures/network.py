"""Everything through a proxy that answers 1 or 4 ms later, as another availability zone would."""

from tests.benchmarks import contenders
from tests.benchmarks.child import Order
from tests.benchmarks.measures import Measure, Sizes, Values
from tests.benchmarks.probe import round_trip_seconds
from tests.benchmarks.proxy import proxy_to
from tests.benchmarks.server import with_address
from tests.benchmarks.stand import Stand

CONCURRENCY = 10
CALLERS = 10


async def run(stand: Stand, name: str, case: str, sizes: Sizes) -> Values:
    direct = await stand.fresh(contenders.load(name), sizes.jobs)
    async with proxy_to(stand.postgres.port, int(case) / 1000) as proxy:
        dsn = with_address(direct, proxy.port)
        drain = await stand.drain(
            name, dsn, jobs=sizes.jobs, seconds=sizes.drain_seconds / 2, concurrency=CONCURRENCY
        )
        order = Order(
            contender=name, dsn=dsn, role="enqueue", concurrency=CALLERS, jobs=sizes.enqueue_jobs,
            seconds=sizes.enqueue_seconds / 2,
        )  # fmt: skip
        async with stand.child(order) as child:
            await child.go()
            enqueue = await child.result()
        round_trip = await round_trip_seconds(proxy.port)
    return {
        "rate": drain["rate"],
        "enqueue_rate": enqueue["jobs"] / enqueue["seconds"],
        "round_trip_ms": round_trip * 1000,
    }


MEASURE = Measure(
    name="network",
    cases=("0", "1", "4"),
    quick_cases=("4",),
    contenders=(*contenders.OURS, "pgqueuer", "procrastinate", "saq"),
    run=run,
    rounds=2,
)
