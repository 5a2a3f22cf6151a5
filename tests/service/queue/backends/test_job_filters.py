"""Filters of the history combine, on each backend; what one lacks it refuses by name."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.queue.errors import InvalidOptionError
from service.queue.interface import JobQueue
from service.queue.job_filter import JobFilter, PayloadField
from tests.service.queue.backends.conftest import Backend, ended, put
from tests.service.queue.backends.tasks import several


async def found(queue: JobQueue, /, **wanted: Any) -> list[str]:
    """The keys that are found, read in small pages."""
    keys: list[str] = []
    before: int | None = None
    while True:
        page = await queue.search_records(JobFilter(**wanted), before=before, limit=2)
        assert len(page.records) <= 2
        keys += [each.key for each in page.records]
        if page.before is None:
            return keys
        before = page.before


def field(text: str) -> PayloadField:
    path, _, value = text.partition("=")
    return PayloadField(path=path, value=value)


async def test_jobs_are_found_by_worker_error_key_and_time(backend: Backend) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    await put(queue, "give_up", key="bad-1")
    await put(queue, "fail", key="bad-2", retries=1)
    await put(queue, "echo", value=1, key="good-1")
    for key in ("bad-1", "bad-2", "good-1"):
        await ended(queue, key)
    waiting = await put(queue, "echo", value=2, key="good-2", delay=60)
    record = await queue.find_record("good-1")
    assert record
    assert record.worker_id

    assert await found(queue) == ["good-2", "good-1", "bad-2", "bad-1"]
    assert await found(queue, key="good-*") == ["good-2", "good-1"]
    assert await found(queue, key="good-1") == ["good-1"]
    assert await found(queue, key="good-") == []
    assert await found(queue, key="good-*", status="queued") == [waiting.key]
    assert await found(queue, error="no such") == ["bad-1"]
    assert await found(queue, error="broken in attempt 1") == ["bad-2"]
    assert await found(queue, error="no%such") == [], "a text, not a pattern"
    assert await found(queue, error="no such", status="aborted") == []
    assert await found(queue, error="no such", task="give_up", key="bad-*") == ["bad-1"]
    assert await found(queue, worker=record.worker_id) == ["good-1", "bad-2", "bad-1"]
    assert await found(queue, worker=record.worker_id, task="echo") == ["good-1"]
    assert await found(queue, worker="nobody") == []
    at = record.created_at
    older = [each.key for each in await queue.list_records() if each.created_at < at]
    assert await found(queue, until=at) == older
    assert set(await found(queue, since=at)) == {*await found(queue)} - {*older}
    assert await found(queue, since=at + timedelta(hours=1)) == []
    assert await found(queue, until=at - timedelta(hours=1)) == []


@pytest.mark.parametrize("scheme", ["postgresql", "memory", "sqs"])
async def test_jobs_are_found_by_their_payload(backend: Backend) -> None:
    queue = await backend.connect()
    values: list[Any] = [
        {"user": {"id": 7, "name": "Ada"}, "tags": ["new", "paid"]},
        {"user": {"id": "7", "name": "7.0"}},
        {"user": {"id": 70}, "ok": True, "none": None},
        "it's '; DROP TABLE saq_jobs; --",
        7,
    ]
    for number, value in enumerate(values):
        await put(queue, "echo", value=value, key=str(number))
    for text, keys in {
        "value.user.id=7": ["1", "0"],
        "value.user.id=7.0": ["0"],
        'value.user.id="7"': ["1"],
        "value.user.name=Ada": ["0"],
        "value.user.id": [],
        "value.tags.1=paid": ["0"],
        'value.tags=["new", "paid"]': ["0"],
        "value.ok=true": ["2"],
        "value.ok=1": [],
        "value.none=null": ["2"],
        "value=7": ["4"],
        "value=it's '; DROP TABLE saq_jobs; --": ["3"],
        "value.user.id.deeper=7": [],
        "nothing=7": [],
    }.items():
        assert await found(queue, payload=(field(text),)) == keys, text
    both = (field("value.user.id=7"), field("value.user.name=Ada"))
    assert await found(queue, payload=both, task="echo", status="queued") == ["0"]
    assert await found(queue, payload=both, task="fail") == []


@pytest.mark.parametrize("scheme", ["redis"])
async def test_redis_refuses_to_look_into_payloads(backend: Backend) -> None:
    queue = await backend.connect()
    with pytest.raises(InvalidOptionError, match="payload: redis:// has its"):
        await queue.list_records(JobFilter(payload=(field("a=1"),)))


@pytest.mark.parametrize(
    ("wanted", "wrong"),
    [
        ({"task": ""}, "task"),
        ({"worker": "a\0b"}, "worker"),
        ({"error": "x", "status": "complete"}, "error"),
        ({"payload": (PayloadField(path="a..b", value="1"),)}, "payload"),
        ({"payload": (PayloadField(path="a", value="\0"),)}, "payload"),
        ({"payload": (PayloadField(path="user.password", value="x"),)}, "payload"),
        ({"payload": (PayloadField(path="user", value='{"password": "x"}'),)}, "payload"),
        (
            {"since": datetime(2026, 1, 2, tzinfo=UTC), "until": datetime(2026, 1, 1, tzinfo=UTC)},
            "until",
        ),
    ],
)
def test_a_filter_that_can_find_nothing_is_refused(wanted: dict[str, Any], wrong: str) -> None:
    with pytest.raises(InvalidOptionError) as refused:
        JobFilter(**wanted)
    assert refused.value.option == wrong


@pytest.mark.parametrize("scheme", ["postgresql", "memory", "redis"])
async def test_a_key_is_found_in_the_queue_of_its_task(backend: Backend) -> None:
    queue = await backend.connect(several)
    mail = queue.named("mail")
    job = await put(queue, "send", key="letter-1")
    assert await found(queue, key="letter-1") == [job.key]
    assert await found(queue, key="letter-*") == [job.key]
    assert await found(mail, key="letter-1") == [job.key]
    assert await found(queue, key="letter-*", queue="default") == []
