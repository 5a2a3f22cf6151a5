"""Keep a note."""

from typing import Annotated

from msgspec import Meta

from service.queue import Context, task

Line = Annotated[
    str, Meta(pattern=r"^[^\r\n\x00]*$(?!\n)", max_length=100, description="one line of text")
]


@task(timeout=30, retries=5)
async def keep_note(
    ctx: Context, *, message: str, user_id: int | str | None = None, author: Line = ""
) -> dict[str, int | str | None]:
    """Keep it once, however often the job runs, and return it."""
    await ctx.pool.execute(
        "INSERT INTO notes (job_key, message) VALUES ($1, $2) ON CONFLICT (job_key) DO NOTHING",
        ctx.job.key,
        message,
    )
    ctx.log.info("note kept", characters=len(message))
    return {"message": message, "user_id": user_id, "author": author}
