"""Stage `dev` in moto, with a real API behind its URL.

A test module names this file in `pytest_plugins`.
"""

from collections.abc import Iterator

import httpx
import pytest
from moto.server import ThreadedMotoServer

from scripts.cli import main
from tests.scripts.deployed import Moor, deploy, one_command
from tests.service.api.api_process import API_KEY, Api

REGION = "us-east-1"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an AWS with nothing in it, which boto3 takes for AWS itself."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    endpoint = f"http://localhost:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    try:
        yield endpoint
    finally:
        httpx.post(f"{endpoint}/moto-api/reset").raise_for_status()  # its state is this process's
        server.stop()


@pytest.fixture
def deployed(aws: str, guarded_api: Api) -> Api:
    """`dev` is deployed; its URL is the API of `guarded_api`."""
    deploy("dev", guarded_api.url, API_KEY)
    return guarded_api


@pytest.fixture
def moor() -> Moor:
    """Runs `moor` with these words; its exit code."""

    def run(*words: object) -> int:
        with one_command():
            return main([str(word) for word in words])

    return run
