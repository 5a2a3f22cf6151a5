"""The schedule of the example domain."""

from service.queue import Context, scheduled_task


@scheduled_task(cron="0 * * * *", timeout=30)
async def count_jobs_of_last_day(ctx: Context) -> dict[str, int]:
    """Every hour: how many jobs ended in the last 24 hours, by status."""
    rows = await ctx.pool.fetch(
        "SELECT status, count(*) FROM background_jobs"
        " WHERE finished_at > now() - interval '1 day' GROUP BY status"
    )
    counts = {row["status"]: row["count"] for row in rows}
    ctx.log.info("jobs of the last day", **counts)
    return counts
