"""The service's one door to AWS: boto3 clients with time limits and retries."""

import asyncio
import contextlib
import functools
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from service.contract import DatabaseSecretField
from service.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ses import SESClient

CONFIG = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "max_attempts": 3})
# Below the time limit of a connection, which the question is part of.
PASSWORD_CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2})
PASSWORD_FRESH_SECONDS = 5.0
# A rotation gives a version its label before Postgres knows it, or after: the one in use is among
# these. https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
PASSWORD_VERSIONS = ("AWSCURRENT", "AWSPENDING", "AWSPREVIOUS")
# Before each look at them. One is not enough: labels move, and Postgres is told, between two tries.
PASSWORD_LOOKS_SECONDS = (0.0, 0.2, 0.8)
# Above the twenty seconds that SQS may take to answer a long poll.
SQS_CONFIG = Config(
    connect_timeout=3,
    read_timeout=25,
    max_pool_connections=20,
    retries={"mode": "standard", "max_attempts": 3},
)
# A link to what a KMS key protects can be signed in this version alone. The bucket is named in the
# path, which every stand-in for S3 knows too.
S3_CONFIG = Config(
    connect_timeout=3,
    read_timeout=30,
    signature_version="s3v4",
    s3={"addressing_style": "path"},
    retries={"mode": "standard", "max_attempts": 5},
)

log = structlog.stdlib.get_logger("aws")


def ses_client(region: str | None) -> "SESClient":
    """Amazon SES in `region`, or in the region of the environment."""
    return boto3.client("ses", region_name=region, config=CONFIG)


class DatabasePassword:
    """Call it for the password that Secrets Manager holds now: it may change without notice.

    Connections that open together ask once. While Secrets Manager is away the last known password
    is given; a ConnectionError where none is known. One that Postgres does not take may be about to
    be set there, or just replaced: `others` has what may be right instead.
    """

    def __init__(self, secret_arn: str, region: str | None) -> None:
        self._arn = secret_arn
        self._client = boto3.client("secretsmanager", region_name=region, config=PASSWORD_CONFIG)
        self._turn = threading.Lock()  # not asyncio's: the lease has an event loop of its own
        self._known: str | None = None
        self._asked_at = 0.0

    async def __call__(self) -> str:
        return await asyncio.to_thread(self._give)

    async def newest(self) -> str:
        """The version that is to become the current one, or else the current one; asked for now."""
        return await asyncio.to_thread(lambda: self._version("AWSPENDING") or self._ask())

    async def others(self, refused: str) -> AsyncIterator[str]:
        """What another connection has found meanwhile, then each version of the secret, again and
        again for a second."""
        if self._known and self._known != refused:
            yield self._known
        for seconds in PASSWORD_LOOKS_SECONDS:
            await asyncio.sleep(seconds)
            tried = set() if seconds else {refused}
            for label in PASSWORD_VERSIONS:
                found = await asyncio.to_thread(self._version, label)
                if found and found not in tried:
                    tried.add(found)
                    yield found

    def accept(self, password: str) -> None:
        """Give this one until the secret is asked again."""
        with self._turn:
            self._known, self._asked_at = password, time.monotonic()

    def _give(self) -> str:
        with self._turn:
            if self._known is None or time.monotonic() - self._asked_at > PASSWORD_FRESH_SECONDS:
                self._known = self._ask()
                self._asked_at = time.monotonic()
            return self._known

    def _version(self, label: str) -> str | None:
        """None where the secret has no such version, or does not answer."""
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
    """What to ask for the application's database; None where DATABASE_URL says it all."""
    if settings.database_secret_arn is None:
        return None
    return DatabasePassword(settings.database_secret_arn, settings.aws_region)


def queue_password(settings: Settings) -> DatabasePassword | None:
    """The same for the queue's; None too where the queue has a database of its own."""
    return database_password(settings) if settings.queue_dsn is None else None


class NoSuchQueueError(Exception):
    """There is no SQS queue of that name, or it may not be seen."""


@dataclass(frozen=True)
class Message:
    """One message as it was received; `receipt` is what it can be kept and deleted by."""

    id: str
    body: str
    receipt: str


@dataclass(frozen=True, kw_only=True)
class Sending:
    """One message to send; a FIFO queue wants both ids and no delay."""

    body: str
    delay_seconds: int = 0
    group_id: str | None = None
    deduplication_id: str | None = None


class Messages:
    """One SQS queue, by blocking calls: each is to be made in a thread.

    They raise ConnectionError while SQS does not answer or refuses, `NoSuchQueueError` where there
    is no such queue.
    """

    BATCH = 10  # messages in one call, SQS's own limit

    def __init__(self, name: str, *, url: str | None, region: str | None) -> None:
        self.name = name
        self._url = url
        self._client = boto3.client("sqs", region_name=region, config=SQS_CONFIG)

    def attributes(self) -> dict[str, str]:
        """What SQS says of the queue."""
        with _sqs_errors():
            answer = self._client.get_queue_attributes(
                QueueUrl=self._where(), AttributeNames=["All"]
            )
            return {str(name): value for name, value in answer.get("Attributes", {}).items()}

    def receive(self, count: int, *, wait_seconds: int, hidden_seconds: int) -> list[Message]:
        """At most ten, hidden from others for so long; none after `wait_seconds`."""
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
        """At most ten; which of them SQS has taken."""
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
        """At most ten; one that has been deleted is no error."""
        with _sqs_errors():
            self._client.delete_message_batch(
                QueueUrl=self._where(),
                Entries=[
                    {"Id": str(number), "ReceiptHandle": receipt}
                    for number, receipt in enumerate(receipts)
                ],
            )

    def hide(self, receipts: list[str], seconds: int) -> None:
        """Keep at most ten from others for so long from now; 0 gives them back."""
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
    """One S3 bucket, by blocking calls: each is to be made in a thread.

    They raise ConnectionError while S3 does not answer or refuses.
    """

    PART_BYTES = 8 * 1024 * 1024  # S3 takes 10,000 parts of 5 MiB or more; the last may be smaller

    def __init__(self, name: str, region: str | None) -> None:
        self.name = name
        self._client: S3Client = boto3.Session().client("s3", region_name=region, config=S3_CONFIG)

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """Make an object in one piece."""
        with _s3_errors():
            self._client.put_object(Bucket=self.name, Key=key, Body=body, ContentType=content_type)

    def get(self, key: str) -> bytes:
        """The whole object."""
        with _s3_errors():
            return self._client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def start_upload(self, key: str, content_type: str) -> str:
        """Begin an object that comes in parts; the id of its upload."""
        with _s3_errors():
            return self._client.create_multipart_upload(
                Bucket=self.name, Key=key, ContentType=content_type
            )["UploadId"]

    def upload_part(self, key: str, upload: str, number: int, part: bytes) -> str:
        """Part `number`, from 1; the tag to finish with."""
        with _s3_errors():
            return self._client.upload_part(
                Bucket=self.name, Key=key, UploadId=upload, PartNumber=number, Body=part
            )["ETag"]

    def finish_upload(self, key: str, upload: str, tags: list[str]) -> None:
        """Make the object of the parts with these tags; until now there was none."""
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
        """An address where anybody can download the object for so long, under that name."""
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
    """The bucket; this process has one client for it, which threads may share."""
    return Bucket(name, region)


@contextlib.contextmanager
def _s3_errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise ConnectionError(f"S3 refuses: {error.response['Error']['Code']}") from None
    except BotoCoreError as error:
        raise ConnectionError(f"S3 does not answer: {type(error).__name__}") from None
