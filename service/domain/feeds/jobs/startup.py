"""What the feeds domain needs before its first job."""

from service.domain.feeds.fetch import Fetcher
from service.domain.feeds.reader import Reader
from service.queue import Context, on_startup


@on_startup
async def open_fetcher(ctx: Context) -> None:
    """Put what fetches feeds into `ctx["fetcher"]`, what reads them into `ctx["reader"]`."""
    ctx["fetcher"] = Fetcher(ports=ctx["settings"].internet_ports)
    ctx["reader"] = Reader()
