"""Passwords that change under the workers."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from tests.faults.arena import Arena
from tests.faults.scenarios.load import steady_load

COMMAND = ("-m", "tests.faults.rotating")
MIGRATE = ("-m", "service", "migrate")
REGION = "eu-central-1"
AWS = {"AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"


async def password_rotates(arena: Arena) -> None:
    """A new password every 5 s, and every connection ended, under load."""
    role, file = f"rotating_{arena.database_name}", arena.fleet.folder / "password"
    await arena.database.execute(f"CREATE ROLE {role} LOGIN SUPERUSER")
    async with _password_wanted(arena, role):
        await _rotate(arena, role, file)
        environment = {"DATABASE_URL": arena.dsn_through_proxy(role), "FAULT_PASSWORD": str(file)}
        workers = [arena.spawn(environment, command=COMMAND) for _ in range(2)]
        await arena.wait(
            lambda: len(arena.ledger.events("worker start")) == 2, "the workers have started"
        )
        async with steady_load(arena, jobs_per_second=30, seconds_max=0.5):
            for _ in range(arena.size(full=5, short=2)):
                await asyncio.sleep(5)
                await _rotate(arena, role, file)
                rotated = time.monotonic()
                await arena.time(
                    "goes_on_s",
                    partial(arena.has_begun, after=rotated + 1),
                    since=rotated,
                )
        await arena.at_rest(30)
        arena.hold("crashed", sum(not worker.is_alive for worker in workers))
        arena.fleet.end()
    failed: int = await arena.database.fetchval(
        "SELECT count(*) FROM saq_jobs WHERE status <> 'complete' AND key NOT LIKE 'cron:%'"
    )
    arena.hold("failed_jobs", failed)


async def _rotate(arena: Arena, role: str, file: Path) -> None:
    """The old password stops at once; the provider knows the new one a moment later."""
    password = secrets.token_hex(8)
    await arena.database.execute(f"ALTER ROLE {role} PASSWORD '{password}'")
    await arena.database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", role
    )
    await asyncio.sleep(arena.random.uniform(0.1, 0.5))
    file.write_text(password)


@contextlib.asynccontextmanager
async def _password_wanted(arena: Arena, *roles: str) -> AsyncIterator[None]:
    """While the block runs, the server lets these roles in by password only."""
    rules = arena.server.data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host all {','.join(roles)} 127.0.0.1/32 scram-sha-256\n{before}")
    await asyncio.to_thread(arena.server.control, "reload")
    try:
        yield
    finally:
        rules.write_text(before)
        await asyncio.to_thread(arena.server.control, "reload")


@dataclass
class _Vault:
    """A secret in a Secrets Manager of this machine."""

    client: Any
    arn: str

    def put(self) -> str:
        """A new password, as a version that waits; its id."""
        made = self.client.put_secret_value(
            SecretId=self.arn, SecretString=_credentials(), VersionStages=[PENDING]
        )
        return str(made["VersionId"])

    def make_current(self, version: str) -> None:
        """As `moor new-password` ends."""
        found = self.client.describe_secret(SecretId=self.arn)["VersionIdsToStages"]
        (current,) = (id for id, labels in found.items() if CURRENT in labels)
        for move in (
            {"VersionStage": CURRENT, "MoveToVersionId": version, "RemoveFromVersionId": current},
            {"VersionStage": PENDING, "RemoveFromVersionId": version},
        ):
            self.client.update_secret_version_stage(SecretId=self.arn, **move)


def _credentials() -> str:
    return json.dumps({"username": "app", "password": secrets.token_hex(8)})


@contextlib.contextmanager
def _vault() -> Iterator[tuple[_Vault, dict[str, str]]]:
    """The vault, and the environment that leads to it."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        endpoint = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
        client = boto3.client(
            "secretsmanager", endpoint_url=endpoint, region_name=REGION,
            aws_access_key_id="test", aws_secret_access_key="test",
        )  # fmt: skip
        arn = client.create_secret(Name="user", SecretString=_credentials())["ARN"]
        told = {**AWS, "AWS_ENDPOINT_URL": endpoint, "DATABASE_SECRET_ARN": arn}
        yield _Vault(client, arn), told
    finally:
        server.stop()


async def both_passwords_rotate(arena: Arena) -> None:
    """Of the owner, whom only `migrate` is, and of API and worker, in both ways there are: as
    `moor new-password` does it, and by a new current version that Postgres gets later.

    Every job opens a connection, and so do the queue's own in between.
    """
    user, owner = f"user_{arena.database_name}", f"owner_{arena.database_name}"
    await arena.database.execute(f"CREATE ROLE {owner} LOGIN SUPERUSER")
    with _vault() as (vault, way):
        told = {**way, "DATABASE_URL": arena.dsn_through_proxy(user)}

        async def migrate() -> None:
            password = secrets.token_hex(8)
            await arena.database.execute(f"ALTER ROLE {owner} PASSWORD '{password}'")
            given = {
                **told,
                "DATABASE_OWNER_URL": arena.dsn_through_proxy(owner),
                "DATABASE_OWNER_PASSWORD": password,
            }
            process = arena.fleet.spawn(MIGRATE, given)
            assert await process.exit(90) == 0, process.log

        async with _password_wanted(arena, user, owner):
            await migrate()
            workers = [arena.spawn(told) for _ in range(2)]
            await arena.wait(
                lambda: len(arena.ledger.events("worker start")) == 2, "the workers have started"
            )
            async with steady_load(arena, 30, seconds_max=0.2, task="connect_anew"):
                for turn in range(arena.size(full=6, short=2)):
                    is_by_hand = turn % 2 == 1
                    version = vault.put()
                    if is_by_hand:  # `put-secret-value` does both at once
                        vault.make_current(version)
                    await _disconnect_queues(arena, user)
                    await asyncio.sleep(arena.random.uniform(0, 2))
                    await migrate()
                    rotated = time.monotonic()
                    await _disconnect_queues(arena, user)
                    await asyncio.sleep(arena.random.uniform(0, 2))
                    if not is_by_hand:
                        vault.make_current(version)
                    await _disconnect_queues(arena, user)
                    await arena.time(
                        "goes_on_s", partial(arena.has_begun, after=rotated), since=rotated
                    )
            await arena.at_rest(30)
            arena.hold("crashed", sum(not worker.is_alive for worker in workers))
            arena.fleet.end()
    failed: int = await arena.database.fetchval(
        "SELECT count(*) FROM background_jobs WHERE status <> 'complete' AND task = 'connect_anew'"
    )
    again: int = await arena.database.fetchval(
        "SELECT count(*) FROM background_jobs WHERE attempts > 1 AND task = 'connect_anew'"
    )
    arena.hold("failed_jobs", failed)
    arena.hold("attempts_lost", again)


async def _disconnect_queues(arena: Arena, role: str) -> None:
    """Every connection of the workers but those that a job is using."""
    await arena.database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE usename = $1 AND application_name <> 'moorage worker'",
        role,
    )
