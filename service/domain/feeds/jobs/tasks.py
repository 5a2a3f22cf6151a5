"""The task that checks one feed."""

from typing import Any

from service.domain.feeds import store
from service.domain.feeds.fetch import FeedError
from service.queue import Context, task


@task(timeout=300, retries=3, retry_delay=30)
async def refresh_single_feed(ctx: Context, *, feed_url: str) -> dict[str, Any]:
    """Fetch a feed of the table `feeds`, store its new entries and have them indexed.

    The newest 10,000 are kept; older ones that the feed no longer holds are removed.

    A broken feed does not fail the job: the feed's row gets the error, and the next check tries
    again. A temporary error is retried first.
    """
    feed = await store.find_followed(ctx.pool, feed_url)
    if feed is None:
        return {"status": "deleted"}
    try:
        answer = await ctx["fetcher"].fetch(
            feed_url, etag=feed.etag, last_modified=feed.last_modified
        )
        if answer.body is None:
            await store.save_unchanged(ctx.pool, feed.id)
            return {"status": "unchanged"}
        found = await ctx["reader"].read(answer)
    except FeedError as error:
        await store.save_error(ctx.pool, feed.id, str(error))
        if error.is_temporary and ctx.job.attempts < ctx.job.retries:
            raise
        ctx.log.warning("broken feed", feed_id=feed.id, reason=str(error))
        return {"status": "broken", "error": str(error)}
    queue = ctx["queue"]
    async with store.transaction_with_jobs(ctx.pool, queue, ctx["settings"]) as (connection, jobs):
        changes = await store.save_feed(connection, feed.id, answer, found)
        if changes is None:
            return {"status": "deleted"}
        jobs.extend(store.index_jobs(queue, changes.new + changes.removed))
    return {"status": "stored", "new_entries": len(changes.new)}
