"""The same drain out of a table that holds a million more jobs, waiting or delayed."""

from tests.benchmarks import contenders
from tests.benchmarks.measures import Measure, Sizes, Values
from tests.benchmarks.stand import Stand

CONCURRENCY = 100


async def run(stand: Stand, name: str, case: str, sizes: Sizes) -> Values:
    waiting = sizes.backlog if case == "waiting" else sizes.jobs
    delayed = sizes.backlog if case == "delayed" else 0
    dsn = await stand.fresh(contenders.load(name), waiting, delayed)
    return await stand.drain(
        name, dsn, jobs=sizes.jobs, seconds=sizes.drain_seconds, concurrency=CONCURRENCY,
        is_partial=True,
    )  # fmt: skip


MEASURE = Measure(
    name="backlog",
    cases=("empty", "waiting", "delayed"),
    quick_cases=("empty", "waiting"),
    contenders=(*contenders.OURS, "saq"),
    run=run,
)
