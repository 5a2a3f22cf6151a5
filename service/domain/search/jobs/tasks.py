"""The task that indexes one piece of content."""

from typing import Annotated

from msgspec import Meta

from service.domain.search.content import ContentType, bring_up_to_date, sources
from service.domain.search.index import open_index
from service.queue import Context, NoRetryError, task

ContentId = Annotated[int, Meta(ge=1, le=2**63 - 1)]


@task(timeout=60, retries=5)
async def index_content(
    ctx: Context, *, content_type: ContentType, content_id: ContentId
) -> dict[str, str]:
    """Index the content as it is now, or remove it from the index where it was deleted."""
    index = open_index(ctx.pool)
    source = sources(ctx).get(content_type)
    if source is None:
        raise NoRetryError(f"no domain offers {content_type} to be searched")
    is_there = await bring_up_to_date(index, ctx.pool, source, content_type, [content_id])
    return {"status": "indexed" if is_there else "deleted"}
