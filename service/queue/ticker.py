"""The coming ticks of the declared schedules, put into the queue by whichever worker is first."""

from datetime import datetime
from typing import TYPE_CHECKING

from croniter import croniter

from service.queue.dispatch import build_job

if TYPE_CHECKING:
    from service.queue.postgres import PostgresQueue


class Ticker:
    """Enqueues each schedule's next tick ahead of its time.

    A tick's key is made of the task's name and its time, so any number of workers may do this.
    """

    def __init__(self, queue: "PostgresQueue") -> None:
        self._queue = queue
        self._enqueued: dict[tuple[str, str], int] = {}

    async def enqueue_ticks(self) -> list[str]:
        """Enqueue what this process has not enqueued yet; the keys."""
        keys = []
        for task in self._queue.registry.tasks.values():
            for schedule in task.schedules:
                start = datetime.now(schedule.tz)
                tick = int(croniter(schedule.cron, start).get_next(datetime).timestamp())
                if self._enqueued.get((task.name, schedule.cron)) == tick:
                    continue
                job = build_job(self._queue.registry, task.name, {})
                job.key, job.scheduled = f"cron:{task.name}:{tick}", tick
                await self._queue.enqueue_tick(job)
                self._enqueued[task.name, schedule.cron] = tick
                keys.append(job.key)
        return keys
