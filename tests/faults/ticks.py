"""A schedule, for the rows that are about time; FAULT_TICKS makes a worker have it."""

from zoneinfo import ZoneInfo

from service.queue.context import Context
from service.queue.registry import Schedule, task
from tests.faults.tasks import LEDGER, TICK_SECONDS


# Not by `scheduled_task`, which refuses the sixth field: seconds are for a test that cannot wait.
@task(schedules=(Schedule(f"* * * * * */{TICK_SECONDS}", ZoneInfo("UTC")),))
async def tick(ctx: Context) -> None:
    LEDGER.write("tick", key=ctx["job"].key)
