"""The same drain by 2 and 4 worker processes on one queue; `drain` has it for one."""

from tests.benchmarks import contenders
from tests.benchmarks.measures import Measure, Sizes, Values
from tests.benchmarks.stand import Stand

CONCURRENCY = 10


async def run(stand: Stand, name: str, case: str, sizes: Sizes) -> Values:
    dsn = await stand.fresh(contenders.load(name), sizes.jobs)
    return await stand.drain(
        name, dsn, jobs=sizes.jobs, seconds=sizes.drain_seconds / 2, concurrency=CONCURRENCY,
        processes=int(case),
    )  # fmt: skip


MEASURE = Measure(
    name="processes",
    cases=("2", "4"),
    quick_cases=("4",),
    contenders=(*contenders.OURS, *contenders.PEERS),
    run=run,
    rounds=2,
)
