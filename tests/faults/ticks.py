"""A schedule, for the rows that are about time; FAULT_TICKS makes a worker have it."""

from service.queue import Context, scheduled_task
from tests.faults.tasks import LEDGER, TICK_SECONDS


@scheduled_task(every=f"{TICK_SECONDS} seconds")
async def tick(ctx: Context) -> None:
    LEDGER.write("tick", key=ctx["job"].key)
