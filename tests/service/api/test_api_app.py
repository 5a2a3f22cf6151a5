"""The API without a database: the routes of domains, and unexpected errors."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.testing import TestClient
from pydantic import SecretStr

from service import observers
from service.api.app import create_app
from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.tasks.registry import Registry
from service.settings import Settings

# litestar-saq's own routes, not ours
pytestmark = pytest.mark.filterwarnings("ignore:.*Worker.*:DeprecationWarning")

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"

ROUTES = """
import asyncpg
from enum import StrEnum

from litestar import get, post
from litestar.di import NamedDependency
from litestar.exceptions import ClientException, PermissionDeniedException
from litestar.params import FromPath, FromQuery, JSONBody
from litestar_saq import TaskQueues
from pydantic import BaseModel

from service.queue.errors import InvalidOptionError, InvalidPayloadError, UnknownTaskError


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


class Order(BaseModel):
    amount: int


@get("/shop/injected")
async def injected(
    pool: NamedDependency[asyncpg.Pool], task_queues: NamedDependency[TaskQueues]
) -> list[str]:
    return [type(pool).__name__, task_queues.get("default").name]


@get("/shop/broken")
async def broken() -> None:
    raise RuntimeError("the canary in the message")


@get("/shop/refused")
async def refused() -> None:
    raise PermissionDeniedException("Only the owner may see this.")


@get("/shop/no-queue")
async def no_queue(task_queues: NamedDependency[TaskQueues]) -> None:
    task_queues.get("unknown")


@get("/shop/no-task/{kind:str}")
async def no_task(kind: FromPath[str]) -> None:
    raise {
        "task": UnknownTaskError("reminder"),
        "payload": InvalidPayloadError("remind", "payload.day", "Expected `int`"),
        "option": InvalidOptionError("delay", "must be positive"),
    }[kind]


@get("/shop/shirts")
async def shirts(size: FromQuery[Size], owner: FromQuery[int]) -> list[str]:
    return [size, str(owner)]


@post("/shop/orders")
async def order(data: JSONBody[Order]) -> Order:
    return data


route_handlers = [injected, broken, refused, no_queue, no_task, shirts, order]
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable package of domains, with nothing in it yet."""
    folder = tmp_path / "shop_domains"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.startswith("shop_domains")]:
        del sys.modules[name]


def add_domain(package: Path, name: str, routes: str | None) -> None:
    (package / name).mkdir()
    (package / name / "__init__.py").touch()
    if routes is not None:
        (package / name / "routes.py").write_text(routes)


def build() -> Litestar:
    settings = Settings(stage="local", database_url=SecretStr(NOWHERE))
    registry = Registry()
    return create_app(
        settings, registry, PostgresQueue(NOWHERE, registry), domain_package="shop_domains"
    )


@pytest.fixture
def client(package: Path) -> Iterator[TestClient[Litestar]]:
    add_domain(package, "shop", ROUTES)
    add_domain(package, "silent", None)
    with TestClient(build(), base_url="http://127.0.0.1") as client:
        yield client


def test_a_domains_routes_are_found_and_get_what_they_ask_for(
    client: TestClient[Litestar],
) -> None:
    assert client.get("/shop/injected").json() == ["Pool", "default"]


def test_a_domain_with_broken_routes_fails_the_start(package: Path) -> None:
    add_domain(package, "shop", "from service.nowhere import nothing")
    with pytest.raises(ModuleNotFoundError, match=r"service\.nowhere"):
        build()


def test_a_domain_without_route_handlers_fails_the_start(package: Path) -> None:
    add_domain(package, "shop", "handlers = []")
    with pytest.raises(AttributeError, match="route_handlers"):
        build()


def test_an_unexpected_error_is_logged_and_shown_to_no_client(
    client: TestClient[Litestar], capsys: pytest.CaptureFixture[str]
) -> None:
    answer = client.get("/shop/broken", headers={"X-Request-Id": "broken-1"})
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Request-Id"] == "broken-1"
    assert "canary" not in answer.text
    assert "Traceback" not in answer.text
    log = capsys.readouterr().out
    assert "RuntimeError: the canary in the message" in log
    assert "broken-1" in log


class Reports:
    """Takes errors, as Sentry's would."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, str | None]] = []

    def request_failed(self, error: BaseException, method: str, route: str | None) -> None:
        self.taken.append((str(error), method, route))

    def job_failed(
        self, error: BaseException, payload: Any, queue: str, job: observers.Job
    ) -> None:
        raise AssertionError(job)


