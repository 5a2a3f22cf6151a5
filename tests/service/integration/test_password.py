"""The database's password is asked for at each connect, so that it may change without notice."""

import asyncio
import json
from collections.abc import AsyncIterator
from urllib.parse import quote, urlsplit

import asyncpg
import boto3
import pytest
from moto import mock_aws
from pydantic import SecretStr

from service import aws
from service.aws import DatabasePassword, database_password, queue_password
from service.db import UNAVAILABLE, create_pool
from service.settings import Settings

REGION = "eu-central-1"


class Vault:
    """A secret as RDS keeps one."""

    def __init__(self) -> None:
        self.client = boto3.client("secretsmanager", region_name=REGION)
        self.arn = self.client.create_secret(Name="database", SecretString="{}")["ARN"]

    def put(self, password: str) -> None:
        text = json.dumps({"username": "app", "password": password})
        self.client.put_secret_value(SecretId=self.arn, SecretString=text)

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
    vault: Vault, database: str
) -> None:
    owner = await asyncpg.connect(database)
    role = f"rotating_{owner.get_server_pid()}"
    await owner.execute(f"CREATE ROLE {role} LOGIN")
    told = []

    async def password() -> str:
        told.append(await ask())
        return told[-1]

    ask = DatabasePassword(vault.arn, REGION)
    parts = urlsplit(database)
    dsn = database.replace(parts.netloc, f"{quote(role)}@", 1)
    pool = await create_pool(dsn, name="test", max_size=2, password=password)
    try:
        vault.put("first")
        assert await pool.fetchval("SELECT current_user") == role
        vault.put("second")
        await pool.expire_connections()
        assert await pool.fetchval("SELECT current_user") == role
    finally:
        await pool.close()
        await owner.execute(f"DROP ROLE {role}")
        await owner.close()
    assert told == ["first", "second"]


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
