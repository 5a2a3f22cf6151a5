"""Makes the bulk actions of a queue, step by step, in a process of the API."""

import asyncio
import contextlib
import json
from typing import Any

import structlog

from service.db import UNAVAILABLE, backoff
from service.queue.bulk_action import BulkAction
from service.queue.errors import InvalidOptionError
from service.queue.job_filter import read_filter
from service.queue.tables.table_queue import TableQueue
from service.redact import redacted_text

STEP_JOBS = 1000
POLL_SECONDS = 10.0  # what another process has left is found within so long

# The newest job of each key.
OF_KEYS = """
SELECT DISTINCT ON (key) id, key, queue FROM (
    SELECT background_job_id AS id, key, queue FROM saq_jobs WHERE key = ANY ($1::text[])
    UNION ALL
    SELECT found.* FROM unnest($1::text[]) AS k,
    LATERAL (SELECT id, key, queue FROM job_archive WHERE key = k
             ORDER BY id DESC LIMIT 1) AS found) AS each
ORDER BY key, id DESC
"""
# $1 what is undone, $2 the place: the step before it
STEP_BEFORE = """
SELECT step, was FROM bulk_steps WHERE action = $1 AND step < $2 ORDER BY step DESC LIMIT 1
"""

log = structlog.stdlib.get_logger("queue")


class BulkRunner:
    """Looks for bulk actions that nobody makes, and makes them one after the other.

    A step and what is noted of it are one transaction: whoever goes on after a crash neither
    leaves a step out nor makes one twice.
    """

    def __init__(self, queue: TableQueue) -> None:
        self._queue = queue
        self._bulk = queue.bulk

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._bulk.woken.clear()
                if (action := await self._claim()) is None:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(POLL_SECONDS):
                            await self._bulk.woken.wait()
                else:
                    await self._make(action)
        finally:
            with contextlib.suppress(*UNAVAILABLE, RuntimeError):
                await self._bulk.leave(self._queue.owner)

    async def _claim(self) -> BulkAction | None:
        try:
            return await self._bulk.claim(self._queue.owner)
        except UNAVAILABLE:
            return None
        except Exception as error:  # such as a table that is not there yet: this loop has to go on
            log.warning("no bulk action can be claimed", error=type(error).__name__)
            return None

    async def _make(self, action: BulkAction) -> None:
        failures, now = 0, action
        if reason := self._queue.lacks_bulk.get(action.action):  # of the backend before
            await self._bulk.fail(action.id, reason)
            return
        while now.state == "running":
            try:
                made = await self._step(now)
            except UNAVAILABLE as error:
                failures += 1
                log.warning("bulk action waits", number=now.id, error=type(error).__name__)
                await asyncio.sleep(backoff(failures))
                continue
            except Exception as error:
                log.exception("bulk action stopped", number=now.id)
                with contextlib.suppress(*UNAVAILABLE):
                    reason = redacted_text(f"{type(error).__name__}: {error}"[:500])
                    await self._bulk.fail(now.id, reason)
                return
            if made is None:
                return
            failures, now = 0, made
        log.info("bulk action", number=now.id, action=now.action, jobs=now.changed, state=now.state)

    async def _step(self, action: BulkAction) -> BulkAction | None:
        """The next step. Returns how far it has come; None where somebody has stopped it."""
        if action.undoes is not None:
            undone = await self._bulk.get(action.undoes)
            rows = await self._queue.fetch(STEP_BEFORE, action.undoes, action.place)
            place = rows[0]["step"] if rows else action.last
            was = json.loads(rows[0]["was"]) if rows else []
            return await self._queue.restore_jobs(action, undone, was, place)
        found: list[Any]
        if action.keys is not None:
            stored = {each.own_key(key) for each in self._queue.searched for key in action.keys}
            found = await self._queue.fetch(OF_KEYS, [*stored, *action.keys])
            place = action.last
            jobs = {row["id"]: (row["queue"], row["key"]) for row in found}
        else:
            wanted = read_filter(action.filter)
            try:
                page = await self._queue.search_records(
                    wanted, before=action.place, limit=STEP_JOBS
                )
            except InvalidOptionError as error:
                await self._bulk.fail(action.id, str(error))
                return None
            place = action.last if page.before is None else page.before
            jobs = {record.id: (record.queue, record.key) for record in page.records}
        return await self._queue.change_jobs(action, jobs, place)
