"""Two tasks to try the queue with."""

from service.queue import Context, task


@task(timeout=30)
async def example_task(ctx: Context, *, message: str) -> dict[str, str]:
    """Log the length of the message, and return the message."""
    ctx.log.info("example message", characters=len(message))
    return {"echo": message}


@task(name="test_task", timeout=30)
async def run_test(
    ctx: Context,
    *,
    message: str,
    user_id: int | str | None = None,
    project_id: int | str | None = None,
) -> dict[str, int | str | None]:
    """Return the payload; `POST /api/v1/tasks/trigger-test` enqueues it."""
    ctx.log.info("test task", user_id=user_id, project_id=project_id)
    return {"message": message, "user_id": user_id, "project_id": project_id}
