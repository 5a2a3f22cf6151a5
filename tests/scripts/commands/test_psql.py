"""`moor psql` and `moor tunnel` as processes, with a plugin and a psql that say what they get."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.commands.psql import environment
from scripts.errors import RefusedError
from scripts.session.database_access import Database, read_database, with_exec
from scripts.target import Target
from service.contract import ProcessName
from stacks.config.read_stage import read_stage
from tests.conftest import ROOT
from tests.ports import free_port
from tests.scripts.conftest import MOOR, wait_until
from tests.scripts.session.test_session_task import TASK
from tests.scripts.stage import OWNER_SECRET, USER_SECRET, definition

pytest_plugins = ["tests.scripts.conftest_served"]

SECONDS = 60
HOST, NAME = ("db.example.com", 5433), ("moorage", "verify-full")
DATABASE = Database(*HOST, "moorage_app", *NAME, USER_SECRET)
OWNER = Database(*HOST, "moorage", *NAME, OWNER_SECRET)
PLUGIN = """
import json, socket, sys
session, region, operation, profile, request, endpoint = sys.argv[1:]
parameters = json.loads(request)["Parameters"]
print("Starting session with SessionId", json.loads(session)["SessionId"], flush=True)
assert parameters["host"] == ["db.example.com"] and parameters["portNumber"] == ["5433"]
try:
    server = socket.create_server(("127.0.0.1", int(parameters["localPortNumber"][0])))
except OSError as error:
    sys.exit(f"listen tcp: {error.strerror}")
print("Waiting for connections...", flush=True)
while True:
    server.accept()[0].close()
"""
PSQL = """
import json, os, socket, sys
told = {name: value for name, value in os.environ.items() if name.startswith("PG")}
socket.create_connection((told["PGHOSTADDR"], int(told["PGPORT"])), 10).close()
print(json.dumps({"arguments": sys.argv[1:], "told": told}))
sys.exit(3)
"""


@pytest.fixture
def environ(tmp_path: Path, served: dict[str, str]) -> dict[str, str]:
    """With both on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, code in (("session-manager-plugin", PLUGIN), ("psql", PSQL)):
        script = tmp_path / f"{name}.py"
        script.write_text(code)
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {script} "$@"\n')
        program.chmod(0o755)
    path = os.environ["PATH"]  # noqa: TID251
    return {
        **served, "AWS_ENDPOINT_URL_SSM": served["AWS_ENDPOINT_URL_ECS"],
        "PATH": f"{folder}:{path}",
        "PGHOST": "a developer's own", "PGSERVICE": "another",
    }  # fmt: skip


def test_address_is_what_the_containers_are_told() -> None:
    for process in (ProcessName.WORKER, ProcessName.API):
        assert read_database(definition(process)) == DATABASE
        assert read_database(definition(process), as_owner=True) == OWNER


def test_a_stage_with_one_user_has_an_owner_alone() -> None:
    before = definition(ProcessName.WORKER, has_one_user=True)
    assert read_database(before) == read_database(before, as_owner=True) == OWNER


def test_the_owners_secret_is_found_by_its_arn() -> None:
    found = definition(ProcessName.WORKER)
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!cluster-1-abc"
    found["containerDefinitions"][0]["secrets"][0]["valueFrom"] = f"{arn}:password::"
    assert read_database(found, as_owner=True).secret_arn == arn


def test_certificate_is_held_against_the_databases_own_name_through_the_tunnel() -> None:
    told = environment(DATABASE, "s3cret", tunnel_port=6000)
    assert (told["PGHOST"], told["PGHOSTADDR"]) == ("db.example.com", "127.0.0.1")
    assert (told["PGPORT"], told["PGSSLMODE"]) == ("6000", "verify-full")
    assert "BEGIN CERTIFICATE" in Path(told["PGSSLROOTCERT"]).read_text()


def test_twins_database_is_reached_directly() -> None:
    told = environment(replace(DATABASE, host="127.0.0.1", sslmode="prefer"), "s3cret")
    assert (told["PGHOST"], told["PGPORT"], told["PGSSLMODE"]) == ("127.0.0.1", "5433", "prefer")
    assert "PGHOSTADDR" not in told


def test_tunnel_needs_a_task_with_exec() -> None:
    without = replace(TASK, has_exec=False)
    dev = Target(read_stage("dev"))
    assert with_exec([without, TASK], dev) == [TASK]
    with pytest.raises(RefusedError) as caught:
        with_exec([without], dev)
    assert "enable_exec = true" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "user", "password"),
    [([], "moorage_app", "s3cret"), (["--owner"], "moorage", "0wner")],
)
def test_psql_gets_the_password_by_its_environment_and_its_exit_code_is_passed_on(
    environ: dict[str, str], options: list[str], user: str, password: str
) -> None:
    result = subprocess.run(
        [*MOOR, "psql", *options, "--stage", "dev", "--", "-c", "SELECT 1"],
        cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    assert result.returncode == 3, result.stderr
    got = json.loads(result.stdout)
    assert got["arguments"] == ["-c", "SELECT 1"]
    assert (got["told"]["PGUSER"], got["told"]["PGPASSWORD"]) == (user, password)
    assert got["told"]["PGHOST"] == "db.example.com"
    assert "PGSERVICE" not in got["told"]
    assert password not in result.stderr


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_tunnel_stays_until_it_is_told_to_end(
    environ: dict[str, str], number: signal.Signals
) -> None:
    port = free_port()
    with subprocess.Popen(
        [*MOOR, "tunnel", "--port", str(port), "--stage", "dev"],
        cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        line = child.stdout.readline().strip()
        assert line == f"postgresql://moorage_app@127.0.0.1:{port}/moorage?sslmode=require"
        assert is_open(port)
        child.send_signal(number)
        assert child.wait(SECONDS) == 128 + number
    wait_until(lambda: not is_open(port), "the plugin has ended")


def test_port_that_is_taken_is_said_in_the_plugins_words(environ: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = subprocess.run(
            [*MOOR, "tunnel", "--port", port, "--stage", "dev"],
            cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=SECONDS,
        )  # fmt: skip
    assert result.returncode == 1
    assert "Address already in use" in result.stderr
    assert result.stdout == ""
