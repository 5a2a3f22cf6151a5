"""`sqs://`: the jobs are rows in Postgres, and SQS messages bring them to the workers.

A message names a job and the lease it was sent for. Enqueue writes the job's row and sends the
message; a worker that receives it claims the row, if the row still has that lease. So a message
that comes twice starts nothing, and a message that was not sent is sent by a worker later. Keys,
retries, cancelling, leases and history are those of the Postgres engine.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterable
from types import MappingProxyType
from typing import Annotated, Any

import asyncpg
import msgspec
import structlog
from saq import Job, Status

from service import contract
from service.aws import Message, Messages, NoSuchQueueError, Sending
from service.db import UNAVAILABLE, Connection, Password
from service.queue import job_blob
from service.queue.errors import QueueError, UnknownTaskError
from service.queue.interface import JobQueue, OnWritten
from service.queue.job import JobRecord, LeasedJob, MalformedJobError
from service.queue.postgres import statements as sql
from service.queue.postgres.outcomes import Outcome
from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.sqs.sqs_consumer import SqsConsumer
from service.queue.sqs.threads import in_thread
from service.queue.tasks.enqueue import build_job
from service.queue.tasks.registry import Registry
from service.queue.waiting import Surroundings
from service.settings import SettingsError

DELAY_MAX_SECONDS = 900  # SQS's limit; a job for later waits in its row
SEND_ROWS = 100
HIDE_MAX_SECONDS = 12 * 3600  # SQS's limit
FORGOTTEN_SECONDS = 3600
FORGOTTEN_ROWS = 1000
BUSY_SECONDS = 2  # until a job whose group is busy is received again
FIFO_ID = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,./:;<=>?@\[\\\]^_`{|}~-]{1,128}")


def _unsent(jobs: str) -> str:
    """Those of `jobs`, which names rows of saq_jobs as `j`."""
    return f"""
SELECT j.key, j.lease, j.group_key, greatest(j.scheduled - {sql.NOW}, 0)::int AS delay,
       j.scheduled, j.background_job_id
FROM {jobs} AND j.queue = $1 AND j.status = 'queued' AND j.sent IS DISTINCT FROM j.lease
"""


# $1 queue, $2 how many seconds before it is due a message may be sent
UNSENT = f"""
{_unsent("queue_ready r JOIN saq_jobs j ON j.background_job_id = r.id WHERE r.queue = $1")}
UNION ALL
{
    _unsent(
        "queue_delayed d JOIN saq_jobs j ON j.background_job_id = d.id"
        f" WHERE d.queue = $1 AND d.scheduled <= {sql.NOW} + $2"
    )
}
ORDER BY scheduled, background_job_id LIMIT {SEND_ROWS}
"""
# The same for the keys $3 alone.
UNSENT_OF = f"""
{_unsent(f"saq_jobs j WHERE j.key = ANY ($3::text[]) AND j.scheduled <= {sql.NOW} + $2")}
ORDER BY scheduled, background_job_id LIMIT {SEND_ROWS}
"""
SENT = """
UPDATE saq_jobs j SET sent = d.lease, sent_at = clock_timestamp()
FROM unnest($1::text[], $2::bigint[]) AS d (key, lease)
WHERE j.key = d.key AND j.lease = d.lease
"""
UNSEND = "UPDATE saq_jobs SET sent = NULL WHERE key = $1 AND queue = $2"
# $1 keys, $2 leases, $3 owner, $4 queue
START = f"""
UPDATE saq_jobs j
SET status = 'active', owner = $3, lease = j.lease + 1, attempts = j.attempts + 1,
    started_at = clock_timestamp(), progress = 0, is_delayed = FALSE
FROM unnest($1::text[], $2::bigint[]) AS d (key, lease)
WHERE j.key = d.key AND j.lease = d.lease AND j.queue = $4 AND j.status = 'queued'
  AND j.scheduled <= {sql.NOW}
RETURNING {sql.JOB_COLUMNS}
"""
# $1 keys, $2 leases of messages that started nothing, $3 queue: the jobs that still wait for theirs
WAITING = f"""
SELECT j.key, (j.scheduled - {sql.NOW})::int AS seconds
FROM saq_jobs j JOIN unnest($1::text[], $2::bigint[]) AS d (key, lease)
     ON j.key = d.key AND j.lease = d.lease
