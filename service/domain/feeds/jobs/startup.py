"""The start-up hooks of the feeds domain."""

from service.domain.feeds.fetch import Fetcher
from service.domain.feeds.reader import Reader
from service.domain.feeds.searchable import Entries
from service.queue import Context, on_startup


@on_startup
async def open_fetcher(ctx: Context) -> None:
    """Put a `Fetcher` into `ctx["fetcher"]` and a `Reader` into `ctx["reader"]`."""
    ctx["fetcher"] = Fetcher(ports=ctx["settings"].internet_ports)
    ctx["reader"] = Reader()


@on_startup
async def offer_entries(ctx: Context) -> None:
    """Offer the entries to the search domain, if there is one."""
    ctx.setdefault("search_sources", {})["feed_entry"] = Entries()
