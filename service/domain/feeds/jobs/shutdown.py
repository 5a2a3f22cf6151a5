"""The shutdown hook of the feeds domain."""

from service.queue import Context, on_shutdown


@on_shutdown
async def close_fetcher(ctx: Context) -> None:
    """Close the fetcher's connections, if the start-up hook has opened it."""
    if fetcher := ctx.get("fetcher"):
        await fetcher.close()