WHERE j.queue = $3 AND j.status = 'queued'
"""

# $1 queue, $2 whether SQS has no message at all: marks jobs as unsent whose message SQS may have
# lost. They have been due for a minute, and with messages in SQS theirs was sent an hour ago. Only
# the oldest are read, by index.
FORGOTTEN = f"""
UPDATE saq_jobs SET sent = NULL WHERE key IN (
    SELECT key FROM (
        (SELECT id FROM queue_ready WHERE queue = $1
         ORDER BY priority, scheduled LIMIT {FORGOTTEN_ROWS})
        UNION ALL
        (SELECT id FROM queue_delayed WHERE queue = $1
         ORDER BY scheduled LIMIT {FORGOTTEN_ROWS})) AS oldest
    JOIN saq_jobs j ON j.background_job_id = oldest.id
    WHERE sent = lease AND scheduled < {sql.NOW} - 60
      AND ($2 OR sent_at < clock_timestamp() - interval '{FORGOTTEN_SECONDS} seconds'))
  AND status = 'queued' AND sent = lease
RETURNING key
"""
COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)

AWAY: tuple[type[BaseException], ...] = (NoSuchQueueError, *UNAVAILABLE)

log = structlog.stdlib.get_logger("queue")


class JobMessage(msgspec.Struct):
    """A message that we sent. A value that Postgres cannot store is refused here."""

    key: Annotated[str, msgspec.Meta(pattern=r"^[^\x00]+$")]
    lease: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class TaskMessage(msgspec.Struct):
    """A message of another producer, which becomes a job; the names are SAQ's."""

    function: str
    kwargs: dict[str, Any] = {}


