"""What the next release knows and this one does not; FAULT_RELEASE makes a worker know it."""

from service.queue import Context, task
from tests.faults.tasks import LEDGER


@task(retry_delay=0)
async def not_yet(ctx: Context) -> None:
    run = LEDGER.start(ctx["job"].key, ctx["job"].attempts)
    LEDGER.end(run)
