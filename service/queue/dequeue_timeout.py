"""How long `dequeue` waits: SAQ's burst worker ends with the first that finds nothing."""

import asyncio
from typing import Any

STALL_SECONDS = 10.0  # beyond its time limit, while nobody can say whether anything is due


async def arrives(job: "asyncio.Future[Any]", is_idle: asyncio.Event, seconds: float) -> bool:
    """Does the job come within `seconds`?

    Given up only while the queue is known to have nothing that is due: a first connection, or a
    claim that is under way, may take longer than that.
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
