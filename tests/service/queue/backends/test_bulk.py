"""Bulk actions on each backend; what one lacks it refuses by name."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from saq import Status

from service.queue.bulk_action import BulkAction, BulkRequest
from service.queue.errors import BulkNotFoundError, BulkStateError, InvalidOptionError
from service.queue.interface import JobQueue
from service.queue.tables.bulk_runner import BulkRunner
from service.queue.tables.table_queue import TableQueue
from tests.conftest import until
from tests.service.queue.backends.conftest import Backend, active, ended, put
from tests.service.queue.backends.tasks import several

SHARED = ["postgresql", "redis", "sqs"]


@asynccontextmanager
async def runner(queue: JobQueue) -> AsyncIterator[None]:
    """A process of the API that makes the bulk actions of that queue."""
    assert isinstance(queue, TableQueue)
    running = asyncio.create_task(BulkRunner(queue).run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running])


async def begin(queue: JobQueue, action: str, **given: Any) -> BulkAction:
    """The bulk action, once it is done."""
    wanted: Mapping[str, Any] = given.pop("wanted", {})
    request = BulkRequest(action=action, wanted=wanted, who="ada", **given)
    return await done(queue, await queue.bulk.begin(request))


async def done(queue: JobQueue, action: BulkAction) -> BulkAction:
    async def is_done() -> BulkAction | None:
        now = await queue.bulk.get(action.id)
        return now if now.state != "running" else None

    found: BulkAction = await until(is_done, seconds=30, what="the bulk action ends")
    assert found.state == "done", found.error
    return found


async def states(queue: JobQueue, keys: list[str]) -> list[str]:
    records = [await queue.find_record(key) for key in keys]
    return [record.status if record else "missing" for record in records]


@pytest.mark.parametrize("scheme", SHARED)
async def test_failed_jobs_are_retried_by_a_filter_and_others_stay(backend: Backend) -> None:
    queue = await backend.connect()
    worker = await backend.work(queue)
    bad = [(await put(queue, "give_up", key=f"bad-{n}")).key for n in range(3)]
    other = (await put(queue, "fail", key="other", retries=1)).key
    good = (await put(queue, "echo", key="good")).key
    for key in (*bad, other, good):
        await ended(queue, key)
    await backend.stop(worker)

    async with runner(queue):
        made = await begin(queue, "retry", wanted={"task": "give_up"})
    assert made.changed == 3
    assert made.filter == {"status": "failed", "task": "give_up"}
    assert made.target == "status=failed, task=give_up"
    assert made.share == 1
    assert await states(queue, [*bad, other, good]) == ["queued"] * 3 + ["failed", "complete"]

    again = await backend.connect()
    await backend.work(again)
    for key in bad:
        job = await ended(again, key)
        assert (job.status, job.attempts) == (Status.FAILED, 1), "with all its attempts"


@pytest.mark.parametrize("scheme", SHARED)
async def test_waiting_and_running_jobs_are_cancelled(backend: Backend) -> None:
    queue = await backend.connect()
    await backend.work(queue, concurrency=1)
    running = (await put(queue, "wait_to_be_opened", gate="never", key="running")).key
    await active(queue, running)
    waiting = [(await put(queue, "echo", key=f"waiting-{n}", delay=60)).key for n in range(2)]

    async with runner(queue):
        assert (await begin(queue, "cancel", wanted={"status": "queued"})).changed == 2
        assert (await begin(queue, "cancel", wanted={"status": "active"})).changed == 1
    for key in (*waiting, running):
        job = await ended(queue, key)
        assert job.status is Status.ABORTED
        assert job.error is not None
        assert "cancelled by ada (bulk action" in job.error


@pytest.mark.parametrize("scheme", SHARED)
async def test_chosen_jobs_are_deleted_and_their_history_stays(backend: Backend) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    keys = [(await put(queue, "echo", value=n, key=f"echo-{n}")).key for n in range(3)]
    for key in keys:
        await ended(queue, key)
    async with runner(queue):
        assert (await begin(queue, "delete", keys=[*keys[:2], "nobody"])).changed == 2
    assert [await queue.job(key) is None for key in keys] == [True, True, False]
    assert await states(queue, keys) == ["complete"] * 3


async def test_what_a_backend_lacks_is_refused_by_name(backend: Backend) -> None:
    queue = await backend.connect()
    lacks = {
        "memory": ("retry", "run-now", "priority"), "redis": ("run-now", "priority"),
        "sqs": ("run-now", "priority"), "postgresql": (),
    }[backend.scheme]  # fmt: skip
    for action in lacks:
        request = BulkRequest(
            action=action, wanted={"task": "echo"}, who="ada",
            priority=1 if action == "priority" else None,
        )  # fmt: skip
        with pytest.raises(InvalidOptionError, match=f"action: {backend.scheme}://"):
            await queue.bulk.begin(request)


@pytest.mark.parametrize("scheme", ["postgresql", "sqs"])
async def test_a_retry_is_undone(backend: Backend) -> None:
    queue = await backend.connect()
    worker = await backend.work(queue)
    keys = [(await put(queue, "give_up", key=f"bad-{n}")).key for n in range(3)]
    for key in keys:
        await ended(queue, key)
    await backend.stop(worker)
    queue = await backend.connect()
    before = [await queue.find_record(key) for key in keys]
    assert all(before)
    attempts = [await queue.attempts(record) for record in before if record]

    async with runner(queue):
        made = await begin(queue, "retry", wanted={"status": "failed"})
        assert made.can_be_undone
        assert await states(queue, keys) == ["queued"] * 3
        undo = await done(queue, await queue.bulk.undo(made.id, "bob"))
    assert (undo.action, undo.undoes, undo.who, undo.changed) == ("undo", made.id, "bob", 3)
    made = await queue.bulk.get(made.id)
    assert made.undone_by == undo.id
    assert not made.can_be_undone
    with pytest.raises(BulkStateError, match="is undone already"):
        await queue.bulk.undo(made.id, "bob")
    with pytest.raises(BulkStateError, match="cannot be undone"):
        await queue.bulk.undo(undo.id, "bob")
    for key, was in zip(keys, before, strict=True):
        assert was
        now = await queue.find_record(key)
        job = await queue.job(key)
        assert now
        assert job
        assert (now.status, job.status) == ("failed", Status.FAILED)
        assert (now.finished_at, now.attempts) == (was.finished_at, was.attempts)
        assert now.error == was.error
    assert [await queue.attempts(record) for record in before if record] == attempts


@pytest.mark.parametrize("scheme", ["redis"])
async def test_what_another_backend_has_begun_changes_nothing_here(backend: Backend) -> None:
    queue = await backend.connect()
    assert isinstance(queue, TableQueue)
    worker = await backend.work(queue)
    await put(queue, "echo", key="done")
    await ended(queue, "done")
    await backend.stop(worker)
    queue = await backend.connect()
    assert isinstance(queue, TableQueue)
    await queue.fetch(
        "INSERT INTO bulk_actions (action, filter, keys, who, first, last, place)"
        " VALUES ('run-now', '{}', '{done}', 'ada', 9, 1, 9)"
    )
    async with runner(queue):
        now = await until(lambda: _stopped(queue), what="it is refused")
    assert "redis:// retries, cancels and deletes" in str(now.error)
    assert await queue.job("done") is not None


async def _stopped(queue: JobQueue) -> BulkAction | None:
    now = await queue.bulk.get(1)
    return now if now.state == "stopped" else None


async def test_wrong_requests_name_the_field() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"action": "explode"}, "action: is none of retry, cancel"),
        ({"action": "priority"}, "priority: is missing"),
        ({"action": "retry", "priority": 3}, "priority: goes with the action priority alone"),
        ({"action": "priority", "priority": 40000}, "priority: is not between"),
        ({"action": "retry", "wanted": {}}, "filter: is empty"),
        ({"action": "retry", "keys": ["a"]}, "keys: goes without a filter"),
        ({"action": "retry", "wanted": {}, "keys": []}, "keys: has 0"),
        ({"action": "retry", "wanted": {}, "keys": ["a"] * 1001}, "keys: has 1001"),
        ({"action": "retry", "wanted": {}, "keys": ["a\0"]}, "keys: has a NUL"),
        ({"action": "retry", "wanted": {"status": "queued"}}, "status: must be failed or aborted"),
        ({"action": "cancel", "wanted": {"status": "failed"}}, "status: must be queued or active"),
        ({"action": "retry", "wanted": {"colour": "red"}}, "colour: is no filter"),
        ({"action": "retry", "wanted": {"since": "noon"}}, "since: 'noon' is no time"),
        ({"action": "retry", "wanted": {"payload": ["a"]}}, "payload: is not a path"),
    ]
    for given, sentence in wrong:
        with pytest.raises(InvalidOptionError, match=sentence):
            BulkRequest(**{"wanted": {"task": "echo"}, "who": "ada"} | given)


@pytest.mark.parametrize("scheme", ["postgresql"])
async def test_a_bulk_action_in_another_queue_keeps_to_it(backend: Backend) -> None:
    queue = await backend.connect(several)
    keys = [(await put(queue, task, key="same", delay=60)).key for task in ("build", "send")]
    async with runner(queue):
        made = await begin(queue, "cancel", wanted={"queue": "mail"})
        assert made.changed == 1
        await done(queue, await queue.bulk.undo(made.id, "ada"))
        # a key as people type it is found in every queue, as in `moor jobs show`
        assert (await begin(queue, "cancel", keys=["mail:same"])).changed == 1
    assert await states(queue, keys) == ["queued", "aborted"]


@pytest.mark.parametrize("scheme", ["postgresql"])
async def test_stopped_ones_stay_where_they_are_and_missing_ones_are_said(
    backend: Backend,
) -> None:
    queue = await backend.connect()
    for n in range(3):
        await put(queue, "echo", key=f"waiting-{n}", delay=60)
    request = BulkRequest(action="cancel", wanted={"status": "queued"}, who="ada")
    waits = await queue.bulk.begin(request)
    stopped = await queue.bulk.stop(waits.id)
    assert (stopped.state, stopped.share, stopped.changed) == ("stopped", 0, 0)
    async with runner(queue):
        await asyncio.sleep(0.3)
        assert (await queue.bulk.get(waits.id)).changed == 0
        await queue.bulk.resume(waits.id)
        assert (await done(queue, waits)).changed == 3
    with pytest.raises(BulkStateError, match="has ended"):
        await queue.bulk.stop(waits.id)
    with pytest.raises(BulkNotFoundError, match="no bulk action 999"):
        await queue.bulk.get(999)
    found = await queue.bulk.page(before=None, limit=10)
    assert [each.id for each in found] == [waits.id]
    assert await queue.bulk.changed([waits.id]) == {waits.id: 3}
