"""API processes that tests share. A test module names this file in `pytest_plugins`."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import Processes
from tests.service.api.api_process import API_KEY, UI_LOGIN, Api, shared_processes, start_api


@pytest.fixture(scope="session")
def _shared(
    project: Path, postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Processes]:
    with shared_processes(project, postgres, template, tmp_path_factory.mktemp("api")) as running:
        yield running


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
