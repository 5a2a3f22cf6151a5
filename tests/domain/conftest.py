"""What tests of domains share with those of the service, on the project's own domains."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.queue import Registry, discover
from tests.conftest import ROOT, Processes, make_template
from tests.service.api.api_process import Api, shared_processes, start_api
from tests.service.conftest import db, ledger, queue

__all__ = ["db", "ledger", "queue"]


@pytest.fixture(scope="session")
def registry() -> Registry:
    """Every task of the project."""
    return discover()


@pytest.fixture(scope="session")
def template(postgres: str) -> str:
    """The name of a database with the tables of every domain, to be copied."""
    return make_template(postgres, "of_the_domains", ROOT)


@pytest.fixture(scope="session")
def api(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API as on a laptop: stage local, open. Nothing runs its jobs."""
    folder = tmp_path_factory.mktemp("api-of-the-domains")
    with shared_processes(ROOT, postgres, template, folder) as running:
        yield start_api(running)


@pytest.fixture
def processes(application_dsn: str, tmp_path: Path) -> Iterator[Processes]:
    """Real processes of the project on this test's database, with the rights of a stage's."""
    running = Processes(ROOT, application_dsn, tmp_path)
    yield running
    running.stop_all()
