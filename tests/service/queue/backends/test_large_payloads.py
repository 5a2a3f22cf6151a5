"""Payloads over 64 KiB: in S3 on the way to the worker, on every backend."""

import dataclasses
import time
from typing import TYPE_CHECKING

import boto3
import pytest
from saq import Job, Status

from service.contract import LARGE_PAYLOAD_MAX_BYTES, PAYLOAD_MAX_BYTES, PAYLOADS_PREFIX
from service.queue.errors import InvalidOptionError, PayloadTooLargeError
from service.queue.schedules.schedule_requests import ScheduleRequest, create_schedule
from service.queue.tasks.enqueue import LARGE_PAYLOAD, JobOptions, build_job
from tests.service.queue.backends.conftest import REGION, Backend, ended

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LARGE = "x" * 300 * 1024  # more than a message of SQS can have


@pytest.fixture
def s3(aws: object) -> "S3Client":
    return boto3.client("s3", region_name=REGION)


@pytest.fixture
def bucket(s3: "S3Client", backend: Backend) -> str:
    """The bucket that the processes of the backend know."""
    name = f"payloads-{time.monotonic_ns()}"
    s3.create_bucket(Bucket=name)
    update = {"bucket": name, "aws_region": REGION}
    backend.settings = backend.settings.model_copy(update=update)
    return name


async def test_a_large_payload_comes_to_the_task(
    backend: Backend, s3: "S3Client", bucket: str
) -> None:
    queue, other = await backend.connect(), await backend.connect()
    one, two = await other.enqueue_many(
        [Job("echo", kwargs={"value": LARGE}), Job("echo_in_thread", kwargs={"value": LARGE})]
    )
    assert one
    assert two
    stored = await other.job(one.key)
    assert stored
    assert (stored.kwargs, stored.meta[LARGE_PAYLOAD][:9]) == ({}, PAYLOADS_PREFIX)
    await backend.work(queue)
    assert [(await ended(queue, job.key)).result for job in (one, two)] == [LARGE, LARGE]
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=PAYLOADS_PREFIX)["Contents"]
    assert len(listed) == 2


async def test_the_largest_row_and_the_largest_object(backend: Backend, bucket: str) -> None:
    queue = await backend.connect()
    around = len('{"value":""}')
    fits = await queue.enqueue("note", value="x" * (PAYLOAD_MAX_BYTES - around))
    assert fits
    assert LARGE_PAYLOAD not in fits.meta
    goes_to_s3 = await queue.enqueue("note", value="x" * (LARGE_PAYLOAD_MAX_BYTES - around))
    assert goes_to_s3
    assert goes_to_s3.meta[LARGE_PAYLOAD]
    with pytest.raises(PayloadTooLargeError, match=str(LARGE_PAYLOAD_MAX_BYTES)):
        await queue.enqueue("note", value="x" * LARGE_PAYLOAD_MAX_BYTES)


async def test_a_job_whose_payload_cannot_be_read_is_retried_with_it(
    backend: Backend, s3: "S3Client", bucket: str
) -> None:
    queue = await backend.connect()
    job = await queue.enqueue("echo", value=LARGE, retries=1)
    assert job
    key = job.meta[LARGE_PAYLOAD]
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.delete_object(Bucket=bucket, Key=key)
    await backend.work(queue)
    failed = await ended(queue, job.key)
    assert failed.status is Status.FAILED
    assert "S3 refuses: NoSuchKey" in str(failed.error)
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    await queue.retry(failed, "by hand")
    assert (await ended(queue, job.key)).result == LARGE


async def test_the_same_job_can_be_enqueued_again(backend: Backend, bucket: str) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    job = await queue.enqueue("echo", value=LARGE)
    assert job
    await ended(queue, job.key)
    again = dataclasses.replace(job, key=f"{job.key}-again")
    assert await queue.enqueue(again)
    assert (await ended(queue, again.key)).result == LARGE


async def test_without_a_bucket_a_large_payload_is_refused(backend: Backend) -> None:
    queue = await backend.connect()
    with pytest.raises(PayloadTooLargeError, match="set BUCKET") as raised:
        await queue.enqueue("echo", key="large", value=LARGE)
    assert raised.value.field == "payload"
    assert await queue.job("large") is None


async def test_a_job_that_is_due_after_its_payload_is_gone_is_refused(
    backend: Backend, bucket: str
) -> None:
    queue = await backend.connect()
    options = JobOptions(key="late", delay=31 * 86400)
    with pytest.raises(InvalidOptionError, match=r"run_at: .* 30 days"):
        await queue.enqueue(build_job(queue.registry, "echo", {"value": LARGE}, options))
    assert await queue.job("late") is None


async def test_a_schedule_with_a_large_payload_is_refused(backend: Backend, bucket: str) -> None:
    queue = await backend.connect()
    request = ScheduleRequest(name="large", task="echo", every="1 hour", payload={"value": LARGE})
    with pytest.raises(PayloadTooLargeError, match=str(PAYLOAD_MAX_BYTES)):
        await create_schedule(queue, request)
