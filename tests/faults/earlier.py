"""A worker of the release before, as the database sees one: `python -m tests.faults.earlier`.

It drains on SIGTERM, and ends with a traceback where a statement fails for another reason than an
outage, or than another worker's job of the same group.
"""

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path

import asyncpg

from service.db import QUEUE_SESSION, UNAVAILABLE
from service.queue.postgres.lease import BEAT_SECONDS, LEASE_SECONDS
from tests.faults.ledger import Ledger
from tests.faults.tasks import LEDGER_VARIABLE
from tests.service.queue.postgres.earlier import Earlier

SLOTS = 10
COLLISIONS: tuple[type[BaseException], ...] = (*UNAVAILABLE, asyncpg.UniqueViolationError)


async def work(pool: asyncpg.Pool, ledger: Ledger, stopping: asyncio.Event) -> None:
    """Claim jobs and end them, and renew the lease, until told to stop."""
    process = Earlier(pool, f"earlier-{os.getpid()}")
    beat_at = float("-inf")
    ledger.write("worker start")
    while not stopping.is_set():
        try:
            if time.monotonic() - beat_at > BEAT_SECONDS:
                beat_at = time.monotonic()
                await process.beat(LEASE_SECONDS)
            rows = await process.claim(SLOTS)
        except COLLISIONS:
            await process.give_up()  # what it has claimed, and has not heard of
            beat_at = float("-inf")
            continue
        runs = [ledger.start(row["key"], row["attempts"]) for row in rows]
        await asyncio.sleep(random.uniform(0, 0.1))
        for run in runs:
            ledger.end(run)
        while rows:
            try:
                await process.end(rows, "complete")
                break
            except UNAVAILABLE:
                await asyncio.sleep(0.1)
    await process.give_up()


async def run() -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    settings = {**QUEUE_SESSION, "application_name": "earlier"}
    environment = os.environ  # noqa: TID251 - no setting of the service
    dsn, ledger = environment["DATABASE_URL"], Ledger(Path(environment[LEDGER_VARIABLE]))
    async with asyncpg.create_pool(dsn, min_size=0, max_size=2, server_settings=settings) as pool:
        await work(pool, ledger, stopping)


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    assert not arguments
    asyncio.run(run())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
