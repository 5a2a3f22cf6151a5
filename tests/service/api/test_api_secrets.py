"""A password in a payload is shown nowhere, and reaches its task."""

from typing import Annotated, Literal

import httpx
import msgspec
import pytest
from litestar import Litestar, get, post
from litestar.params import Body, QueryParameter

from service.api.door.http_errors import EXCEPTION_HANDLERS
from service.api.door.json_body import JsonRequest
from tests.conftest import Processes, until
from tests.service.api.api_process import start_api

PASSWORD = "correct-horse-'battery\\staple"
JOBS, SCHEDULES, PAGES = "/api/v1/jobs", "/api/v1/schedules", "/saq/api/queues/default"


async def ended(http: httpx.Client, path: str) -> dict[str, object]:
    async def found() -> dict[str, object] | None:
        job: dict[str, object] = http.get(path).json()
        return job if job["status"] in ("complete", "failed") else None

    job: dict[str, object] = await until(found, what=path)
    return job


async def test_a_password_is_hidden_wherever_its_job_is_shown(processes: Processes) -> None:
    api = start_api(processes, LOG_LEVEL="debug")
    worker = processes.start("worker", LOG_LEVEL="debug", LOG_FORMAT="json")
    told: list[str] = []
    with api.client() as http:
        http.event_hooks = {"response": [lambda answer: told.append(answer.read().decode())]}
        payload = {"password": PASSWORD}
        path = http.post(JOBS, json={"task": "sign_in", "payload": payload}).headers["Location"]
        job = await ended(http, path)
        assert job["payload"] == {"password": "[hidden]", "fail": False, "secret": "[hidden]"}
        assert job["result"] == {
            "token": "[hidden]",
            "at": ["https://user:[hidden]@example.org/?access_token=[hidden]&page=1"],
            "token_count": len(PASSWORD),  # what the task got
        }
        assert "user:[hidden]@" in str(job["message"])
        http.get(f"{path}/events")
        http.post(f"{path}/retry")
        assert (await ended(http, path))["result"] == job["result"], "with the real password again"

        failing = {"task": "sign_in", "payload": payload | {"fail": True}}
        failed = http.post(JOBS, json=failing).headers["Location"]
        assert 'the password "[hidden]" is wrong' in str((await ended(http, failed))["error"])
        http.get(f"{failed}/events")
        http.get(JOBS)

        wrong = http.post(JOBS, json={"task": "sign_in", "payload": payload | {"secret": PASSWORD}})
        assert wrong.status_code == 422
        assert 'secret: Invalid enum value "[hidden]"' in wrong.json()["detail"]

        shown = {"password": "[hidden]"}
        copied = http.post(JOBS, json={"task": "sign_in", "payload": shown})
        assert copied.json()["errors"] == [
            {
                "field": "payload.password",
                "message": "is [hidden], as it is shown: send the value itself",
            }
        ]

        nightly = {"name": "nightly", "task": "sign_in", "every": "1 day", "payload": payload}
        made = http.post(SCHEDULES, json=nightly)
        assert made.json()["payload"]["password"] == "[hidden]"
        http.get(SCHEDULES)
        run = http.post(f"{SCHEDULES}/nightly/run").json()["job_id"]
        assert (await ended(http, f"{JOBS}/{run}"))["result"] == job["result"]

        listed = http.get(PAGES).json()["queue"]["jobs"]
        assert "'password': '[hidden]'" in str([row["kwargs"] for row in listed])
        for each in (path, failed):
            row = http.get(f"{PAGES}/jobs/{each.rpartition('/')[2]}").json()["job"]
            assert "'password': '[hidden]'" in row["kwargs"]
    logs = processes.log(worker) + api.log()
    assert '"password":"[hidden]","account":{"keys":[{"apiKey":"[hidden]"}]}' in logs
    assert "at https://user:[hidden]@example.org/?access_token=[hidden]&page=1" in logs
    for text in (*told, logs):
        assert "battery" not in text


class Login(msgspec.Struct):
    user: str
    password: Literal["a", "b"]


@post("/login")
async def log_in(data: Annotated[Login, Body()]) -> None: ...


@get("/confirm")
async def confirm(access_token: Annotated[Literal["a", "b"], QueryParameter()]) -> None: ...


@pytest.mark.parametrize(
    "request_",
    [
        httpx.Request("POST", "http://x/login", json={"user": "ada", "password": PASSWORD}),
        httpx.Request("GET", "http://x/confirm", params={"access_token": PASSWORD}),
    ],
    ids=["body", "query"],
)
async def test_a_refusal_does_not_repeat_what_was_sent(request_: httpx.Request) -> None:
    app = Litestar(
        [log_in, confirm],
        request_class=JsonRequest,
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=None,
    )
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type] # it is an ASGI application
    answer = await transport.handle_async_request(request_)
    text = (await answer.aread()).decode()
    assert answer.status_code == 422
    assert "Invalid enum value" in text
    assert "[hidden]" in text
    assert "battery" not in text


async def test_names_are_hidden_as_the_environment_says(processes: Processes) -> None:
    payload = {"password": PASSWORD}
    for told, shown in {"off": payload, "default,-password": payload, "secret": payload}.items():
        with start_api(processes, REDACT_NAMES=told).client() as http:
            job = {"task": "sign_in", "payload": payload}
            found = http.get(http.post(JOBS, json=job).headers["Location"]).json()["payload"]
            assert (found["password"], found["secret"]) == (
                shown["password"], "[hidden]" if told != "off" else "a",
            )  # fmt: skip
