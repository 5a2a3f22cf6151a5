"""Groups: one of each at a time, in order, and nobody else waits for them."""

import asyncio
import time
from typing import Any

from saq import Job, Status

from service.queue.postgres.postgres_queue import PostgresQueue
from tests.service.conftest import claim, put, rescue


async def test_two_idle_workers_never_start_two_of_one_group(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    for number in range(12):
        waiting = {asyncio.create_task(which.dequeue(timeout=10)) for which in (queue, other)}
        await asyncio.sleep(0.05)  # both wait now, and are notified of the same jobs
        jobs = await queue.enqueue_many(
            Job("sleep", kwargs={"seconds": 0}, group_key=f"group-{number}") for _ in range(2)
        )
        started, idle = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if idle:  # time for the other one to start it, too
            late, idle = await asyncio.wait(idle, timeout=0.15)
            started |= late
        assert len(started) == 1
        held = await started.pop()
        assert held is not None
        for job in jobs:
            assert job is not None
            if job.key != held.key:
                await queue.abort(job, "the next round")
        await held.finish(Status.COMPLETE)
        for task in idle:
            task.cancel()


async def test_one_worker_with_many_slots_starts_one_of_each_group_and_all_others(
    queue: PostgresQueue,
) -> None:
    await queue.enqueue_many(
        Job("sleep", kwargs={"seconds": 0}, key=f"{group}-{number}", group_key=group)
        for number in range(5)
        for group in ("a", "b")
    )
    free = {(await put(queue)).key for _ in range(4)}
    started = await asyncio.gather(*(queue.dequeue(timeout=2) for _ in range(12)))
    jobs = [job for job in started if job is not None]
    assert {job.key for job in jobs if not job.group_key} == free
    assert sorted(job.group_key for job in jobs if job.group_key) == ["a", "b"]


async def test_jobs_without_a_group_start_while_a_group_is_busy_and_has_a_backlog(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    await put(queue, group_key="busy")
    await claim(other)
    for _ in range(30):
        await put(queue, group_key="busy")
    free = [(await put(queue)).key for _ in range(3)]
    assert [(await claim(queue)).key for _ in range(3)] == free
    assert await queue.dequeue(timeout=0.2) is None


async def test_group_that_is_being_cancelled_is_busy_still_and_keeps_nobody_else_waiting(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    await put(queue, group_key="group")
    await put(queue, group_key="group")
    held = await claim(other)
    await queue.abort(held, "no")
    free = await put(queue, priority=5)
    assert await claim(queue) == free
    assert await queue.dequeue(timeout=0.2) is None
    await other.finish(held, Status.ABORTED, error="no")
    assert (await claim(queue)).key != held.key


async def test_group_runs_by_priority_and_then_by_age(queue: PostgresQueue) -> None:
    due = int(time.time()) - 100
    for place, (key, priority) in enumerate([("c", 5), ("a", 5), ("d", 9), ("b", 5), ("z", 0)]):
        options: dict[str, Any] = {"scheduled": due + place}
        await put(queue, key=key, priority=priority, group_key="group", **options)
        await put(queue, priority=7, group_key=f"other-{key}", **options)
        await put(queue, priority=5, **options)
    order: list[str] = []
    while len(order) < 5:
        # many slots at once, so that one claim meets the whole group
        started = await asyncio.gather(*(queue.dequeue(timeout=0.3) for _ in range(20)))
        jobs = [job for job in started if job is not None]
        order += [job.key for job in jobs if job.group_key == "group"]
        await asyncio.gather(*(job.finish(Status.COMPLETE) for job in jobs))
    assert order == ["z", "c", "a", "b", "d"]


async def test_group_goes_on_when_the_worker_of_its_running_job_dies(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    await put(queue, key="first", group_key="group")
    await put(queue, key="second", group_key="group", priority=5)
    lost = await claim(other)
    await rescue(lost, by=queue)
    held = await claim(queue)
    assert held.key == "first"
    await held.finish(Status.COMPLETE)
    assert (await claim(queue)).key == "second"


async def test_groups_of_two_queues_have_nothing_to_do_with_each_other(
    queue: PostgresQueue, database: str
) -> None:
    mail = PostgresQueue(database, queue.registry, name="mail")
    await mail.connect()
    try:
        await put(queue, group_key="same")
        await put(mail, group_key="same")
        await claim(queue)
        await claim(mail)
    finally:
        await mail.disconnect()
