"""A database of the first release, whose migrations had one line of numbers for all."""

import asyncpg

from service.migrate import migrate
from tests.conftest import ROOT


async def migrations_applied_over(dsn: str) -> list[str]:
    """What is applied to such a database, put into the empty one at `dsn`."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute((ROOT / "tests/service/first_release.sql").read_text())
    finally:
        await connection.close()
    return await migrate(dsn)
