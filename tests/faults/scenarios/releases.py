"""Two releases at once, as in every rolling deploy."""

import json
import time
from typing import Any

from tests.faults.arena import Arena


async def unknown_to_this_release(arena: Arena) -> None:
    """An old worker gets a task, and a payload, that only the next release knows."""
    (old,) = await arena.start_workers()
    task = await _insert(arena, "new-task", function="not_yet")
    payload = await _insert(arena, "new-payload", function="work", kwargs={"colour": "red"})
    forgotten = await _insert(
        arena, "forgotten", function="not_yet", queued=int((time.time() - 86400) * 1000),
        scheduled=int(time.time() - 86400),
    )  # fmt: skip
    inserted = time.monotonic()
    (innocent,) = await arena.enqueue()
    await arena.time(
        "innocent_done_s",
        lambda: arena.has_ended(innocent),
        since=inserted,
    )
    await arena.time("given_up_s", lambda: _is(arena, forgotten, "failed"), since=inserted)
    failed_early = [key for key in (task, payload) if not await _is(arena, key, "queued")]
    arena.hold("failed_early", len(failed_early))
    await arena.start_workers(environment={"FAULT_RELEASE": "2"})
    started = time.monotonic()
    await arena.time("runs_when_known_s", lambda: _is(arena, task, "complete"), since=started)
    burnt: int = await arena.database.fetchval(
        "SELECT attempts - 1 FROM saq_jobs WHERE key = $1", task
    )
    arena.hold("attempts_burnt", burnt)
    assert old.is_alive
    await arena.database.execute("DELETE FROM saq_jobs WHERE key = $1", payload)
    await arena.at_rest(5)


async def _insert(arena: Arena, key: str, **fields: Any) -> str:
    """A job as the other release's client writes it."""
    now = time.time()
    job = {
        "kwargs": {}, "queue": "default", "key": key, "queued": int(now * 1000),
        "scheduled": int(now), "timeout": 60, "retries": 3, **fields,
    }  # fmt: skip
    await arena.database.execute(
        "INSERT INTO saq_jobs (key, job, queue, status, scheduled)"
        " VALUES ($1, $2, 'default', 'queued', $3)",
        key, json.dumps(job).encode(), job["scheduled"],
    )  # fmt: skip
    await arena.database.execute("SELECT pg_notify('saq:default', 'saq:enqueue')")
    return key


async def _is(arena: Arena, key: str, status: str) -> bool:
    return bool(
        await arena.database.fetchval(
            "SELECT status = $2 FROM saq_jobs WHERE key = $1", key, status
        )
    )
