"""What the notes domain does by itself."""

from service.queue import Context, scheduled_task


@scheduled_task(cron="0 * * * *", timeout=30)
async def count_notes(ctx: Context) -> int:
    """Every hour: how many notes there are."""
    count: int = await ctx.pool.fetchval("SELECT count(*) FROM notes")
    return count
