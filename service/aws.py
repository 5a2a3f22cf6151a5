"""AWS for the service: boto3 clients with timeouts and retries. Nothing else imports boto3.

It is imported where a client is made: that is a tenth of a process's start, and most make none.
"""

import asyncio
import contextlib
import functools
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from service.contract import DatabaseSecretField
from service.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ses import SESClient

CONFIG = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "max_attempts": 3})
# Shorter than the timeout of a database connection, because asking for the password is part of it.
PASSWORD_CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2})
PASSWORD_FRESH_SECONDS = 5.0
# A rotation moves these labels before or after it changes the password in Postgres: the password in
# use has one of them.
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
PASSWORD_VERSIONS = ("AWSCURRENT", "AWSPENDING", "AWSPREVIOUS")
# The wait before each round of tries: labels and password may change between two tries.
PASSWORD_WAITS_SECONDS = (0.0, 0.2, 0.8)
# Longer than the twenty seconds of SQS's longest poll.
SQS_CONFIG = Config(
    connect_timeout=3,
    read_timeout=25,
    max_pool_connections=20,
    retries={"mode": "standard", "max_attempts": 3},
)
# Only this version can sign a link to an object that a KMS key encrypts. The bucket is named in the
# path, which other servers with S3's API understand too.
S3_CONFIG = Config(
    connect_timeout=3,
    read_timeout=30,
    signature_version="s3v4",
    s3={"addressing_style": "path"},
    retries={"mode": "standard", "max_attempts": 5},
)

log = structlog.stdlib.get_logger("aws")


@functools.cache
def client(service: str, region: str | None) -> Any:
    """boto3's client of an AWS service (`client("dynamodb", settings.aws_region)`), one for the
    process, which threads may share.

    Its calls block, so make them in a thread. Connecting may take 3 seconds and an answer 10.
    """
    import boto3  # noqa: PLC0415

    return boto3.client(service, region_name=region, config=CONFIG)  # type: ignore[call-overload]


def ses_client(region: str | None) -> "SESClient":
    """Amazon SES in `region`, or in the region of the environment."""
    import boto3  # noqa: PLC0415

    return boto3.client("ses", region_name=region, config=CONFIG)


class DatabasePassword:
    """The database password in Secrets Manager. Call it for the current one, which may change.

    Connections that open together read the secret once. While Secrets Manager is away, the last
    known password is returned; without one it raises `ConnectionError`. During a rotation Postgres
    may refuse it: `others` yields the passwords that may be right instead.
    """

    def __init__(self, secret_arn: str, region: str | None) -> None:
        import boto3  # noqa: PLC0415

        self._arn = secret_arn
        self._client = boto3.client("secretsmanager", region_name=region, config=PASSWORD_CONFIG)
        self._lock = threading.Lock()  # not asyncio's: the lease has an event loop of its own
        self._known: str | None = None
        self._asked_at = 0.0

    async def __call__(self) -> str:
        return await asyncio.to_thread(self._give)

    async def newest(self) -> str:
        """The version that will become the current one, else the current one; read now."""
        return await asyncio.to_thread(lambda: self._version("AWSPENDING") or self._ask())

    async def others(self, refused: str) -> AsyncIterator[str]:
        """The password that another connection has found, then each version, for a second."""
        if self._known and self._known != refused:
            yield self._known
        for seconds in PASSWORD_WAITS_SECONDS:
            await asyncio.sleep(seconds)
            tried = set() if seconds else {refused}
            for label in PASSWORD_VERSIONS:
                found = await asyncio.to_thread(self._version, label)
                if found and found not in tried:
                    tried.add(found)
                    yield found

    def accept(self, password: str) -> None:
        """Return this password until the secret is read again."""
        with self._lock:
            self._known, self._asked_at = password, time.monotonic()

    def _give(self) -> str:
        with self._lock:
            if self._known is None or time.monotonic() - self._asked_at > PASSWORD_FRESH_SECONDS:
                self._known = self._ask()
                self._asked_at = time.monotonic()
            return self._known

    def _version(self, label: str) -> str | None:
        """The password with that label; None without one, or where Secrets Manager is away."""
        try:
            return self._read(VersionStage=label)
        except (BotoCoreError, ClientError, LookupError, ValueError):
            return None

    def _read(self, **version: str) -> str:
        answer = self._client.get_secret_value(SecretId=self._arn, **version)
        password: str = json.loads(answer["SecretString"])[DatabaseSecretField.PASSWORD]
        return password

    def _ask(self) -> str:
        try:
            return self._read(VersionStage=PASSWORD_VERSIONS[0])
        except (BotoCoreError, ClientError, LookupError, ValueError) as error:
            reason = type(error).__name__
            if isinstance(error, ClientError):
                reason = error.response["Error"]["Code"]
            if self._known is None:
                raise ConnectionError(f"cannot read the database's password: {reason}") from None
            log.warning("cannot read the database's password; the last one is used", error=reason)
            return self._known


