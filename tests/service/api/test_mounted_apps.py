"""FastAPI and Django behind our door, as docs/extending.md mounts them."""

from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr

from service.api.app import create_app
from service.queue import Registry, create_queue
from service.settings import ApiSettings
from tests import extending

KEY = "k" * 20
PAGES = """
from service.mount import mount

HEADERS = [(b"content-security-policy", b"default-src 'self'"), (b"cache-control", b"public")]

async def pages(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b""})

route_handlers = [mount("/pages", pages)]
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.ASGITransport]:
    """The API of a stage with a key. It is not started: nothing here asks the database."""
    folder = tmp_path_factory.mktemp("mounted")
    extending.write(folder, "prices", "office")
    package = (folder / "service/domain").rename(folder / "mounted_domains")
    (package / "__init__.py").touch()
    (package / "pages").mkdir()
    (package / "pages/__init__.py").touch()
    (package / "pages/routes.py").write_text(PAGES)
    settings = ApiSettings(
        stage="dev", database_url=SecretStr("postgresql:///none"), api_key=SecretStr(KEY)
    )
    registry = Registry()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        queue = create_queue(settings, registry)
        made = create_app(settings, registry, queue, domain_package="mounted_domains")
        yield httpx.ASGITransport(made)  # type: ignore[arg-type]


@pytest.fixture
def client(app: httpx.ASGITransport) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=app, base_url="http://api.example.com", headers={"X-API-Key": KEY}
    )


async def test_fastapi_answers_below_its_path(client: httpx.AsyncClient) -> None:
    answer = await client.get("/prices/of/tea?pieces=3")
    assert (answer.status_code, answer.json()) == (200, {"tea": 15})
    assert (await client.get("/prices/of/tea?pieces=many")).status_code == 422
    assert (await client.get("/prices/nothing")).status_code == 404
    moved = await client.get("/prices/of/tea/")
    assert moved.headers["Location"] == "http://api.example.com/prices/of/tea"
    described = (await client.get("/prices/openapi.json")).json()
    assert described["servers"] == [{"url": "/prices"}]
    assert list(described["paths"]) == ["/of/{item}"]


async def test_django_answers_below_its_path(client: httpx.AsyncClient) -> None:
    answer = await client.post("/office/desks/7/")
    assert (answer.status_code, answer.json()) == (200, {"desk": 7, "method": "POST"})
    assert (await client.get("/office/chairs/")).status_code == 404


@pytest.mark.parametrize("path", ["/prices/of/tea", "/office/desks/7/", "/pages"])
async def test_what_is_mounted_is_behind_the_door(client: httpx.AsyncClient, path: str) -> None:
    refused = await client.get(path, headers={"X-API-Key": "no"})
    assert refused.status_code == 401
    answer = await client.get(path)
    assert answer.headers["X-Request-Id"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_a_page_may_say_which_scripts_it_runs(client: httpx.AsyncClient) -> None:
    policies = {
        path: (await client.get(path)).headers["Content-Security-Policy"]
        for path in ("/pages", "/prices/of/tea")
    }
    assert policies["/pages"] == "default-src 'self'"
    assert policies["/prices/of/tea"].startswith("default-src 'none'")
