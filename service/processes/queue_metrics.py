"""The metrics of the queues, the worker pools, and this process's worker."""

import asyncio
import contextlib
import random
import time
from collections.abc import Collection, Mapping

import structlog

from service import metrics
from service.contract import (
    Metric,
    MetricDimension,
    ServedQueues,
    waiting_dimension,
    worker_dimension,
)
from service.queue.interface import JobQueue
from service.queue.reads import QueueStats
from service.settings import Settings

# So often in each period every process checks whether a report is due. When the process that wrote
# the last one dies, another one writes the next within the period.
CHECKS = 4
# A report may be early by this part of a period: a minute without any would ring an alarm.
EARLY = 1 / 12

RUNS = ("complete", "failed", "retried")  # SAQ's names of a queue's counters

Dimension = tuple[MetricDimension, str]

log = structlog.stdlib.get_logger("queue")


class Reporter:
    """Writes the metrics of all queues and pools, one process in each period, and this worker's.

    The API has one too, because a queue without a worker also needs metrics: only they make the
    autoscaler start the first worker.
    """

    def __init__(self, queue: JobQueue, settings: Settings) -> None:
        self._queue = queue
        self._due_seconds = settings.metric_seconds * (1 - EARLY)
        self._check_seconds = settings.metric_seconds / CHECKS
        self.application = {
            MetricDimension.APP: settings.app_name,
            MetricDimension.STAGE: settings.stage,
        }
        self._counted: dict[Metric, float] = dict.fromkeys(self._counts(), 0)
        self._counted_at = time.monotonic()
        self._noted = [0] * len(RUNS)

    async def run(self) -> None:
        """Report until cancelled. While the database is away nothing is written."""
        while True:
            try:
                if await self.is_due():
                    for dimension, values in await self.measure(tells_paused=True):
                        self._write(dimension, values)
            except Exception as error:  # whatever it is, this loop has to go on
                log.debug("no report on the queue", error=type(error).__name__)
            await self.note_runs()
            if (
                self._queue.consumer.is_started
                and time.monotonic() - self._counted_at > self._due_seconds
            ):
                self._write(worker_dimension(self._queue.worker_pool), self.count())
            jitter = random.uniform(0.9, 1.1)  # noqa: S311 - not a secret
            await asyncio.sleep(self._check_seconds * jitter)

    def _write(self, dimension: Dimension, values: Mapping[Metric, float]) -> None:
        metrics.write(self.application | dict([dimension]), values)

    async def note_runs(self) -> None:
        """Add what this worker has done since the last time to the counts of this minute."""
        queues = self._queue.family.values()
        now = [sum(getattr(queue, name) for queue in queues) for name in RUNS]
        since = [count - before for count, before in zip(now, self._noted, strict=True)]
        if any(since):
            with contextlib.suppress(Exception):  # the next time has them too
                await self._queue.note_runs(*since)
                self._noted = now

    async def is_due(self) -> bool:
        """Claim the next report. True for one process in each period."""
        return await self._queue.claim_report(self._due_seconds)

    async def measure(
        self, *, tells_paused: bool = False
    ) -> list[tuple[Dimension, dict[Metric, float]]]:
        """The figures of each queue and each pool, with their dimension."""
        queue = self._queue
        stats = {each.name: await each.stats() for each in queue.all}
        alive = await queue.live_workers()
        for name, found in stats.items():
            if tells_paused and found.is_paused:
                log.warning("this queue is paused", queue=name, waiting=found.queued)
        figures: dict[Dimension, dict[Metric, float]] = {
            (MetricDimension.QUEUE, name): _waiting([found]) for name, found in stats.items()
        }
        # Where the pools are not known, the one worker serves all that this release knows.
        pools = queue.pools or {"": ServedQueues(tuple(stats))}
        for pool, served in pools.items():
            of_pool = [stats[name] for name in served.names]
            waiting = _waiting(of_pool)
            figures.setdefault(waiting_dimension(pool, served), {}).update(waiting)
            running = sum(each.active for each in of_pool)
            figures.setdefault(worker_dimension(pool), {}).update(
                {
                    Metric.WORKERS_ALIVE: alive.get(pool, 0),
                    Metric.JOBS_PER_WORKER: (waiting[Metric.BACKLOG] + running)
                    / max(alive.get(pool, 0), 1),
                }
            )
        return list(figures.items())

    def count(self) -> dict[Metric, float]:
        """What this process has done since the last call."""
        now = self._counts()
        since = {metric: now[metric] - self._counted[metric] for metric in now}
        self._counted, self._counted_at = now, time.monotonic()
        age = self._queue.consumer.seconds_since_heard()
        return since if age is None else {**since, Metric.LISTEN_AGE_SECONDS: round(age, 1)}

    def _counts(self) -> dict[Metric, float]:
        queues = self._queue.family.values()  # SAQ's own worker counts in the queue of the job
        return {
            Metric.JOBS_STARTED: sum(queue.jobs_started for queue in queues),
            Metric.JOBS_FINISHED: sum(queue.complete for queue in queues),
            Metric.JOBS_FAILED: sum(queue.failed for queue in queues),
            Metric.JOBS_RETRIED: sum(queue.retried for queue in queues),
            Metric.DEAD_LETTERS: sum(queue.dead_letters for queue in queues),
        }


def _waiting(stats: Collection[QueueStats]) -> dict[Metric, float]:
    """The backlog of these queues, and the age of their oldest due job; a paused one is empty."""
    open_ones = [each for each in stats if not each.is_paused]
    oldest = max((each.oldest_due_seconds for each in open_ones), default=0.0)
    return {
        Metric.BACKLOG: sum(each.queued for each in open_ones),
        Metric.OLDEST_JOB_AGE_SECONDS: round(oldest, 1),
    }
