"""Writes the running jobs into their blobs, because SAQ's clients read nothing else.

Only jobs that run for a second or longer: a claim leaves the blob as it is, because rewriting it
would write each payload once more.
"""

import asyncio
from collections.abc import Mapping

import structlog

from service.db import UNAVAILABLE
from service.queue import job_blob
from service.queue.job import LeasedJob
from service.queue.tables.table_queue import TableQueue

SHOW_SECONDS = 1.0  # the blob of a job that has run for so long is written, once

# $1 keys, $2 leases, $3 what is appended to each blob
SHOW = """
UPDATE saq_jobs j SET job = saq_job_with(j.job, d.more)
FROM unnest($1::text[], $2::bigint[], $3::text[]) AS d (key, lease, more)
WHERE j.key = d.key AND j.lease = d.lease
  AND j.status NOT IN ('new', 'queued', 'complete', 'failed', 'aborted')
"""
# $1 key, $2 queue: writes into the blob that the job was aborted while it waited. Not part of
# ABORT, which also changes running jobs: a trigger refuses that to a statement that sets the blob.
SHOW_ABORTED = """
UPDATE saq_jobs SET job = saq_job_with(job, saq_job_ending(status, error))
WHERE key = $1 AND queue = $2
  AND status NOT IN ('new', 'queued', 'active', 'aborting', 'complete', 'failed')
"""

log = structlog.stdlib.get_logger("queue")


async def publish_forever(queue: TableQueue, held: Mapping[str, LeasedJob]) -> None:
    """Until cancelled, write into the blobs of the held jobs when and where they started."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SHOW_SECONDS)
        before = loop.time() - SHOW_SECONDS
        jobs = [job for job in held.values() if not job.is_published and job.claimed_at < before]
        if not jobs:
            continue
        try:
            await queue.fetch(
                SHOW,
                [job.key for job in jobs],
                [job.lease for job in jobs],
                [job_blob.dump_run(job) for job in jobs],
            )
        except UNAVAILABLE:
            continue
        except Exception as error:  # whatever it is, this loop has to go on
            log.warning("running jobs not shown to SAQ's clients", error=type(error).__name__)
        for job in jobs:
            job.is_published = True
