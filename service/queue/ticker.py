"""The coming ticks of the declared schedules, put into the queue by whichever worker is first."""

import time
from datetime import datetime
from typing import TYPE_CHECKING

from croniter import croniter

from service.queue import statements as sql
from service.queue.dispatch import build_job

if TYPE_CHECKING:
    from service.queue.postgres import PostgresQueue

CLOCK_SECONDS = 60.0  # for so long a look at the database's clock is good


class Ticker:
    """Enqueues each schedule's next tick ahead of its time.

    A tick's key is made of the task's name and its time, so any number of workers may do this.
    """

    def __init__(self, queue: "PostgresQueue") -> None:
        self._queue = queue
        self._enqueued: dict[tuple[str, str], int] = {}
        self._asked_at = float("-inf")  # time.monotonic() of the last look at the database's clock
        self._ahead = 0.0  # how far that clock was ahead of time.monotonic()

    async def enqueue_ticks(self) -> list[str]:
        """Enqueue what this process has not enqueued yet; the keys."""
        keys: list[str] = []
        tasks = [task for task in self._queue.registry.tasks.values() if task.schedules]
        if not tasks:
            return keys
        now = await self._database_now()
        for task in tasks:
            for schedule in task.schedules:
                start = datetime.fromtimestamp(now, schedule.tz)
                tick = int(croniter(schedule.cron, start).get_next(datetime).timestamp())
                if self._enqueued.get((task.name, schedule.cron)) == tick:
                    continue
                job = build_job(self._queue.registry, task.name, {})
                job.key, job.scheduled = f"cron:{task.name}:{tick}", tick
                await self._queue.enqueue_tick(job)
                self._enqueued[task.name, schedule.cron] = tick
                keys.append(job.key)
        return keys

    async def _database_now(self) -> float:
        """Epoch seconds by the database's clock: a worker's own may be wrong, and tick twice."""
        if time.monotonic() - self._asked_at > CLOCK_SECONDS:
            (row,) = await self._queue.fetch(sql.CLOCK)
            self._asked_at = time.monotonic()
            self._ahead = row["now"] - self._asked_at
        return time.monotonic() + self._ahead
