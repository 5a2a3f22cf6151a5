"""The audit log of the console: every action, who did it, and how many jobs it changed."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg
import structlog

from service.queue.bulk_action import BulkAction

NOTED_SECONDS = 5.0  # from an action to its line

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
    bulk_action: int | None


async def note(
    pool: asyncpg.Pool,
    who: str,
    what: str,
    target: str = "",
    jobs: int | None = None,
    *,
    bulk_action: int | None = None,
) -> None:
    """Keep an action, and write it to the log."""
    # a filter may name a payload's value, which no log shows
    shown = target if bulk_action is None else ""
    log.info("console action", who=who, what=what, target=shown, jobs=jobs, bulk_action=bulk_action)
    await pool.execute(
        "INSERT INTO console_actions (who, what, target, jobs, bulk_action)"
        " VALUES ($1, $2, $3, $4, $5)",
        who, what, target, jobs, bulk_action,
    )  # fmt: skip


async def note_bulk(pool: asyncpg.Pool, action: BulkAction) -> None:
    """Keep that a bulk action was begun."""
    what = "undo" if action.undoes else f"bulk {action.action}"
    await note(pool, action.who, what, action.target, bulk_action=action.id)


async def who_did(pool: asyncpg.Pool, what: str, target: str, at: datetime) -> str | None:
    """Who did that at that time, of the newest ten thousand actions; None where nobody did here."""
    who: str | None = await pool.fetchval(
        "SELECT who FROM console_actions"
        " WHERE id > (SELECT max(id) FROM console_actions) - 10000 AND what = $1 AND target = $2"
        "   AND at BETWEEN $3 AND $3 + make_interval(secs => $4)"
        " ORDER BY id LIMIT 1",
        what, target, at, NOTED_SECONDS,
    )  # fmt: skip
    return who


async def page(pool: asyncpg.Pool, *, before: int | None, limit: int) -> list[Action]:
    """At most `limit` actions, newest first, older than the one with the id `before`."""
    rows = await pool.fetch(
        "SELECT id, at, who, what, target, jobs, bulk_action FROM console_actions"
        " WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2",
        before, limit,
    )  # fmt: skip
    return [Action(**row) for row in rows]