def test_an_unexpected_error_is_reported_and_a_mistake_of_the_caller_is_not(
    client: TestClient[Litestar], monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = Reports()
    monkeypatch.setattr(observers, "errors", reports)
    for path in ("/shop/broken", "/shop/refused", "/nowhere"):
        client.get(path)
    assert reports.taken == [("the canary in the message", "GET", "/shop/broken")]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("no-queue", "ImproperlyConfiguredException"),
        ("no-task/task", "no task is named 'reminder'"),
        ("no-task/payload", "task 'remind': payload.day: Expected `int`"),
        ("no-task/option", "delay: must be positive"),
    ],
)
def test_a_mistake_in_a_domains_route_is_500_with_its_traceback_in_the_log(
    client: TestClient[Litestar], capsys: pytest.CaptureFixture[str], path: str, said: str
) -> None:
    answer = client.get(f"/shop/{path}")
    assert answer.status_code == 500
    assert said not in answer.text
    assert "errors" not in answer.json()
    log = capsys.readouterr().out
    assert "Traceback" in log
    assert said in log


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ("size=small", "owner", "is missing"),
        ("owner=1", "size", "is missing"),
        ("size=small&owner=me", "owner", "Expected `int`, got `str`"),
        ("size=xl&owner=1", "size", "Invalid enum value 'xl'; allowed: 'small', 'large'"),
    ],
)
def test_a_wrong_parameter_and_a_missing_one_are_refused_in_the_same_shape(
    client: TestClient[Litestar], query: str, field: str, message: str
) -> None:
    answer = client.get(f"/shop/shirts?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": field, "message": message}]
    assert answer.json()["detail"] == f"{field}: {message}"


def test_an_error_a_route_means_to_give_is_given(client: TestClient[Litestar]) -> None:
    answer = client.get("/shop/refused")
    assert answer.status_code == 403
    assert answer.json()["detail"] == "Only the owner may see this."


def test_a_domains_pydantic_model_is_checked_like_everything_else(
    client: TestClient[Litestar],
) -> None:
    assert client.post("/shop/orders", json={"amount": 3}).json() == {"amount": 3}
    answer = client.post("/shop/orders", json={"amount": "many"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "amount"


def test_the_database_that_is_away_is_503_and_no_traceback(
    client: TestClient[Litestar], capsys: pytest.CaptureFixture[str]
) -> None:
    answer = client.get("/api/v1/jobs")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "Traceback" not in capsys.readouterr().out


async def test_options_and_405_say_every_method_of_every_route() -> None:
    settings, registry = Settings(stage="local", database_url=SecretStr(NOWHERE)), Registry()
    app = create_app(settings, registry, PostgresQueue(NOWHERE, registry))
    given = {"str": "x", "int": "1", "path": "app.js"}
    routes = [route for route in app.routes if isinstance(route, HTTPRoute)]
    assert len(routes) > 15
    for route in routes:
        path = re.sub(r"\{\w+:(\w+)\}", lambda found: given[found[1]], route.path)
        methods = set(route.methods) | ({"HEAD"} if "GET" in route.methods else set())
        assert await ask(app, "OPTIONS", path) == (204, methods), path
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - methods:
            assert await ask(app, method, path) == (405, methods), f"{method} {path}"
    assert await ask(app, "OPTIONS", "/nope") == (404, set())


async def ask(app: Litestar, method: str, path: str) -> tuple[int, set[str]]:
    """The status, and the methods that the answer allows."""
    heads: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            heads.append(message)

    scope: Any = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "path": path, "raw_path": path.encode(), "query_string": b"", "scheme": "http",
        "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1), "root_path": "",
        "server": ("127.0.0.1", 80), "state": {},
    }  # fmt: skip
    await app(scope, receive, send)
    allow = dict(heads[0]["headers"]).get(b"allow", b"").decode()
    return heads[0]["status"], set(filter(None, allow.split(", ")))
