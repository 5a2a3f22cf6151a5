"""Jobs enqueued a second: one by one from 1 and from 100 callers, and in bulk."""

from tests.benchmarks import contenders
from tests.benchmarks.child import Order
from tests.benchmarks.contender import BATCH
from tests.benchmarks.measures import Measure, Sizes, Values
from tests.benchmarks.stand import Stand


async def run(stand: Stand, name: str, case: str, sizes: Sizes) -> Values:
    contender = contenders.load(name)
    if case == "bulk":
        callers, batch = 1, BATCH
    else:
        callers, batch = int(case), 0
        if name == "floor" and callers > 1:  # what so many callers' jobs cost as one statement
            callers, batch = 1, callers
    order = Order(
        contender=name, dsn=await stand.fresh(contender), role="enqueue", concurrency=callers,
        jobs=sizes.enqueue_jobs, seconds=sizes.enqueue_seconds, batch=batch,
    )  # fmt: skip
    async with stand.child(order) as child:
        await child.go()
        found = await child.result()
    return {**found, "rate": found["jobs"] / found["seconds"]}


MEASURE = Measure(
    name="enqueue",
    cases=("1", "100", "bulk"),
    quick_cases=("100", "bulk"),
    contenders=contenders.NAMES,
    run=run,
)
