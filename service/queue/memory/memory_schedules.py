"""The schedules of a queue in memory: those declared in code, and those created by the API."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from service.queue.cron import Timing
from service.queue.interface import JobQueue
from service.queue.schedule_record import SCHEDULES_MAX, NewSchedule, ScheduleRecord
from service.queue.schedules.scheduler import POLL_SECONDS, tick_of

ENDED = ("complete", "failed", "aborted")

log = structlog.stdlib.get_logger("queue")


class MemorySchedules:
    """Store and scheduler in one. Rows have the columns of `recurring_jobs`, times in seconds."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._rows: dict[str, dict[str, Any]] = {}
        self._woken = asyncio.Event()
        for task in queue.registry.tasks.values():
            if task.schedule:
                self._keep(
                    NewSchedule(
                        name=task.name,
                        task=task.name,
                        timing=task.schedule.timing,
                        payload={},
                        is_unique=task.schedule.is_unique,
                        is_enabled=True,
                        next_at=task.schedule.timing.next_after(time.time()),
                    ),
                    is_declared=True,
                )

    def _keep(self, new: NewSchedule, *, is_declared: bool) -> None:
        self._rows[new.name] = {
            "name": new.name,
            "task": new.task,
            "cron": new.timing.cron,
            "every_seconds": new.timing.every_seconds,
            "tz": new.timing.tz,
            "payload": msgspec.json.encode(new.payload),
            "is_unique": new.is_unique,
            "is_declared": is_declared,
            "is_enabled": new.is_enabled,
            "tick": new.next_at,
            "last_key": None,
            "last_error": None,
        }

    async def read(self, name: str | None = None) -> list[ScheduleRecord]:
        return [
            await self._view(row)
            for _, row in sorted(self._rows.items())
            if name in (None, row["name"])
        ]

    async def _view(self, row: dict[str, Any]) -> ScheduleRecord:
        last = await self._queue.find_record(row["last_key"]) if row["last_key"] else None
        timing = Timing(row["cron"], row["every_seconds"], row["tz"])
        return ScheduleRecord(
            name=row["name"],
            task=row["task"],
            cron=timing.cron,
            every=timing.every,
            tz=timing.tz,
            payload=msgspec.json.decode(row["payload"]),
            is_unique=row["is_unique"],
            is_declared=row["is_declared"],
            is_enabled=row["is_enabled"],
            next_run_at=datetime.fromtimestamp(row["tick"], UTC) if row["is_enabled"] else None,
            last_run_at=last.scheduled_at if last else None,
            last_key=row["last_key"],
            last_status=last.status if last else None,
            last_error=row["last_error"] or (last.error if last else None),
        )

    async def create(self, new: NewSchedule) -> bool:
        if new.name in self._rows or len(self._rows) >= SCHEDULES_MAX:
            return False
        self._keep(new, is_declared=False)
        return True

    async def enable(self, name: str, next_at: int) -> None:
        row = self._rows[name]
        row["tick"] = row["tick"] if row["is_enabled"] else next_at
        row["is_enabled"] = True

    async def disable(self, name: str) -> bool:
        if name in self._rows:
            self._rows[name]["is_enabled"] = False
        return name in self._rows

    async def delete(self, name: str) -> bool:
        if name not in self._rows or self._rows[name]["is_declared"]:
            return False
        del self._rows[name]
        return True

    async def announce_change(self) -> None:
        self._woken.set()

    async def database_now(self) -> float:
        return time.time()

    async def wait_and_tick(self) -> list[str]:
        enabled = [row["tick"] for row in self._rows.values() if row["is_enabled"]]
        wait = min(max(min(enabled, default=1e18) - time.time(), 0) + 0.001, POLL_SECONDS)
        try:
            async with asyncio.timeout(wait):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()
        return await self.tick()

    async def tick(self) -> list[str]:
        """Enqueue what is due. Returns the keys of the new jobs."""
        keys, now = [], time.time()
        for row in list(self._rows.values()):
            if not row["is_enabled"] or row["tick"] > now:
                continue
            last = await self._queue.find_record(row["last_key"]) if row["last_key"] else None
            is_running = row["is_unique"] and last is not None and last.status not in ENDED
            tick = tick_of(self._queue.registry, row | {"now": now, "is_running": is_running})
            row["tick"], row["last_error"] = tick.next_at, tick.error
            if tick.job:
                row["last_key"] = tick.job.key
                keys += [job.key for job in await self._queue.enqueue_many([tick.job]) if job]
            else:
                log.warning("a tick became no job", schedule=tick.name, reason=tick.error)
        return keys
