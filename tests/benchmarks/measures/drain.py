"""No-op jobs run a second by one worker process, 1, 10 or 100 at once."""

from tests.benchmarks import contenders
from tests.benchmarks.measures import Measure, Sizes, Values
from tests.benchmarks.stand import Stand


async def run(stand: Stand, name: str, case: str, sizes: Sizes) -> Values:
    dsn = await stand.fresh(contenders.load(name), sizes.jobs)
    return await stand.drain(
        name, dsn, jobs=sizes.jobs, seconds=sizes.drain_seconds, concurrency=int(case)
    )


MEASURE = Measure(
    name="drain",
    cases=("1", "10", "100"),
    quick_cases=("10", "100"),
    contenders=contenders.NAMES,
    run=run,
)
