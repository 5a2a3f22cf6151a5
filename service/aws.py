"""The service's one door to AWS: boto3 clients with time limits and retries."""

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING

import boto3
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from service.contract import DatabaseSecretField
from service.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_ses import SESClient

CONFIG = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "max_attempts": 3})
# Below the time limit of a connection, which the question is part of.
PASSWORD_CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2})
PASSWORD_FRESH_SECONDS = 5.0

log = structlog.stdlib.get_logger("aws")


def ses_client(region: str | None) -> "SESClient":
    """Amazon SES in `region`, or in the region of the environment."""
    return boto3.client("ses", region_name=region, config=CONFIG)


class DatabasePassword:
    """Call it for the password that Secrets Manager holds now: RDS changes it without notice.

    Connections that open together ask once. While Secrets Manager is away the last known password
    is given; a ConnectionError where none is known.
    """

    def __init__(self, secret_arn: str, region: str | None) -> None:
        self._arn = secret_arn
        self._client = boto3.client("secretsmanager", region_name=region, config=PASSWORD_CONFIG)
        self._turn = threading.Lock()  # not asyncio's: the lease has an event loop of its own
        self._known: str | None = None
        self._asked_at = 0.0

    async def __call__(self) -> str:
        return await asyncio.to_thread(self._give)

    def _give(self) -> str:
        with self._turn:
            if self._known is None or time.monotonic() - self._asked_at > PASSWORD_FRESH_SECONDS:
                self._known = self._ask()
                self._asked_at = time.monotonic()
            return self._known

    def _ask(self) -> str:
        try:
            answer = self._client.get_secret_value(SecretId=self._arn)
            password: str = json.loads(answer["SecretString"])[DatabaseSecretField.PASSWORD]
        except (BotoCoreError, ClientError, LookupError, ValueError) as error:
            reason = type(error).__name__
            if isinstance(error, ClientError):
                reason = error.response["Error"]["Code"]
            if self._known is None:
                raise ConnectionError(f"cannot read the database's password: {reason}") from None
            log.warning("cannot read the database's password; the last one is used", error=reason)
            return self._known
        return password


def database_password(settings: Settings) -> DatabasePassword | None:
    """What to ask for the application's database; None where DATABASE_URL says it all."""
    if settings.database_secret_arn is None:
        return None
    return DatabasePassword(settings.database_secret_arn, settings.aws_region)


def queue_password(settings: Settings) -> DatabasePassword | None:
    """The same for the queue's; None too where the queue has a database of its own."""
    return database_password(settings) if settings.queue_dsn is None else None
