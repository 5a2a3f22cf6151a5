"""The schedule of the feeds domain."""

from service.domain.feeds.store import addresses, refresh_job
from service.queue import Context, scheduled_task

PAGE_FEEDS = 1000


@scheduled_task(cron="0 */6 * * *", unique=True, timeout=300)
async def refresh_all_feeds(ctx: Context) -> dict[str, int]:
    """Every six hours: enqueue a check of each feed that is not waiting for one already."""
    queue = ctx["queue"]
    feeds = enqueued = after = 0
    while page := await addresses(ctx.pool, after=after, limit=PAGE_FEEDS):
        jobs = await queue.enqueue_many([refresh_job(queue, *feed) for feed in page])
        feeds += len(page)
        enqueued += sum(job is not None for job in jobs)
        after = page[-1][0]
    return {"feeds": feeds, "enqueued": enqueued}