class SqsQueue(PostgresQueue):
    """A SAQ queue whose workers receive SQS messages, of a standard or a FIFO queue."""

    scheme = "sqs"
    lacks_bulk = MappingProxyType(
        {
            "run-now": "sqs:// cannot call back a message that is delayed; postgresql:// can",
            "priority": "sqs:// has no priorities; postgresql:// has them",
        }
    )
    consumer: SqsConsumer

    def __init__(
        self,
        dsn: str,
        registry: Registry,
        messages: Messages,
        *,
        name: str = contract.QUEUE_NAME,
        pool_size: int = 4,
        poll_seconds: float = 5.0,
        password: Password | None = None,
        worker_pool: str = "",
    ) -> None:
        super().__init__(
            dsn, registry, name=name, pool_size=pool_size, poll_seconds=poll_seconds,
            password=password, worker_pool=worker_pool,
        )  # fmt: skip
        self.messages = messages
        self.is_fifo = messages.name.endswith(".fifo")
        self.has_redrive = True
        self.consumer = SqsConsumer(
            self,
            self.lease,
            messages,
            is_fifo=self.is_fifo,
            start=self.start,
            send_unsent=self.send_unsent,
            warm_up=self._outcomes.warm_up,
            dead_letter=self.dead_letter,
            on_schedules_changed=self.scheduler.wake,
            poll_seconds=poll_seconds,
        )
        self.lacks = {"priority": "has no priorities; postgresql:// has them"}
        if not self.is_fifo:
            self.lacks["group_key"] = "has groups only in FIFO queues: name one that ends in .fifo"

    async def connect(self) -> None:
        """As the Postgres engine. Raises `SettingsError` where SQS has no such queue."""
        await super().connect()
        try:
            attributes = await in_thread(self.messages.attributes)
        except NoSuchQueueError:
            raise SettingsError(
                [f"QUEUE_DSN: SQS has no queue {self.messages.name!r} in this account and region"]
            ) from None
        except UNAVAILABLE as error:
            log.warning("SQS does not answer; trying again when it is needed", error=str(error))
            return
        self.has_redrive = "RedrivePolicy" in attributes
        if not self.has_redrive:
            log.warning(
                "the SQS queue has no redrive policy: messages that cannot be read are deleted",
                sqs_queue=self.messages.name,
            )

    async def ping(self) -> None:
        try:
            await in_thread(self.messages.attributes)
        except NoSuchQueueError:
            raise ConnectionError("SQS has no such queue") from None

    async def prepare(self, job: Job) -> None:
        self.check_able(job)
        await super().prepare(job)

    async def insert(self, jobs: list[Job], connection: Connection | None = None) -> list[bool]:
        is_new = await super().insert(jobs, connection)
        if connection is None:
            await self._send_soon([job.key for job, put in zip(jobs, is_new, strict=True) if put])
        return is_new

    async def enqueue_many(
        self, jobs: Iterable[Job], *, connection: Connection | None = None
    ) -> list[Job | None]:
        """As the Postgres engine; with `connection`, a worker sends them after the commit."""
        put = await super().enqueue_many(jobs, connection=connection)
        if connection is None:
            await self._send_soon([job.key for job in put if job])
        return put

    async def retry(self, job: Job, error: str | None) -> None:
        await super().retry(job, error)
        await self._send_soon([job.key])

    async def _update(self, job: Job, status: Status | None = None, **kwargs: Any) -> None:
        """As the Postgres engine; for another due time another message is sent."""
        await super()._update(job, status, **kwargs)
        if "scheduled" in kwargs:
            await self.fetch(UNSEND, job.key, self.name)
            await self._send_soon([job.key])

    def complete_soon(self, job: LeasedJob, result: Any, then: OnWritten) -> bool:
        return False  # `finish` also deletes the message

    async def _write_outcome(self, outcome: Outcome) -> bool:
        job = outcome.job
        was_held = await super()._write_outcome(outcome)
        if receipt := self.consumer.receipts.pop(job.key, None):
            with contextlib.suppress(*AWAY):  # if it comes again, it starts nothing
                await in_thread(self.messages.delete, [receipt])
        if outcome.status is Status.QUEUED:
            await self._send_soon([job.key])
        return was_held

    async def wake_for(self, keys: list[str]) -> None:
        await self._send_soon(keys)

    async def _send_soon(self, keys: list[str]) -> None:
        """Send messages for these jobs; what SQS does not take now, a worker sends later."""
        try:
            for start in range(0, len(keys), SEND_ROWS):
                await self.send_unsent(keys[start : start + SEND_ROWS])
        except AWAY as error:
            log.warning("not sent to SQS yet; a worker will", error=f"{type(error).__name__}")

    async def send_unsent(self, keys: list[str] | None = None) -> int:
        """Send a message for each waiting job without one. Returns how many."""
        ahead = 0 if self.is_fifo else DELAY_MAX_SECONDS
        if keys is None:
            found = await self.fetch(UNSENT, self.name, ahead)
        else:
            found = await self.fetch(UNSENT_OF, self.name, ahead, keys)
        sent = []
        for start in range(0, len(found), Messages.BATCH):
            batch = found[start : start + Messages.BATCH]
            sendings = [self._sending(row) for row in batch]
            accepted = await in_thread(self.messages.send, sendings)
            sent += [row for row, is_sent in zip(batch, accepted, strict=True) if is_sent]
        if sent:
            await self.fetch(SENT, [row["key"] for row in sent], [row["lease"] for row in sent])
        return len(sent)

    def _sending(self, row: asyncpg.Record) -> Sending:
        body = msgspec.json.encode({"key": row["key"], "lease": row["lease"]}).decode()
        if not self.is_fifo:
            return Sending(body=body, delay_seconds=row["delay"])
        return Sending(
            body=body,
            group_id=_fifo_id(row["group_key"] or row["key"]),
            deduplication_id=_fifo_id(f"{row['key']}:{row['lease']}"),
        )

    async def start(self, messages: list[Message]) -> list[tuple[LeasedJob, str]]:
        """Claim the jobs of messages. Returns each with its receipt.

        Messages that start nothing are hidden or deleted.
        """
        named: dict[str, tuple[int, str]] = {}
        for message in messages:
            try:
                ours = await self._read(message)
            except (msgspec.MsgspecError, QueueError, RecursionError) as error:
                await self._refuse(message, error)
                continue
            one = (ours.lease, message.receipt)
            if ours.key in named:  # the message of the later lease counts
                named[ours.key], old = sorted((named[ours.key], one), reverse=True)
                await in_thread(self.messages.delete, [old[1]])
            else:
                named[ours.key] = one
        try:
            found = await self._start_rows(named)
        except asyncpg.UniqueViolationError:  # a job of the same group still runs elsewhere
            found = []
            for key, one in named.items():
                with contextlib.suppress(asyncpg.UniqueViolationError):
                    found += await self._start_rows({key: one})
        started = []
        for row in found:
            receipt = named.pop(row["key"])[1]
            try:
                started.append((job_blob.load(row, self), receipt))
            except MalformedJobError as error:
                await self.dead_letter(row["key"], row["lease"], f"malformed job: {error}")
                await in_thread(self.messages.delete, [receipt])
        await self._hide_or_delete(named)
        return started

    async def _start_rows(self, named: dict[str, tuple[int, str]]) -> list[asyncpg.Record]:
        leases = [lease for lease, _ in named.values()]
        return await self.fetch(START, list(named), leases, self.owner, self.name) if named else []

    async def _hide_or_delete(self, named: dict[str, tuple[int, str]]) -> None:
        """Hide messages that came too early or whose group is busy; delete outdated ones."""
        if not named:
            return
        leases = [lease for lease, _ in named.values()]
        waiting = {
            row["key"]: row["seconds"] if row["seconds"] > 0 else BUSY_SECONDS
            for row in await self.fetch(WAITING, list(named), leases, self.name)
        }
        for key, (_, receipt) in named.items():
            if key in waiting:
                seconds = min(waiting[key], HIDE_MAX_SECONDS)
                await in_thread(self.messages.hide, [receipt], seconds)
            else:
                await in_thread(self.messages.delete, [receipt])

    async def _read(self, message: Message) -> JobMessage:
        """The message as one of ours; for one of another producer a job is enqueued first.

        Raises `MsgspecError`, `RecursionError` or `QueueError` for a malformed message.
        """
        fields = msgspec.json.decode(message.body)
        if not isinstance(fields, dict) or "lease" in fields:
            return msgspec.convert(fields, JobMessage)
        foreign = msgspec.convert(fields, TaskMessage)
        job = build_job(self.registry, foreign.function, foreign.kwargs)
        job.key = f"sqs:{message.id}"  # the same each time that the message is received
        await self.prepare(job)
        if await self.find_record(job.key) is None:  # else a job that has ended would run again
            await super().insert([job])
        found = await self.fetch("SELECT lease FROM saq_jobs WHERE key = $1", job.key)
        lease = found[0]["lease"] if found else 0
        await self.fetch(SENT, [job.key], [lease])
        return JobMessage(job.key, lease)

    async def _refuse(self, message: Message, error: Exception) -> None:
        """Leave a malformed message to the redrive policy; delete it where there is none."""
        log.error(
            "malformed message",
            message_id=message.id,
            reason=f"{type(error).__name__}: {error}"[:300],
        )
        if not self.has_redrive:
            self.dead_letters += 1
            await in_thread(self.messages.delete, [message.receipt])
        elif not isinstance(error, UnknownTaskError):  # the next release may know that task
            await in_thread(self.messages.hide, [message.receipt], 0)

    async def around(self, record: JobRecord) -> Surroundings | None:
        return await JobQueue.around(self, record)  # nobody knows what SQS delivers next

    async def prune(self) -> int:
        """As the Postgres engine; also sends messages again that SQS may have lost."""
        with contextlib.suppress(*AWAY):
            found = await in_thread(self.messages.attributes)
            is_empty = not any(int(found.get(name, 0)) for name in COUNTS)
            if lost := await self.fetch(FORGOTTEN, self.name, is_empty):
                keys = [row["key"] for row in lost[:10]]
                log.warning("sending again what SQS may have lost", jobs=len(lost), job_keys=keys)
        return await super().prune()


def _fifo_id(text: str) -> str:
    """The text itself where SQS allows it as an id, else its digest."""
    if FIFO_ID.fullmatch(text):
        return text
    return hashlib.blake2b(text.encode(), digest_size=32).hexdigest()
