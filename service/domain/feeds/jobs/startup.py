"""What the feeds domain needs before its first job."""

from service.domain.feeds.fetch import Fetcher
from service.domain.feeds.reader import Reader
from service.domain.feeds.searchable import Entries
from service.queue import Context, on_startup


@on_startup
async def open_fetcher(ctx: Context) -> None:
    """Put what fetches feeds into `ctx["fetcher"]`, what reads them into `ctx["reader"]`."""
    ctx["fetcher"] = Fetcher(ports=ctx["settings"].internet_ports)
    ctx["reader"] = Reader()


@on_startup
async def offer_entries(ctx: Context) -> None:
    """Let a search domain, where there is one, read the entries."""
    ctx.setdefault("search_sources", {})["feed_entry"] = Entries()
