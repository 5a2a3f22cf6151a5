"""The schedule of the search domain."""

from service.domain.search.content import bring_up_to_date, sources
from service.domain.search.index import open_index
from service.queue import Context, scheduled_task

PAGE_DOCUMENTS = 200


@scheduled_task(cron="0 2 * * *", unique=True, timeout=3600)
async def rebuild_search_index(ctx: Context) -> dict[str, int]:
    """Every night at two (UTC): index everything again, and remove deleted content.

    The search works meanwhile.
    """
    index = open_index(ctx.pool)
    indexed = deleted = 0
    total = sum([await source.count(ctx.pool) for source in sources(ctx).values()])
    for content_type, source in sources(ctx).items():
        started, after = await index.now(), 0
        while page := await source.ids(ctx.pool, after=after, limit=PAGE_DOCUMENTS):
            indexed += await bring_up_to_date(index, ctx.pool, source, content_type, page)
            after = page[-1]
            await ctx.progress(min(100, 100 * indexed / max(total, 1)), f"{indexed} indexed")
        deleted += await index.delete_older(content_type, started)
    return {"indexed": indexed, "deleted": deleted}
