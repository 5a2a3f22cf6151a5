"""API processes that tests share. A test module names this file in `pytest_plugins`."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from service.testing.databases import copy_of, with_user
from tests.conftest import APPLICATION, Processes
from tests.service.api.api_process import API_KEY, UI_LOGIN, Api, start_api


@pytest.fixture(scope="session")
def _shared(
    postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Processes]:
    # One event loop enters and leaves the context; the tests in between have their own.
    with asyncio.Runner() as runner:
        database = copy_of(postgres, template)
        dsn = runner.run(database.__aenter__())
        processes = Processes(with_user(dsn, APPLICATION), tmp_path_factory.mktemp("api"))
        yield processes
        processes.stop_all()
        runner.run(database.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def api(_shared: Processes) -> Api:
    """The API as on a laptop: stage local, open. Nothing runs its jobs."""
    return start_api(_shared)


@pytest.fixture(scope="session")
def guarded_api(_shared: Processes) -> Api:
    """The API as in production, with its key and the job pages' password."""
    user, password = UI_LOGIN
    return start_api(_shared, STAGE="prod", API_KEY=API_KEY, UI_USERNAME=user, UI_PASSWORD=password)


@pytest.fixture
def http(api: Api) -> Iterator[httpx.Client]:
    """A client of `api`."""
    with api.client() as client:
        yield client
