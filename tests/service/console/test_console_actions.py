"""Acting in the console: what it changes, who may, and what the audit log says of it."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.service.api.api_process import API_KEY, Api
from tests.service.console.test_console_door import enter, link
from tests.service.console.test_console_pages import plant, plant_worker

pytest_plugins = ["tests.service.api.conftest_api"]

BROWSED = pytest.mark.asyncio(loop_scope="module")  # all by one browser


@pytest.fixture
def actor(guarded_api: Api) -> Iterator[httpx.Client]:
    """Somebody who is signed in and may act."""
    with guarded_api.client(Accept="text/html") as client:
        enter(client, link(guarded_api, "alice"))
        yield client


@pytest.fixture
def onlooker(guarded_api: Api) -> Iterator[httpx.Client]:
    """Somebody who is signed in and may only look."""
    with guarded_api.client(Accept="text/html") as client:
        enter(client, link(guarded_api, "otto", may_act=False))
        yield client


def last_action(api: Api) -> tuple[str, str, str, int | None]:
    ((who, what, target, jobs),) = api.sql(
        "SELECT who, what, target, jobs FROM console_actions ORDER BY id DESC LIMIT 1"
    )
    return who, what, target, jobs


def status(api: Api, key: str) -> str:
    (row,) = api.sql("SELECT status FROM saq_jobs WHERE key = $1", key)
    found: str = row["status"]
    return found


def path_of(key: str) -> str:
    return f"/console/jobs/{quote(key, safe='')}"


def test_a_failed_job_is_retried_and_a_waiting_one_cancelled(
    guarded_api: Api, actor: httpx.Client
) -> None:
    key = plant(guarded_api, "failed", {}, "RuntimeError: no")

    answer = actor.post(f"{path_of(key)}/retry")
    assert answer.status_code == 303
    assert answer.headers["Location"] == path_of(key)
    assert status(guarded_api, key) == "queued"
    assert last_action(guarded_api) == ("alice", "retry job", key, 1)

    again = actor.post(f"{path_of(key)}/retry")
    assert again.status_code == 409
    assert "only an ended job can be retried" in again.text

    assert actor.post(f"{path_of(key)}/cancel").status_code == 303
    assert status(guarded_api, key) == "aborted"
    assert last_action(guarded_api) == ("alice", "cancel job", key, 1)
    (row,) = guarded_api.sql("SELECT error FROM saq_jobs WHERE key = $1", key)
    assert row["error"] == "cancelled in the console by alice"


def test_a_job_is_enqueued_once_its_payload_is_right(guarded_api: Api, actor: httpx.Client) -> None:
    wrong = actor.post("/console/tasks/sleep/enqueue", data={"payload": '{"seconds": "long"}'})
    assert wrong.status_code == 422
    assert "Expected `float`, got `str`" in wrong.text
    for text in (
        '{"seconds": "\\u0000"}',
        '{"seconds": ' + "[" * 5000,
        "[1]",
        "{",
        "\N{SNOWMAN}",
        "",
    ):
        refused = actor.post("/console/tasks/sleep/enqueue", data={"payload": text})
        assert refused.status_code in (400, 422), text

    for form in ({"field.seconds": "long"}, {"field.seconds": "1", "delay": "soon"}, {}):
        assert actor.post("/console/tasks/sleep/enqueue", data=form).status_code == 422, form

    right = actor.post("/console/tasks/sleep/enqueue", data={"field.seconds": "0.5"})
    assert right.status_code == 303
    who, what, key, jobs = last_action(guarded_api)
    assert (who, what, jobs) == ("alice", "enqueue sleep", 1)
    (row,) = guarded_api.sql("SELECT job FROM saq_jobs WHERE key = $1", key)
    assert json.loads(row["job"])["kwargs"] == {"seconds": 0.5}
    assert actor.post("/console/tasks/nothing/enqueue", data={"payload": "{}"}).status_code == 404


def test_a_queue_is_paused_and_resumed(guarded_api: Api, actor: httpx.Client) -> None:
    paused = "SELECT count(*) FROM queue_pauses WHERE queue = 'default'"
    assert actor.post("/console/queues/default/pause").status_code == 303
    assert guarded_api.sql(paused)[0][0] == 1
    assert last_action(guarded_api) == ("alice", "pause queue", "default", None)
    page = actor.get("/console/queues/default").text
    assert "alice has paused it" in page
    assert 'action="/console/queues/default/resume"' in page
    assert actor.post("/console/queues/default/resume").status_code == 303
    assert guarded_api.sql(paused)[0][0] == 0
    assert 'action="/console/queues/default/pause"' in actor.get("/console/queues/default").text
    assert actor.post("/console/queues/nowhere/pause").status_code == 404
    assert actor.get("/console/queues/nowhere").status_code == 404


def test_a_schedule_is_run_disabled_and_enabled(guarded_api: Api, actor: httpx.Client) -> None:
    with guarded_api.client(**{"X-API-Key": API_KEY}) as api:
        schedule = {"name": "of-the-console", "task": "hooked", "cron": "0 7 * * *"}
        assert api.post("/api/v1/schedules", json=schedule).status_code == 201
        of = "/console/schedules/of-the-console"
        ran = actor.post(f"{of}/run")
        key = ran.headers["Location"].rpartition("/")[2]
        assert api.get(f"/api/v1/jobs/{key}").json()["task"] == "hooked"
        assert last_action(guarded_api)[:2] == ("alice", "run schedule of-the-console")
        for verb, enabled in (("disable", False), ("enable", True)):
            assert actor.post(f"{of}/{verb}").status_code == 303
            found = api.get("/api/v1/schedules/of-the-console").json()
            assert found["enabled"] is enabled
            assert last_action(guarded_api) == ("alice", f"{verb} schedule", "of-the-console", None)
        assert actor.post("/console/schedules/nothing/run").status_code == 404
        api.delete("/api/v1/schedules/of-the-console")


def test_a_worker_is_drained(guarded_api: Api, actor: httpx.Client) -> None:
    name = "host/7 <b>"
    plant_worker(guarded_api, name)
    plant_worker(guarded_api, "in-process", can_drain=False)
    assert actor.post(f"/console/workers/{quote(name, safe='')}/drain").status_code == 303
    (row,) = guarded_api.sql("SELECT is_draining FROM queue_workers WHERE id = $1", name)
    assert row["is_draining"]
    assert last_action(guarded_api) == ("alice", "drain worker", name, None)
    refused = actor.post("/console/workers/in-process/drain")
    assert refused.status_code == 409
    assert "cannot be drained by itself" in refused.text
    assert actor.post("/console/workers/nobody/drain").status_code == 404
    guarded_api.sql("DELETE FROM queue_workers")


def test_who_may_only_look_changes_nothing(
    guarded_api: Api, actor: httpx.Client, onlooker: httpx.Client
) -> None:
    key = plant(guarded_api, "failed", {}, "RuntimeError: no")
    before = guarded_api.sql("SELECT count(*) FROM console_actions")
    for path in (
        f"{path_of(key)}/retry", f"{path_of(key)}/cancel", "/console/tasks/hooked/enqueue",
        "/console/queues/default/pause", "/console/queues/default/resume",
        "/console/workers/x/drain",
        "/console/schedules/x/run", "/console/schedules/x/disable", "/console/schedules/x/enable",
    ):  # fmt: skip
        answer = onlooker.post(path, data={"payload": "{}"})
        assert answer.status_code == 403, path
        assert "You may look, but change nothing here." in answer.text
    assert status(guarded_api, key) == "failed"
    assert guarded_api.sql("SELECT count(*) FROM console_actions") == before
    plant_worker(guarded_api, "a worker of the onlooker")
    for page in ("/", "/tasks", "/schedules", "/workers", f"/jobs/{quote(key, safe='')}"):
        assert page == "/schedules" or actor.get(f"/console{page}").text.count("<form") > 1
        shown = onlooker.get(f"/console{page}").text
        assert shown.count("<form") == 1, "only the one to sign out"
    guarded_api.sql("DELETE FROM queue_workers")


def test_without_a_session_nothing_can_be_done(guarded_api: Api) -> None:
    with guarded_api.client(Accept="text/html") as nobody:
        assert nobody.post("/console/queues/default/pause").status_code == 401


def test_a_job_runs_again_with_another_payload(guarded_api: Api, actor: httpx.Client) -> None:
    key = plant(guarded_api, "failed", {"fail": "run"}, "RuntimeError: no")
    page = actor.get(path_of(key)).text
    assert 'action="/console/tasks/hooked/enqueue"' in page
    sent = actor.post("/console/tasks/hooked/enqueue", data={"payload": '{"fail": ""}'})
    assert sent.status_code == 303


@BROWSED
async def test_one_clicks_through_a_repair(page: Page, own_api: Api) -> None:
    key = plant(own_api, "failed", {"n": 1}, "RuntimeError: of the repair")
    await page.goto("/console/")
    await page.get_by_role("row").filter(has_text="of the repair").get_by_role("link").click()
    await page.get_by_role("link", name=key).click()
    await page.get_by_role("button", name="Retry").click()
    await expect(page.locator("h1 .state")).to_have_text("queued")
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator("h1 .state")).to_have_text("aborted")
    await page.get_by_role("link", name="Audit").click()
    await expect(page.get_by_role("row").filter(has_text=key)).to_have_count(2)
    await page.get_by_role("link", name="Tasks").click()
    row = page.get_by_role("row").filter(
        has=page.get_by_role("rowheader", name="sleep", exact=True)
    )
    await row.get_by_text("Enqueue").first.click()
    await row.get_by_label("seconds", exact=True).fill("1")
    await row.get_by_label("Due in, seconds").fill("60")
    await row.get_by_role("button", name="Enqueue", exact=True).click()
    await expect(page.get_by_role("heading", name="sleep")).to_be_visible()
    await expect(page.get_by_role("region", name="Payload")).to_contain_text('"seconds": 1')
    await expect(page.get_by_text("It is due at")).to_be_visible()
