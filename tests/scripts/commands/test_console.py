"""`moor console`: who may sign in with a password."""

import json

import pytest

from tests.scripts.deployed import Moor, deploy
from tests.service.api.api_process import API_KEY, Api

pytest_plugins = ["tests.scripts.conftest_deployed", "tests.service.api.conftest_api"]


def test_somebody_is_added_listed_and_removed(
    aws: str, moor: Moor, guarded_api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy("dev", guarded_api.url, API_KEY)

    assert moor("console", "add", "grace", "--act", "--stage", "dev") == 0
    password = capsys.readouterr().out.strip()
    with guarded_api.client(Accept="text/html") as client:
        signed = client.post("/console/sign-in", data={"username": "grace", "password": password})
        assert signed.status_code == 303
        assert "grace" in client.get("/console/").text

    assert moor("console", "list", "--json", "--stage", "dev") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["name"], found["may_act"]) == ("grace", True)
    assert moor("console", "list", "--stage", "dev") == 0
    assert "grace" in capsys.readouterr().out

    assert moor("console", "add", "grace", "--stage", "dev") == 1
    assert "may sign in already" in capsys.readouterr().err
    assert moor("console", "remove", "grace", "--stage", "dev") == 0
    assert moor("console", "remove", "grace", "--stage", "dev") != 0
    assert "Nobody is called grace" in capsys.readouterr().err


def test_open_makes_an_address_that_signs_in(
    aws: str, moor: Moor, guarded_api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy("dev", guarded_api.url, API_KEY)
    assert moor("open", "--look", "--print", "--stage", "dev") == 0
    address = capsys.readouterr().out.strip()
    with guarded_api.client(Accept="text/html") as client:
        assert client.get(address).status_code == 200
        assert client.post(address).status_code == 303
        assert "(looking only)" in client.get("/console/").text
    assert moor("open", "schema", "--look", "--print", "--stage", "dev") == 1
