"""The bulk actions in their table, and the lease of the process that makes one."""

import asyncio
import json
from collections.abc import Collection, Mapping
from typing import Any

import asyncpg

from service.db import Connection
from service.queue.bulk_action import UNDONE, BulkAction, BulkRequest
from service.queue.errors import BulkNotFoundError, BulkStateError, InvalidOptionError
from service.queue.job import KEEP_FAILED_SECONDS
from service.queue.job_filter import FILTERS
from service.queue.tables.connections import Database

LEASE_SECONDS = 20.0  # a process that has made no step for so long has died

_COLUMNS = """b.id, b.action, b.priority, b.filter, b.keys, b.undoes, b.who, b.created_at, b.first,
    b.last, b.place, b.changed, b.state, b.error, b.ended_at,
    (SELECT u.id FROM bulk_actions u WHERE u.undoes = b.id) AS undone_by"""
GET = f"SELECT {_COLUMNS} FROM bulk_actions b WHERE id = $1"
CHANGED = "SELECT id, changed FROM bulk_actions WHERE id = ANY ($1::bigint[])"
PAGE = f"""
SELECT {_COLUMNS} FROM bulk_actions b WHERE $1::bigint IS NULL OR id < $1
ORDER BY id DESC LIMIT $2
"""
# $1 action, $2 priority, $3 filter, $4 keys, $5 who. Only jobs that exist now come into question,
# and none is older than the oldest whose payload is kept. (Where there is no such row, the broker
# has the jobs.)
BEGIN = """
INSERT INTO bulk_actions (action, priority, filter, keys, who, first, last, place)
SELECT $1, $2, $3, $4, $5, found.newest + 1, found.oldest, found.newest + 1 FROM (
    SELECT coalesce((SELECT id FROM background_jobs ORDER BY id DESC LIMIT 1), 0) AS newest,
           coalesce((SELECT min(background_job_id) FROM saq_jobs),
                    (SELECT id FROM background_jobs ORDER BY id LIMIT 1), 1) AS oldest) AS found
RETURNING id
"""
# $1 what is undone, $2 who
UNDO = """
INSERT INTO bulk_actions (action, filter, undoes, who, first, last, place)
SELECT 'undo', '{}', $1, $2, max(step) + 1, min(step), max(step) + 1
FROM bulk_steps WHERE action = $1 HAVING count(*) > 0
RETURNING id
"""
SWITCH = """
UPDATE bulk_actions SET state = $2, error = $3, owner = NULL
WHERE id = $1 AND state <> 'done'
  -- what is undone is not gone on with: its further steps would not be undone
  AND ($2 <> 'running' OR NOT EXISTS (SELECT FROM bulk_actions u WHERE u.undoes = $1))
RETURNING id
"""
CLAIM = f"""
UPDATE bulk_actions b
SET owner = $1, leased_until = clock_timestamp() + make_interval(secs => {LEASE_SECONDS})
WHERE id = (SELECT id FROM bulk_actions
            WHERE state = 'running' AND (owner IS NULL OR leased_until < clock_timestamp())
            ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING {_COLUMNS}
"""
LEAVE = "UPDATE bulk_actions SET owner = NULL WHERE owner = $1"
# Who has lost it, or whose bulk action was stopped, finds no row. The row stays locked until the
# step is committed, so that nobody else makes the same step.
HOLD = f"""
UPDATE bulk_actions
SET leased_until = clock_timestamp() + make_interval(secs => {LEASE_SECONDS})
WHERE id = $1 AND owner = $2 AND state = 'running' RETURNING id
"""
# $1 number, $2 how many more jobs are changed, $3 the place
MOVE = f"""
UPDATE bulk_actions b
SET changed = changed + $2, place = $3,
    state = CASE WHEN $3 <= last THEN 'done' ELSE state END,
    ended_at = CASE WHEN $3 <= last THEN clock_timestamp() END
WHERE id = $1 RETURNING {_COLUMNS}
"""
# What is too old to be undone: its jobs are not kept any more.
FORGET_STEPS = f"""
DELETE FROM bulk_steps WHERE action IN (
    SELECT id FROM bulk_actions
    WHERE coalesce(ended_at, created_at) < now() - make_interval(secs => {KEEP_FAILED_SECONDS})
      AND EXISTS (SELECT FROM bulk_steps WHERE action = bulk_actions.id)
    LIMIT 10)
"""


