"""Payloads that are too large for a row: objects in the stage's bucket, named by their jobs.

A lifecycle rule of the bucket deletes them (`stacks/data/data_bucket.py`), and with them those that
a failed enqueue has left behind.
"""

import asyncio
import time
from typing import Any

import msgspec
from saq import Job

from service import contract
from service.aws import open_bucket
from service.queue.errors import InvalidOptionError, PayloadTooLargeError
from service.queue.tasks.enqueue import LARGE_PAYLOAD, new_key

READ_SECONDS = 30.0
# The other half of the object's life is left for retries, also by hand.
AHEAD_MAX_DAYS = contract.LARGE_PAYLOAD_DAYS // 2


class LargePayloads:
    """The objects under `payloads/`; `bucket` is None in a process without one."""

    def __init__(self, bucket: str | None, region: str | None) -> None:
        self._bucket = bucket
        self._region = region

    async def store(self, job: Job) -> None:
        """Move the payload from the job into the bucket.

        Raises `PayloadTooLargeError` without a bucket, `InvalidOptionError` where the job is due
        so late that the object may be deleted before, and `ConnectionError` while S3 does not
        answer.
        """
        payload = msgspec.json.encode(job.kwargs)
        if self._bucket is None:
            raise PayloadTooLargeError(
                job.function,
                "payload",
                f"{len(payload)} bytes as JSON, the limit is {contract.PAYLOAD_MAX_BYTES} in a "
                "process without a bucket: set BUCKET, or put large things into S3 and send "
                "their key",
            )
        if job.scheduled > time.time() + AHEAD_MAX_DAYS * 86400:
            raise InvalidOptionError(
                "run_at",
                f"a job with a payload over {contract.PAYLOAD_MAX_BYTES} bytes may be due in "
                f"{AHEAD_MAX_DAYS} days at the latest",
            )
        bucket = await asyncio.to_thread(open_bucket, self._bucket, self._region)
        key = f"{contract.PAYLOADS_PREFIX}{new_key()}.json"
        await asyncio.to_thread(bucket.put, key, payload, "application/json")
        job.kwargs, job.meta[LARGE_PAYLOAD] = {}, key

    async def read(self, key: str) -> dict[str, Any]:
        """The payload stored under `key`. Raises `ConnectionError` and `TimeoutError`."""
        if self._bucket is None:
            raise ConnectionError(f"the payload is in S3 ({key}): this process needs BUCKET")
        async with asyncio.timeout(READ_SECONDS):
            bucket = await asyncio.to_thread(open_bucket, self._bucket, self._region)
            payload: dict[str, Any] = msgspec.json.decode(await asyncio.to_thread(bucket.get, key))
        return payload
