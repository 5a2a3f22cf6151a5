"""The release before, as the database sees it: `earlier_statements.sql` is what it sends."""

import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg

from service.db import QUEUE_SESSION

TEXT = Path(__file__).with_name("earlier_statements.sql").read_text()
STATEMENTS = dict(re.findall(r"^-- (\w+\.\w+)\n(.*?)(?=^-- \w+\.|\Z)", TEXT, re.M | re.S))
FIRST_OF_THIS_RELEASE = 14  # number of the queue's first migration that it does not have


class Earlier:
    """A process of the release before: its statements on a connection that has prepared them."""

    def __init__(self, connection: asyncpg.Connection | asyncpg.Pool, owner: str) -> None:
        self._connection = connection
        self.owner = owner

    async def run(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        found: list[asyncpg.Record] = await self._connection.fetch(STATEMENTS[name], *arguments)
        return found

    async def enqueue(self, *keys: str, task: str = "sleep", delay: int = 0) -> list[str]:
        blobs = [json.dumps({"function": task, "key": key, "queue": "default"}) for key in keys]
        due = int(await self._connection.fetchval("SELECT extract(epoch FROM now())::bigint"))
        put = await self.run(
            "statements.ENQUEUE", list(keys), [blob.encode() for blob in blobs], [], [],
            [due + delay if delay else 0] * len(keys), [task] * len(keys), "default",
            "saq:default", False,
        )  # fmt: skip
        return [row["key"] for row in put]

    async def claim(self, count: int = 1) -> list[asyncpg.Record]:
        return await self.run("statements.CLAIM", "default", count, self.owner, False, [])

    async def end(self, rows: list[asyncpg.Record], status: str, *, ttl: int = 600) -> int:
        count = len(rows)
        ended = await self.run(
            "statements.WRITE_OUTCOMES", [row["key"] for row in rows],
            [row["lease"] for row in rows], [status] * count,
            ["broken" if status == "failed" else None] * count, [None] * count, [0.0] * count,
            [0] * count, [ttl] * count,
        )  # fmt: skip
        return len(ended)

    async def beat(self, seconds: float) -> None:
        """Renew the lease, rescue jobs of the dead, and promote what is due."""
        queues = ["default"]
        await self.run("table_statements.RENEW", self.owner, "default", seconds, queues, "")
        await self.run("statements.RESCUE", self.owner, queues, seconds)
        await self.run("statements.PROMOTE", queues)

    async def give_up(self) -> None:
        """Give up the lease, and the jobs that are held."""
        await self.run("table_statements.GIVE_UP_LEASE", self.owner, ["default"])


@contextlib.asynccontextmanager
async def earlier(dsn: str, owner: str = "earlier") -> AsyncIterator[Earlier]:
    connection = await asyncpg.connect(dsn, server_settings=QUEUE_SESSION)
    try:
        yield Earlier(connection, owner)
    finally:
        await connection.close()