def database_password(settings: Settings) -> DatabasePassword | None:
    """The password of the application's database; None where DATABASE_URL has it."""
    if settings.database_secret_arn is None:
        return None
    return DatabasePassword(settings.database_secret_arn, settings.aws_region)


def queue_password(settings: Settings) -> DatabasePassword | None:
    """The password of the queue's database; None where QUEUE_DSN has it."""
    return database_password(settings) if settings.queue_dsn is None else None


class NoSuchQueueError(Exception):
    """There is no SQS queue of that name, or this process may not see it."""


@dataclass(frozen=True)
class Message:
    """A received message; `receipt` names it to hide or delete it."""

    id: str
    body: str
    receipt: str


@dataclass(frozen=True, kw_only=True)
class Sending:
    """A message to send; a FIFO queue needs both ids and allows no delay."""

    body: str
    delay_seconds: int = 0
    group_id: str | None = None
    deduplication_id: str | None = None


class Messages:
    """One SQS queue. The calls block, so make them in a thread.

    They raise `ConnectionError` while SQS does not answer or refuses, and `NoSuchQueueError`.
    """

    BATCH = 10  # messages in one call, SQS's own limit

    def __init__(self, name: str, *, url: str | None, region: str | None) -> None:
        import boto3  # noqa: PLC0415

        self.name = name
        self._url = url
        self._client = boto3.client("sqs", region_name=region, config=SQS_CONFIG)

    def attributes(self) -> dict[str, str]:
        """The attributes of the queue."""
        with _sqs_errors():
            answer = self._client.get_queue_attributes(
                QueueUrl=self._where(), AttributeNames=["All"]
            )
            return {str(name): value for name, value in answer.get("Attributes", {}).items()}

    def receive(self, count: int, *, wait_seconds: int, hidden_seconds: int) -> list[Message]:
        """Receive at most ten messages, none after `wait_seconds`.

        They are hidden from other receivers for `hidden_seconds`.
        """
        with _sqs_errors():
            answer = self._client.receive_message(
                QueueUrl=self._where(),
                MaxNumberOfMessages=min(count, self.BATCH),
                WaitTimeSeconds=wait_seconds,
                VisibilityTimeout=hidden_seconds,
            )
        return [
            Message(each["MessageId"], each["Body"], each["ReceiptHandle"])
            for each in answer.get("Messages", [])
        ]

    def send(self, batch: list[Sending]) -> list[bool]:
        """Send at most ten messages. Returns for each whether SQS has accepted it."""
        entries = []
        for number, sending in enumerate(batch):
            entry = {
                "Id": str(number),
                "MessageBody": sending.body,
                "DelaySeconds": sending.delay_seconds,
                "MessageGroupId": sending.group_id,
                "MessageDeduplicationId": sending.deduplication_id,
            }
            entries.append({key: value for key, value in entry.items() if value})
        with _sqs_errors():
            answer = self._client.send_message_batch(
                QueueUrl=self._where(),
                Entries=entries,  # type: ignore[arg-type]
            )
        refused = {int(each["Id"]) for each in answer.get("Failed", [])}
        return [number not in refused for number in range(len(batch))]

    def delete(self, receipts: list[str]) -> None:
        """Delete at most ten messages; one that is deleted already is no error."""
        with _sqs_errors():
            self._client.delete_message_batch(
                QueueUrl=self._where(),
                Entries=[
                    {"Id": str(number), "ReceiptHandle": receipt}
                    for number, receipt in enumerate(receipts)
                ],
            )

    def hide(self, receipts: list[str], seconds: int) -> None:
        """Hide at most ten messages from other receivers for `seconds` from now; 0 shows them."""
        with _sqs_errors():
            self._client.change_message_visibility_batch(
                QueueUrl=self._where(),
                Entries=[
                    {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
                    for number, receipt in enumerate(receipts)
                ],
            )

    def _where(self) -> str:
        if self._url is None:
            self._url = self._client.get_queue_url(QueueName=self.name)["QueueUrl"]
        return self._url


@contextlib.contextmanager
def _sqs_errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"):
            raise NoSuchQueueError(code) from None
        raise ConnectionError(f"SQS refuses: {code}") from None
    except BotoCoreError as error:
        raise ConnectionError(f"SQS does not answer: {type(error).__name__}") from None


class Bucket:
    """One S3 bucket. The calls block, so make them in a thread.

    They raise `ConnectionError` while S3 does not answer or refuses.
    """

    PART_BYTES = 8 * 1024 * 1024  # S3 takes 10,000 parts of 5 MiB or more; the last may be smaller

    def __init__(self, name: str, region: str | None) -> None:
        import boto3  # noqa: PLC0415

        self.name = name
        self._client: S3Client = boto3.Session().client("s3", region_name=region, config=S3_CONFIG)

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """Write an object in one request."""
        with _s3_errors():
            self._client.put_object(Bucket=self.name, Key=key, Body=body, ContentType=content_type)

    def get(self, key: str) -> bytes:
        """The whole object."""
        with _s3_errors():
            return self._client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def start_upload(self, key: str, content_type: str) -> str:
        """Begin an object in parts. Returns the id of the upload."""
        with _s3_errors():
            return self._client.create_multipart_upload(
                Bucket=self.name, Key=key, ContentType=content_type
            )["UploadId"]

    def upload_part(self, key: str, upload: str, number: int, part: bytes) -> str:
        """Upload part `number`, from 1. Returns the tag that `finish_upload` needs."""
        with _s3_errors():
            return self._client.upload_part(
                Bucket=self.name, Key=key, UploadId=upload, PartNumber=number, Body=part
            )["ETag"]

    def finish_upload(self, key: str, upload: str, tags: list[str]) -> None:
        """Make the object of the parts with these tags; before, no object exists."""
        with _s3_errors():
            self._client.complete_multipart_upload(
                Bucket=self.name,
                Key=key,
                UploadId=upload,
                MultipartUpload={
                    "Parts": [
                        {"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)
                    ]
                },
            )

    def abort_upload(self, key: str, upload: str) -> None:
        """Drop the parts."""
        with _s3_errors():
            self._client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload)

    def link(self, key: str, *, seconds: int, file_name: str) -> str:
        """A URL where anybody can download the object for `seconds`, as `file_name`."""
        with _s3_errors():
            return self._client.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self.name,
                    "Key": key,
                    "ResponseContentDisposition": f'attachment; filename="{file_name}"',
                },
                ExpiresIn=seconds,
            )


