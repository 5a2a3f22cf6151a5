"""What is special to SQS: FIFO queues, its limits, other producers, and outages."""

import asyncio
import json
import os
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from saq import Status

from service.aws import Message
from service.queue.errors import InvalidOptionError
from service.queue.factory import create_queue
from service.queue.sqs.sqs_queue import SqsQueue
from service.settings import SettingsError
from tests.conftest import until
from tests.service.queue.backends.conftest import (
    REGION,
    Backend,
    active,
    ended,
    make_sqs_queue,
    put,
)
from tests.service.queue.backends.tasks import NOTES, OPEN, registry

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@pytest.fixture
def scheme() -> str:
    return "sqs"


@pytest.fixture
def fifo(backend: Backend, aws: "SQSClient") -> Backend:
    """The backend on a FIFO queue."""
    address = SecretStr(f"sqs://{make_sqs_queue(aws, '.fifo')}?region={REGION}")
    backend.settings = backend.settings.model_copy(update={"queue_dsn": address})
    return backend


def _url(aws: "SQSClient", backend: Backend, ending: str = "") -> str:
    name = backend.settings.queue_url.removeprefix("sqs://").partition("?")[0]
    return aws.get_queue_url(QueueName=name + ending)["QueueUrl"]


def _count(aws: "SQSClient", url: str) -> int:
    found = aws.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return sum(
        int(found[name])
        for name in (
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        )
    )


async def test_a_fifo_queue_runs_a_groups_jobs_in_order(fifo: Backend) -> None:
    queue = await fifo.connect()
    NOTES.clear()
    jobs = [await put(queue, "note", value=n, group_key="one at a time") for n in range(6)]
    alone = await put(queue, "note", value="alone")
    await fifo.work(queue)
    for job in [*jobs, alone]:
        assert (await ended(queue, job.key)).status is Status.COMPLETE
    assert [value for value in NOTES if value != "alone"] == [0, 1, 2, 3, 4, 5]


async def test_a_fifo_queues_delayed_job_waits_in_its_row(fifo: Backend, aws: "SQSClient") -> None:
    queue = await fifo.connect()
    job = await put(queue, "echo", value=1, delay=2)
    assert _count(aws, _url(aws, fifo)) == 0  # SQS has no delay for one message of these
    await fifo.work(queue)
    assert (await ended(queue, job.key)).result == 1


async def test_a_fifo_queues_retry_is_no_duplicate(fifo: Backend) -> None:
    queue = await fifo.connect()
    await fifo.work(queue)
    job = await put(queue, "fail", times=2, retry_delay=0)
    assert (await ended(queue, job.key)).result == "worked at last"


async def test_a_delay_over_sqs_own_waits_in_its_row(backend: Backend, aws: "SQSClient") -> None:
    queue = await backend.connect()
    await put(queue, "echo", delay=800)
    far = await put(queue, "echo", delay=1000)
    url = _url(aws, backend)
    assert _count(aws, url) == 1
    assert isinstance(queue, SqsQueue)
    assert await queue.send_unsent() == 0
    await queue.pool.execute(
        "UPDATE saq_jobs SET scheduled = scheduled - 200 WHERE key = $1", far.key
    )
    assert await queue.send_unsent() == 1  # now SQS can hold it
    assert _count(aws, url) == 2


async def test_a_job_of_a_transaction_is_sent_after_its_commit(
    backend: Backend, aws: "SQSClient"
) -> None:
    queue = await backend.connect()
    assert isinstance(queue, SqsQueue)
    async with queue.transaction() as connection:
        job = await queue.enqueue("echo", value=5, connection=connection)
        assert job
    assert _count(aws, _url(aws, backend)) == 0
    await backend.work(queue)
    assert (await ended(queue, job.key)).result == 5


async def test_a_message_that_comes_twice_starts_one_job(
    backend: Backend, aws: "SQSClient"
) -> None:
    queue = await backend.connect()
    NOTES.clear()
    job = await put(queue, "note", value="once")
    body = json.dumps({"key": job.key, "lease": 0})
    url = _url(aws, backend)
    for _ in range(3):
        aws.send_message(QueueUrl=url, MessageBody=body)
    await backend.work(queue)
    await ended(queue, job.key)
    await until(lambda: _count(aws, url) == 0, what="nothing is left")
    assert NOTES == ["once"]


async def test_nobody_else_gets_the_message_of_a_job_that_runs(
    backend: Backend, aws: "SQSClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.queue.sqs.sqs_consumer.HIDDEN_SECONDS", 4)
    monkeypatch.setattr("service.queue.sqs.sqs_consumer.KEEP_SECONDS", 0.3)
    queue = await backend.connect()
    worker = await backend.work(queue, concurrency=1)
    OPEN.clear()
    job = await put(queue, "wait_to_be_opened", gate="kept")
    await active(queue, job.key)
    await asyncio.sleep(6)  # longer than it is hidden
    url = _url(aws, backend)
    assert "Messages" not in aws.receive_message(QueueUrl=url)
    assert _count(aws, url) == 1
    OPEN.add("kept")
    await ended(queue, job.key)
    await until(lambda: _count(aws, url) == 0, what="it is deleted")
    await backend.stop(worker)


