"""A worker whose fetcher may reach this machine's servers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.domain.feeds.fetch import Fetcher
from service.queue import Registry
from tests.domain.domain_worker import Domains, working
from tests.domain.feeds.feed_server import LIMIT


@asynccontextmanager
async def following(
    dsn: str, registry: Registry, *, queue_dsn: str | None = None
) -> AsyncIterator[Domains]:
    """It runs until the end of the block."""
    async with working(dsn, registry, queue_dsn=queue_dsn) as domains:
        await domains.context["fetcher"].close()
        domains.context["fetcher"] = Fetcher(
            may_connect=lambda address: str(address) == "127.0.0.1", max_bytes=LIMIT, seconds=10
        )
        yield domains
