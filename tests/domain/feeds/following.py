"""A worker whose fetcher may reach this machine, and a search domain of the tests' own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.domain.feeds.fetch import Fetcher
from service.queue import Context, Registry
from tests.domain.domain_worker import Domains, working
from tests.domain.feeds.feed_server import LIMIT


def with_sample_search(found: Registry) -> Registry:
    """The same tasks, with one of the tests' own in place of the search domain's, if there is one.

    It writes what it reads of an entry into the table `indexed`.
    """
    made = Registry(
        startup=found.startup, shutdown=found.shutdown, before=found.before, after=found.after
    )
    for each in found.tasks.values():
        if each.name != "index_content":
            made._add(each)

    @made.task
    async def index_content(ctx: Context, *, content_type: str, content_id: int) -> None:
        entries = await ctx["search_sources"][content_type].find(ctx.pool, [content_id])
        await ctx.pool.execute("DELETE FROM indexed WHERE content_id = $1", content_id)
        for entry in entries:
            await ctx.pool.execute("INSERT INTO indexed VALUES ($1, $2)", entry.id, entry.title)

    return made


@asynccontextmanager
async def following(
    dsn: str, registry: Registry, *, queue_dsn: str | None = None
) -> AsyncIterator[Domains]:
    """A worker that runs until the end of the block."""
    async with working(dsn, registry, queue_dsn=queue_dsn) as domains:
        await domains.context["pool"].execute(
            "CREATE TABLE indexed (content_id BIGINT, title TEXT)"
        )
        await domains.context["fetcher"].close()
        domains.context["fetcher"] = Fetcher(
            may_connect=lambda address: str(address) == "127.0.0.1", max_bytes=LIMIT, seconds=10
        )
        yield domains
