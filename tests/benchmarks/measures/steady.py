"""500 jobs a second to one worker process: how long they wait, and what that costs in CPU."""

from tests.benchmarks import contenders
from tests.benchmarks.child import Order
from tests.benchmarks.measures import Measure, Sizes, Values, percentiles
from tests.benchmarks.stand import Stand

RATE = 500
CONCURRENCY = 10
LATE_SECONDS = 3.0  # given to what is still waiting when the last job has been enqueued


async def run(stand: Stand, name: str, case: str, sizes: Sizes) -> Values:
    contender = contenders.load(name)
    dsn = await stand.fresh(contender)
    server = stand.postgres if contender.uses_postgres else stand.valkey
    jobs = int(RATE * sizes.steady_seconds)
    order = Order(contender=name, dsn=dsn, role="pace", jobs=jobs, rate=RATE)
    async with (
        stand.child(order) as client,
        stand.crew(name, dsn, concurrency=CONCURRENCY) as crew,
    ):
        server_cpu = server.cpu_seconds()
        await client.go()
        sent = await client.result()
        done, _ = await crew.ran(jobs, sent["seconds"] + LATE_SECONDS)
        server_cpu = server.cpu_seconds() - server_cpu
    return {
        **percentiles(crew.results[0]["waits"]),
        "sent": sent["jobs"],
        "done": done,
        "seconds": sent["seconds"],
        "enqueue": percentiles(sent["calls"]),
        "worker_cpu_seconds": crew.results[0]["cpu_seconds"],
        "server_cpu_seconds": server_cpu,
    }


MEASURE = Measure(
    name="steady",
    cases=(str(RATE),),
    contenders=(*contenders.OURS, *contenders.PEERS),
    run=run,
)
