"""How `dequeue` waits for a job. SAQ's burst worker ends at the first call that returns no job."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from service.queue.job import LeasedJob

# Called with a job, or with None once the consumer is paused. False: the slot was cancelled, so
# the job goes to another one.
Slot = Callable[[LeasedJob | None], bool]
STALL_SECONDS = 10.0  # the wait beyond the timeout while it is not known whether a job is due


async def next_job(
    wait: Callable[[Slot], None],
    slots: deque[Slot],
    is_idle: asyncio.Event,
    seconds: float,
    give_back: Callable[[LeasedJob], None],
) -> LeasedJob | None:
    """The next due job; None after `seconds` (0: no limit) or once paused.

    It waits among the `slots`. A job that arrives in the same turn of the event loop in which the
    caller is cancelled goes to `give_back`.
    """
    future: asyncio.Future[LeasedJob | None] = asyncio.get_running_loop().create_future()

    def slot(job: LeasedJob | None) -> bool:
        if future.done():  # cancelled in the same turn of the event loop
            return False
        future.set_result(job)
        return True

    wait(slot)
    try:
        if seconds and not await _arrives_within(future, is_idle, seconds):
            raise TimeoutError
        return await future
    except (TimeoutError, asyncio.CancelledError) as error:
        if slot in slots:
            slots.remove(slot)
        job = future.result() if future.done() and not future.cancelled() else None
        if isinstance(error, TimeoutError):
            return job
        if job:
            give_back(job)
        raise


async def _arrives_within(
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
