"""The metrics of a queue, and which process writes them."""

import json
from typing import Any

import pytest
from saq import Status

from service.contract import Metric, MetricDimension, read_pools
from service.processes.queue_metrics import Reporter
from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.tasks.registry import Registry
from service.settings import Settings
from tests.conftest import Processes, until
from tests.ports import free_port
from tests.prefork import Child
from tests.service.conftest import Ledger, claim, put

DEFAULT = (MetricDimension.QUEUE, "default")
SETTINGS = Settings.model_construct(app_name="shop", stage="dev")


def reported(output: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in output.splitlines() if '"_aws"' in line]
    return [line for line in lines if Metric.BACKLOG in line]


async def test_one_of_many_processes_reports_in_a_minute(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    reporters = [Reporter(each, SETTINGS) for each in (queue, other, queue)]
    assert [await each.is_due() for each in reporters] == [True, False, False]
    await queue.pool.execute("UPDATE queue_reports SET reported_at = now() - interval '56 s'")
    assert [await each.is_due() for each in reversed(reporters)] == [True, False, False]


async def test_measures_are_the_queues_figures(queue: PostgresQueue, other: PostgresQueue) -> None:
    reporter = Reporter(other, SETTINGS)
    assert await reporter.measure() == [
        (
            DEFAULT,
            {
                Metric.BACKLOG: 0,
                Metric.OLDEST_JOB_AGE_SECONDS: 0,
                Metric.WORKERS_ALIVE: 0,
                Metric.JOBS_PER_WORKER: 0,
            },
        )
    ]
    for _ in range(4):
        await put(queue)
    await put(queue, delay=60)
    await claim(queue)
    await queue.pool.execute("UPDATE saq_jobs SET scheduled = scheduled - 30")
    ((dimension, measured),) = await reporter.measure()
    assert dimension == DEFAULT
    assert measured.pop(Metric.OLDEST_JOB_AGE_SECONDS) == pytest.approx(30.5, abs=3)
    assert measured == {
        Metric.BACKLOG: 3,
        Metric.WORKERS_ALIVE: 1,
        Metric.JOBS_PER_WORKER: 4,
    }


async def test_each_queue_and_each_pool_has_its_figures(application_dsn: str) -> None:
    registry = Registry()
    for name in ("default", "mail", "reports", "files"):
        registry.task(name=name, queue=name)(lambda ctx: None)
    queue = PostgresQueue(application_dsn, registry)
    queue.pools = read_pools("worker:default,files;worker-reports:reports=3,mail=1")
    await queue.connect()
    try:
        for name, count in (("default", 1), ("files", 2), ("reports", 3), ("mail", 4)):
            for _ in range(count):
                await queue.enqueue(name)
        await queue.named("mail").pause()
        figures = dict(await Reporter(queue, SETTINGS).measure())
    finally:
        await queue.disconnect()
    queues = {
        name: values[Metric.BACKLOG]
        for (dimension, name), values in figures.items()
        if dimension is MetricDimension.QUEUE
    }
    assert queues == {"default": 1, "files": 2, "reports": 3, "mail": 0}, "a paused one is empty"
    assert figures[MetricDimension.POOL, "reports"][Metric.BACKLOG] == 3
    assert figures[MetricDimension.POOL, "reports"][Metric.JOBS_PER_WORKER] == 3
    assert figures[MetricDimension.POOL, "default"].keys() == {
        Metric.BACKLOG, Metric.OLDEST_JOB_AGE_SECONDS,
    }  # fmt: skip
    assert figures[MetricDimension.POOL, "default"][Metric.BACKLOG] == 3
    assert figures[DEFAULT][Metric.JOBS_PER_WORKER] == 3, "of the default pool, as ever"
    assert Metric.WORKERS_ALIVE not in figures[MetricDimension.QUEUE, "mail"]


async def test_counts_are_of_this_process_since_the_last_time(queue: PostgresQueue) -> None:
    reporter = Reporter(queue, SETTINGS)
    await put(queue)
    await put(queue)
    await queue.finish(await claim(queue), Status.COMPLETE)
    await queue.finish(await claim(queue), Status.FAILED, error="x")
    await queue.pool.execute(
        "INSERT INTO saq_jobs (key, job, queue, status) VALUES ('odd', 'no json', $1, 'queued')",
        queue.name,
    )
    assert await queue.dequeue(timeout=2) is None
    counted = reporter.count()
    assert counted[Metric.JOBS_FINISHED] == 1
    assert counted[Metric.JOBS_FAILED] == 2, "the malformed one has failed too"
    assert counted[Metric.DEAD_LETTERS] == 1
    assert 0 <= counted[Metric.LISTEN_AGE_SECONDS] < 60
    assert reporter.count()[Metric.JOBS_FINISHED] == 0


async def test_api_reports_while_no_worker_runs(ledger: Ledger, processes: Processes) -> None:
    api = processes.start("api", LOG_FORMAT="json", API_PORT=str(free_port()), LOG_LEVEL="error")
    await until(lambda: reported(processes.log(api)), seconds=20, what="a report")
    (line,) = reported(processes.log(api))
    assert line[Metric.WORKERS_ALIVE] == 0
    assert line[MetricDimension.STAGE] == "local"


async def test_worker_reports_the_queue(
    ledger: Ledger, processes: Processes, worker: Child
) -> None:
    await until(lambda: reported(processes.log(worker)), seconds=20, what="a report")


async def test_reports_come_as_often_as_the_setting_says(
    ledger: Ledger, processes: Processes
) -> None:
    worker = processes.start("worker", LOG_FORMAT="json", METRIC_SECONDS="1")
    # with one report a minute there would be two of each kind
    await until(lambda: len(reported(processes.log(worker))) > 2, seconds=30, what="three reports")
    await until(
        lambda: processes.log(worker).count(f'"{Metric.JOBS_STARTED}": 0') > 2,
        seconds=30,
        what="three counts",
    )


async def test_ended_runs_are_added_to_their_minute_once(queue: PostgresQueue) -> None:
    reporter = Reporter(queue, SETTINGS)
    for _ in range(2):
        await put(queue)
        await queue.finish(await claim(queue), Status.COMPLETE)
    await reporter.note_runs()
    await reporter.note_runs()
    assert sum(each.complete for each in await queue.read_runs(1)) == 2
    await put(queue)
    await queue.finish(await claim(queue), Status.FAILED, error="x")
    await reporter.note_runs()
    found = await queue.read_runs(1)
    assert [sum(each.complete for each in found), sum(each.failed for each in found)] == [2, 1]