async def test_of_two_messages_of_a_job_the_later_one_counts(backend: Backend) -> None:
    queue = await backend.connect()
    assert isinstance(queue, SqsQueue)
    job = await put(queue, "echo", value=1)
    await queue.pool.execute("UPDATE saq_jobs SET lease = 1")  # it ran once and is to run again
    stale, right = (
        Message(str(lease), json.dumps({"key": job.key, "lease": lease}), f"receipt {lease}")
        for lease in (0, 1)
    )
    assert await queue.start([stale]) == []
    for messages in ([stale, right], [right, stale]):
        started = await queue.start(messages)
        assert [(each.key, receipt) for each, receipt in started] == [(job.key, "receipt 1")]
        await queue.pool.execute("UPDATE saq_jobs SET status = 'queued', owner = NULL, lease = 1")


async def test_somebody_elses_message_that_comes_again_starts_nothing(
    backend: Backend, aws: "SQSClient"
) -> None:
    queue = await backend.connect()
    assert isinstance(queue, SqsQueue)
    await backend.work(queue)
    body = json.dumps({"function": "echo", "kwargs": {"value": 9}})
    sent = aws.send_message(QueueUrl=_url(aws, backend), MessageBody=body)
    key = f"sqs:{sent['MessageId']}"
    await until(lambda: queue.find_record(key), what=f"{key} is a job")
    await ended(queue, key)
    again = Message(sent["MessageId"], body, "receipt")
    assert await queue.start([again]) == []
    await queue.pool.execute("DELETE FROM saq_jobs")  # as the job expires
    assert await queue.start([again]) == []
    assert [each.status for each in await queue.list_records()] == ["complete"]


async def test_somebody_elses_message_becomes_a_job(backend: Backend, aws: "SQSClient") -> None:
    queue = await backend.connect()
    await backend.work(queue)
    sent = aws.send_message(
        QueueUrl=_url(aws, backend),
        MessageBody=json.dumps({"function": "echo", "kwargs": {"value": 9}}),
    )
    key = f"sqs:{sent['MessageId']}"
    await until(lambda: queue.find_record(key), what=f"{key} is a job")
    assert (await ended(queue, key)).result == 9


@pytest.mark.parametrize(
    "body",
    [
        "no json",
        '{"key": 7, "lease": 1}',
        '{"key": "x", "lease": 99999999999999999999}',
        '{"key": "a\\u0000b", "lease": 1}',
        '{"function": "sleep", "kwargs": {"seconds": "x"}}',
    ],
)
async def test_a_malformed_message_goes_to_the_dead_letter_queue(
    backend: Backend, aws: "SQSClient", body: str
) -> None:
    queue = await backend.connect()
    url, dead = _url(aws, backend), _url(aws, backend, "-dead")
    aws.send_message(QueueUrl=url, MessageBody=body)
    await backend.work(queue)
    good = await put(queue, "echo", value=1)
    assert (await ended(queue, good.key)).result == 1

    await until(lambda: _count(aws, dead) == 1, seconds=30)
    (found,) = aws.receive_message(QueueUrl=dead)["Messages"]
    assert found["Body"] == body


async def test_a_queue_that_is_not_there_is_an_error_at_the_start(backend: Backend) -> None:
    settings = backend.settings.model_copy(
        update={"queue_dsn": SecretStr(f"sqs://no-such-queue?region={REGION}")}
    )
    queue = create_queue(settings, registry)
    with pytest.raises(SettingsError, match="SQS has no queue 'no-such-queue'"):
        await queue.connect()
    await queue.disconnect()


async def test_a_job_waits_in_its_row_while_sqs_is_away(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = os.environ["AWS_ENDPOINT_URL"]  # noqa: TID251 - moto's
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    away = await backend.connect()
    job = await put(away, "echo", value=4)
    with pytest.raises(ConnectionError, match="SQS does not answer"):
        await away.ping()
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    back = await backend.connect()
    await backend.work(back)
    assert (await ended(back, job.key)).result == 4


async def test_what_sqs_has_lost_is_sent_again(backend: Backend, aws: "SQSClient") -> None:
    queue = await backend.connect()
    assert isinstance(queue, SqsQueue)
    job = await put(queue, "echo", value=6)
    aws.purge_queue(QueueUrl=_url(aws, backend))
    await queue.prune()
    assert await queue.send_unsent() == 0  # it may be on its way
    await queue.pool.execute("UPDATE saq_jobs SET scheduled = scheduled - 120")
    await queue.prune()
    await backend.work(queue)
    assert (await ended(queue, job.key)).result == 6


async def test_a_lost_message_of_a_busy_queue_is_sent_again_after_an_hour(
    backend: Backend, aws: "SQSClient"
) -> None:
    queue = await backend.connect()
    assert isinstance(queue, SqsQueue)
    job = await put(queue, "echo", value=6)
    aws.purge_queue(QueueUrl=_url(aws, backend))
    await put(queue, "echo", value=7)  # the queue is not empty
    await queue.pool.execute("UPDATE saq_jobs SET scheduled = scheduled - 120")
    await queue.prune()
    assert await queue.send_unsent() == 0
    await queue.pool.execute(
        "UPDATE saq_jobs SET sent_at = sent_at - interval '1 hour' WHERE key = $1", job.key
    )
    await queue.prune()
    assert await queue.send_unsent() == 1
    await backend.work(queue)
    assert (await ended(queue, job.key)).result == 6


async def test_groups_want_a_fifo_queue(backend: Backend) -> None:
    queue = await backend.connect()
    with pytest.raises(
        InvalidOptionError, match=r"group_key: sqs:// has groups only in FIFO queues"
    ):
        await queue.enqueue("echo", group_key="g")
