"""What the feeds domain puts away after its last job."""

from service.queue import Context, on_shutdown


@on_shutdown
async def close_fetcher(ctx: Context) -> None:
    """Close its connections; there is none where the start stopped before it."""
    if fetcher := ctx.get("fetcher"):
        await fetcher.close()
