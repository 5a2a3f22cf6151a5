"""SAQ's clients read a job from its blob alone; what takes long is shown there while it runs.

A claim leaves the blob as it is, or each job would cost its payload once more.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog

from service.db import UNAVAILABLE
from service.queue import job as rows
from service.queue import statements as sql
from service.queue.job import LeasedJob

if TYPE_CHECKING:
    from service.queue.postgres import PostgresQueue

SHOW_SECONDS = 1.0  # a job that has run for so long is shown, once

log = structlog.stdlib.get_logger("queue")


async def show_forever(queue: "PostgresQueue", held: Mapping[str, LeasedJob]) -> None:
    """Write since when the held jobs run, and where, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SHOW_SECONDS)
        before = loop.time() - SHOW_SECONDS
        jobs = [job for job in held.values() if not job.is_shown and job.claimed_at < before]
        if not jobs:
            continue
        try:
            await queue.fetch(
                sql.SHOW,
                [job.key for job in jobs],
                [job.lease for job in jobs],
                [rows.dump_run(job) for job in jobs],
            )
        except UNAVAILABLE:
            continue
        except Exception as error:  # whatever it is, the next jobs are to be shown
            log.warning("running jobs not shown to SAQ's clients", error=type(error).__name__)
        for job in jobs:
            job.is_shown = True
