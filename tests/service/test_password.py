"""The database's password is read for each new connection, so that it may change at any time."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import asyncpg
import boto3
import pytest
from moto import mock_aws
from pydantic import SecretStr

from service import aws
from service.aws import DatabasePassword, database_password, queue_password
from service.database_user import DatabaseUser
from service.db import UNAVAILABLE, connect, create_pool
from service.migrate import migrate
from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.tasks.registry import Registry
from service.settings import Settings
from tests.service.aurora import Aurora

REGION = "eu-central-1"


class Vault:
    """A secret as Secrets Manager keeps one."""

    def __init__(self) -> None:
        self.client = boto3.client("secretsmanager", region_name=REGION)
        self.arn = self.client.create_secret(Name="database", SecretString="{}")["ARN"]

    def put(self, password: str, *labels: str) -> str:
        text = json.dumps({"username": "app", "password": password})
        made = self.client.put_secret_value(
            SecretId=self.arn, SecretString=text, VersionStages=list(labels or ["AWSCURRENT"])
        )
        return made["VersionId"]

    def move(self, label: str, to: str | None, away_from: str) -> None:
        given = {"MoveToVersionId": to} if to else {}
        self.client.update_secret_version_stage(
            SecretId=self.arn, VersionStage=label, RemoveFromVersionId=away_from, **given
        )

    def lose(self) -> None:
        self.client.delete_secret(SecretId=self.arn, ForceDeleteWithoutRecovery=True)


@pytest.fixture
async def vault(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Vault]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield Vault()


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask at each call, instead of every five seconds."""
    monkeypatch.setattr(aws, "PASSWORD_FRESH_SECONDS", 0.0)


@pytest.mark.usefixtures("no_memory")
async def test_a_changed_password_is_used_by_the_next_connection(
    vault: Vault, aurora: Aurora, root: Path
) -> None:
    user, password = aurora.dsn(aurora.user, ""), DatabasePassword(vault.arn, REGION)
    pool = await create_pool(user, name="test", max_size=2, password=password)
    for word in ("first", "second"):
        vault.put(word)
        await migrate(aurora.owner_dsn, root, user=DatabaseUser(user, password.newest))
        await pool.expire_connections()
        assert await pool.fetchval("SELECT current_user") == aurora.user
        assert password._known == word
    await pool.close()


def labels(*found: str) -> Iterable[tuple[str, ...]]:
    """What a secret may hold while Postgres has "right": (current, pending, previous)."""
    return [tuple(each.split()) for each in found]


@pytest.mark.parametrize(
    ("current", "pending", "previous"),
    labels("right - -", "new - right", "old right -", "old right older", "new newer right"),
)
async def test_whichever_version_postgres_has_lets_in(
    vault: Vault, aurora: Aurora, root: Path, *, current: str, pending: str, previous: str
) -> None:
    await migrate(aurora.owner_dsn, root, user=aurora.database_user("right"))
    vault.put(previous)
    vault.put(current)  # the one before gets the label AWSPREVIOUS
    if pending != "-":
        vault.put(pending, "AWSPENDING")
    password, user = DatabasePassword(vault.arn, REGION), aurora.dsn(aurora.user, "")
    for _ in range(2):  # found, and remembered
        connection = await connect(user, password=password)
        await connection.close()
    assert await password() == "right"


async def test_a_password_that_no_version_has_is_refused_as_a_database_that_is_away(
    vault: Vault, aurora: Aurora, root: Path
) -> None:
    await migrate(aurora.owner_dsn, root, user=aurora.database_user("right"))
    vault.put("wrong")
    with pytest.raises(asyncpg.InvalidPasswordError) as refused:
        await connect(aurora.dsn(aurora.user, ""), password=DatabasePassword(vault.arn, REGION))
    assert isinstance(refused.value, UNAVAILABLE)


@pytest.mark.usefixtures("no_memory")
async def test_both_passwords_rotate_under_load_without_one_refused_connection(
    vault: Vault, aurora: Aurora, registry: Registry, root: Path
) -> None:
    """Each enqueue opens a connection, while `moor new-password` and RDS do their steps."""
    user = aurora.dsn(aurora.user, "")
    current = vault.put("word-0")
    owner, newest = aurora.owner_dsn, DatabasePassword(vault.arn, REGION).newest
    await migrate(owner, root, user=DatabaseUser(user, newest))
    queue = PostgresQueue(user, registry, password=DatabasePassword(vault.arn, REGION))
    await queue.connect()
    done, is_over, slowest = 0, asyncio.Event(), 0.0

    async def load() -> None:
        nonlocal done, slowest
        while not is_over.is_set():
            started = time.monotonic()
            await queue.database.expire()
            assert await queue.enqueue("sleep", seconds=0)
            done, slowest = done + 1, max(slowest, time.monotonic() - started)

    loads = [asyncio.create_task(load()) for _ in range(3)]
    for number in range(1, 4):
        await aurora.as_superuser(f"ALTER ROLE {aurora.owner} PASSWORD 'owner-{number}'")
        owner = aurora.dsn(aurora.owner, f"owner-{number}")
        made = vault.put(f"word-{number}", "AWSPENDING")
        before = done
        await asyncio.sleep(0.2)
        await migrate(owner, root, user=DatabaseUser(user, newest))
        await asyncio.sleep(0.2)
        vault.move("AWSCURRENT", made, current)
        vault.move("AWSPENDING", None, made)
        await asyncio.sleep(0.2)
        assert done > before
        current = made
    is_over.set()
    await asyncio.gather(*loads)
    assert (await queue.stats()).queued == done
    await queue.disconnect()
    assert slowest < 5


async def test_connections_that_open_together_ask_once(vault: Vault) -> None:
    vault.put("first")
    ask = DatabasePassword(vault.arn, REGION)
    assert await asyncio.gather(*(ask() for _ in range(10))) == ["first"] * 10
    vault.put("second")
    assert await ask() == "first"  # for five seconds


@pytest.mark.usefixtures("no_memory")
async def test_the_last_password_serves_while_secrets_manager_is_away(vault: Vault) -> None:
    vault.put("first")
    ask = DatabasePassword(vault.arn, REGION)
    assert await ask() == "first"
    vault.lose()
    assert await ask() == "first"


async def test_no_password_at_all_counts_as_a_database_that_is_away(vault: Vault) -> None:
    vault.lose()
    with pytest.raises(ConnectionError, match="ResourceNotFoundException") as raised:
        await DatabasePassword(vault.arn, REGION)()
    assert isinstance(raised.value, UNAVAILABLE)


def test_a_queue_with_a_database_of_its_own_is_not_given_the_others_password() -> None:
    settings = Settings(
        stage="dev", database_url=SecretStr("postgresql://app@db/app"), aws_region=REGION,
        database_secret_arn="arn:aws:secretsmanager:eu-central-1:1:secret:x",
    )  # fmt: skip
    own = settings.model_copy(update={"queue_dsn": SecretStr("postgresql://queue@db2/queue")})
    assert database_password(settings) is not None
    assert queue_password(settings) is not None
    assert queue_password(own) is None
    assert database_password(settings.model_copy(update={"database_secret_arn": None})) is None
