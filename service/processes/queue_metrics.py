"""What a queue and its workers say of themselves in metrics, once a minute or more often."""

import asyncio
import random
import time

import structlog

from service import metrics
from service.contract import Metric, MetricDimension
from service.queue.interface import JobQueue
from service.settings import Settings

# Looks for whether a report is due in each period: often enough that one process takes the turn of
# another that has died within the period of the metrics.
LOOKS = 4
# A report may come so much of a period early; none at all in a minute looks like trouble.
EARLY = 1 / 12

log = structlog.stdlib.get_logger("queue")


class Reporter:
    """Writes metrics of the queue, in turns with the other processes, and of this one's worker.

    Every process with a queue has one, so that a queue nobody works on is reported on as well:
    nothing else could wake the first worker.
    """

    def __init__(self, queue: JobQueue, settings: Settings) -> None:
        self._queue = queue
        self._due_seconds = settings.metric_seconds * (1 - EARLY)
        self._look_seconds = settings.metric_seconds / LOOKS
        self._dimensions = {
            MetricDimension.APP: settings.app_name,
            MetricDimension.STAGE: settings.stage,
            MetricDimension.QUEUE: queue.name,
        }
        self._counted: dict[Metric, float] = dict.fromkeys(self._counts(), 0)
        self._counted_at = time.monotonic()

    async def run(self) -> None:
        """Report until cancelled; while the database is away there is nothing to say."""
        while True:
            try:
                if await self.is_due():
                    metrics.write(self._dimensions, await self.measure())
            except Exception as error:  # whatever it is, the next report has to come
                log.debug("no report on the queue", error=type(error).__name__)
            if (
                self._queue.consumer.is_started
                and time.monotonic() - self._counted_at > self._due_seconds
            ):
                metrics.write(self._dimensions, self.count())
            jitter = random.uniform(0.9, 1.1)  # noqa: S311 - not a secret
            await asyncio.sleep(self._look_seconds * jitter)

    async def is_due(self) -> bool:
        """Is it this process's turn? Then the next one is a period away, whoever takes it."""
        return await self._queue.claim_report(self._due_seconds)

    async def measure(self) -> dict[Metric, float]:
        """How the queue stands."""
        stats = await self._queue.stats()
        return {
            Metric.BACKLOG: stats.queued,
            Metric.OLDEST_JOB_AGE_SECONDS: round(stats.oldest_due_seconds, 1),
            Metric.WORKERS_ALIVE: stats.workers,
            Metric.JOBS_PER_WORKER: (stats.queued + stats.active) / max(stats.workers, 1),
        }

    def count(self) -> dict[Metric, float]:
        """What this process has done since the last time."""
        now = self._counts()
        since = {metric: now[metric] - self._counted[metric] for metric in now}
        self._counted, self._counted_at = now, time.monotonic()
        age = self._queue.consumer.seconds_since_heard()
        return since if age is None else {**since, Metric.LISTEN_AGE_SECONDS: round(age, 1)}

    def _counts(self) -> dict[Metric, float]:
        queue = self._queue
        return {
            Metric.JOBS_STARTED: queue.jobs_started,
            Metric.JOBS_FINISHED: queue.complete,
            Metric.JOBS_FAILED: queue.failed,
            Metric.JOBS_RETRIED: queue.retried,
            Metric.DEAD_LETTERS: queue.dead_letters,
        }