@functools.cache
def open_bucket(name: str, region: str | None) -> Bucket:
    """The bucket, with one client for the process, which threads may share."""
    return Bucket(name, region)


@contextlib.contextmanager
def _s3_errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise ConnectionError(f"S3 refuses: {error.response['Error']['Code']}") from None
    except BotoCoreError as error:
        raise ConnectionError(f"S3 does not answer: {type(error).__name__}") from None


def log_events(
    group: str, text: str, begin: datetime, end: datetime, *, region: str | None
) -> Iterator[list[dict[str, Any]]]:
    """The events of a log group that hold `text`, page by page; a page may be empty.

    Raises `ConnectionError` where CloudWatch does not answer or refuses.
    """
    asked: dict[str, Any] = {
        "logGroupName": group,
        "startTime": int(begin.timestamp() * 1000),
        "endTime": int(end.timestamp() * 1000),
        "filterPattern": f'"{text}"',
    }
    while True:
        try:
            answer = client("logs", region).filter_log_events(**asked)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise ConnectionError(f"CloudWatch refuses: {code}") from None
        except BotoCoreError as error:
            kind = type(error).__name__
            raise ConnectionError(f"CloudWatch does not answer: {kind}") from None
        yield answer["events"]
        if not (token := answer.get("nextToken")):
            return
        asked["nextToken"] = token
