"""The audit log of the console: every action, who did it, and how many jobs it changed."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg
import structlog

log = structlog.stdlib.get_logger("console")


@dataclass(frozen=True)
class Action:
    """One line of the audit log."""

    id: int
    at: datetime
    who: str
    what: str
    target: str
    jobs: int | None


async def note(
    pool: asyncpg.Pool, who: str, what: str, target: str = "", jobs: int | None = None
) -> None:
    """Keep an action, and write it to the log."""
    log.info("console action", who=who, what=what, target=target, jobs=jobs)
    await pool.execute(
        "INSERT INTO console_actions (who, what, target, jobs) VALUES ($1, $2, $3, $4)",
        who, what, target, jobs,
    )  # fmt: skip


async def page(pool: asyncpg.Pool, *, before: int | None, limit: int) -> list[Action]:
    """At most `limit` actions, newest first, older than the one with the id `before`."""
    rows = await pool.fetch(
        "SELECT id, at, who, what, target, jobs FROM console_actions"
        " WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2",
        before, limit,
    )  # fmt: skip
    return [Action(**row) for row in rows]
