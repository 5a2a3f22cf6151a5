"""20 jobs a second to 1 and to 8 idle workers: from the enqueue call to the job's start."""

from tests.benchmarks import contenders
from tests.benchmarks.child import Order
from tests.benchmarks.measures import Measure, Sizes, Values, percentiles
from tests.benchmarks.stand import Stand

RATE = 20
CONCURRENCY = 10
LATE_SECONDS = 3.0


async def run(stand: Stand, name: str, case: str, sizes: Sizes) -> Values:
    dsn = await stand.fresh(contenders.load(name))
    jobs = int(RATE * sizes.pickup_seconds)
    order = Order(contender=name, dsn=dsn, role="pace", jobs=jobs, rate=RATE)
    async with (
        stand.child(order) as client,
        stand.crew(name, dsn, concurrency=CONCURRENCY, processes=int(case)) as crew,
    ):
        await client.go()
        sent = await client.result()
        done, _ = await crew.ran(jobs, sent["seconds"] + LATE_SECONDS)
    waits = [wait for result in crew.results for wait in result["waits"]]
    return {
        **percentiles(waits),
        "sent": jobs,
        "done": done,
        "waits_us": [w // 1000 for w in waits],
    }


MEASURE = Measure(
    name="pickup",
    cases=("1", "8"),
    quick_cases=("1",),
    contenders=(*contenders.OURS, *contenders.PEERS),
    run=run,
)