class BulkTable:
    """The bulk actions of a backend; `lacks` has those that it cannot do, each with the reason."""

    def __init__(self, database: Database, lacks: Mapping[str, str]) -> None:
        self._database = database
        self._lacks = lacks
        self.woken = asyncio.Event()  # there is one to make

    async def begin(self, request: BulkRequest) -> BulkAction:
        self._refuse(request.action)
        await self._database.fetch(FORGET_STEPS)
        keys = list(request.keys) if request.keys is not None else None
        rows = await self._database.fetch(
            BEGIN, request.action, request.priority, json.dumps(request.words), keys, request.who
        )
        self.woken.set()
        return await self.get(rows[0]["id"])

    async def undo(self, number: int, who: str) -> BulkAction:
        found = await self.get(number)
        if found.action not in UNDONE:
            raise BulkStateError(number, f"({found.action}) cannot be undone")
        self._refuse("undo")
        if found.state == "running":
            raise BulkStateError(number, "still runs: stop it first, then undo it")
        try:
            rows = await self._database.fetch(UNDO, number, who)
        except asyncpg.UniqueViolationError:
            raise BulkStateError(number, "is undone already") from None
        if not rows:
            raise BulkStateError(number, "has changed no job, or its end is too long ago")
        self.woken.set()
        return await self.get(rows[0]["id"])

    async def get(self, number: int) -> BulkAction:
        rows = await self._database.fetch(GET, number)
        if not rows:
            raise BulkNotFoundError(number)
        return read(rows[0])

    async def changed(self, numbers: Collection[int]) -> dict[int, int]:
        rows = await self._database.fetch(CHANGED, list(numbers))
        return {row["id"]: row["changed"] for row in rows}

    async def page(self, *, before: int | None, limit: int) -> list[BulkAction]:
        return [read(row) for row in await self._database.fetch(PAGE, before, limit)]

    async def stop(self, number: int) -> BulkAction:
        return await self._switch(number, "stopped")

    async def resume(self, number: int) -> BulkAction:
        return await self._switch(number, "running")

    async def claim(self, owner: str) -> BulkAction | None:
        """The oldest that nobody makes; this process is to make it now."""
        rows = await self._database.fetch(CLAIM, owner)
        return read(rows[0]) if rows else None

    async def leave(self, owner: str) -> None:
        """Let another process go on with what this one makes."""
        await self._database.fetch(LEAVE, owner)

    async def fail(self, number: int, error: str) -> None:
        """Stop it, and say why."""
        await self._database.fetch(SWITCH, number, "stopped", error)

    async def hold(self, action: BulkAction, owner: str, connection: Connection) -> bool:
        """Is it still for `owner` to make? Nobody else can until the transaction ends."""
        return bool(await self._database.fetch(HOLD, action.id, owner, connection=connection))

    async def move(
        self, action: BulkAction, changed: int, place: int, connection: Connection
    ) -> BulkAction:
        """Note how many more jobs are changed, and where the next step begins."""
        rows = await self._database.fetch(MOVE, action.id, changed, place, connection=connection)
        return read(rows[0])

    async def _switch(self, number: int, state: str) -> BulkAction:
        if not await self._database.fetch(SWITCH, number, state, None):
            found = await self.get(number)
            raise BulkStateError(number, "has ended" if found.state == "done" else "is undone")
        if state == "running":
            self.woken.set()
        return await self.get(number)

    def _refuse(self, action: str) -> None:
        if reason := self._lacks.get(action):
            raise InvalidOptionError("action", reason)


def read(row: asyncpg.Record) -> BulkAction:
    """The bulk action of a row."""
    values: dict[str, Any] = dict(row)
    words = json.loads(row["filter"])  # in no order
    return BulkAction(**values | {"filter": {n: words[n] for n in FILTERS if n in words}})
