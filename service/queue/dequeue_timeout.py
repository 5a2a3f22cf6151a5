"""How long `dequeue` waits. SAQ's burst worker ends at the first `dequeue` that returns no job."""

import asyncio
from typing import Any

STALL_SECONDS = 10.0  # the wait beyond the timeout while it is not known whether a job is due


async def arrives_within(
    job: "asyncio.Future[Any]", is_idle: asyncio.Event, seconds: float
) -> bool:
    """Wait for a job. True if it comes within `seconds`.

    Gives up only while `is_idle` says that no job is due: the first connection, or a claim under
    way, may take longer than `seconds`.
    """
    loop = asyncio.get_running_loop()
    gives_up_at = loop.time() + seconds
    stalls_at = gives_up_at + STALL_SECONDS
    while not job.done() and loop.time() < stalls_at:
        if not is_idle.is_set():
            idle = asyncio.ensure_future(is_idle.wait())
            try:
                await asyncio.wait(
                    [job, idle],
                    timeout=stalls_at - loop.time(),
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                idle.cancel()
        await asyncio.wait([job], timeout=max(gives_up_at - loop.time(), 0))
        if is_idle.is_set():
            break
    return job.done()
