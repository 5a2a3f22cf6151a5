"""Jobs whose rows were deleted: their history ends, and nothing waits for them."""

import asyncpg
import httpx
import pytest
from saq import Status

from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.schedules import schedule_requests
from tests.service.api.api_process import Api
from tests.service.conftest import Ledger, claim, put
from tests.service.queue.schedules.test_schedules import create, fire, make_due

pytest_plugins = ["tests.service.api.conftest_api"]

PAST_THE_TRIGGERS = (
    "SET session_replication_role = replica; DELETE FROM saq_jobs; RESET session_replication_role"
)


@pytest.mark.parametrize("statement", ["TRUNCATE saq_jobs", "DELETE FROM saq_jobs"])
async def test_history_is_closed_however_the_rows_are_deleted(
    queue: PostgresQueue, ledger: Ledger, db: asyncpg.Connection, statement: str
) -> None:
    jobs = {"complete": await put(queue)}
    await queue.finish(await claim(queue), Status.COMPLETE)
    jobs["active"] = await put(queue)
    await claim(queue)
    jobs["queued"] = await put(queue)
    jobs["scheduled"] = await put(queue, scheduled=9_999_999_999)

    await db.execute(statement)

    for was, job in jobs.items():
        record = await ledger.tracked(job.key)
        assert record["finished_at"] is not None
        assert record["status"] == ("complete" if was == "complete" else "aborted")
        word = "queued" if was == "scheduled" else was
        ending = f"its row was deleted while it was {word}"
        assert record["error"] == (None if was == "complete" else ending)


@pytest.mark.parametrize("statement", ["TRUNCATE saq_jobs", PAST_THE_TRIGGERS])
async def test_a_unique_schedule_runs_again_after_its_jobs_row_is_gone(
    queue: PostgresQueue, db: asyncpg.Connection, statement: str
) -> None:
    await create(queue, unique=True)
    await queue.schedule()
    await make_due(queue)
    assert len(await fire(queue)) == 1
    await claim(queue)
    await db.execute(statement)
    await make_due(queue, ago="0 s")
    assert len(await fire(queue)) == 1
    assert (await schedule_requests.find_schedule(queue, "nap")).last_error is None


def test_cancel_says_what_became_of_such_a_job(api: Api, http: httpx.Client) -> None:
    key = http.post("/notes", json={"message": "a"}).json()["job_id"]
    api.sql("ALTER TABLE saq_jobs DISABLE TRIGGER archive_deleted_jobs")
    api.sql("DELETE FROM saq_jobs")
    assert http.post(f"/api/v1/jobs/{key}/cancel").status_code == 404, "nobody knows of it any more"

    other = http.post("/notes", json={"message": "a"}).json()["job_id"]
    api.sql("ALTER TABLE saq_jobs ENABLE TRIGGER archive_deleted_jobs")
    api.sql("TRUNCATE saq_jobs")
    answer = http.post(f"/api/v1/jobs/{other}/cancel")
    assert answer.status_code == 409
    assert "is aborted" in answer.json()["detail"]
