"""`make db`, `make api`, `make worker`, as their user meets them: processes, signals, the port."""

import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from scripts.host.environment import Environment
from tests.ports import free_port
from tests.scripts.conftest import Up, are_gone, await_gone, execute, wait_until

StartUp = Callable[..., Up]


@pytest.fixture(scope="module")
def running(project: Path, scratch: Path) -> Iterator[tuple[Up, Up]]:
    """An API and a worker on one folder, for the tests that only look at them."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder, ExitStack() as started:
        runs = []
        for part in ("api", "worker"):
            port, output = str(free_port()), Path(folder) / f"{part}.log"
            runs.append(Up(project, Path(folder) / "data", part, output, {"API_PORT": port}))
            started.callback(runs[-1].end)
        yield runs[0].await_up(), runs[1].await_up()


def test_api_and_worker_take_a_job_from_its_request_to_its_end(running: tuple[Up, Up]) -> None:
    api, worker = running

    job_key = api.ask("POST", "/notes", {"message": "hello"})["job_id"]

    path = f"/api/v1/jobs/{job_key}"
    wait_until(lambda: api.ask("GET", path)["status"] == "complete", "complete")
    wait_until(lambda: "worker" in worker.prefixes(), "its lines")


def test_the_api_prints_the_addresses_and_what_to_try(running: tuple[Up, Up]) -> None:
    api, _ = running

    url = f"http://localhost:{api.port}"
    wait_until(lambda: "<job_id>" in api.output, "the last line to try")
    lines = [line.split() for line in api.output.splitlines()]
    assert ["API", url] in lines
    assert ["Schema", f"{url}/schema"] in lines
    assert ["Console", f"{url}/console"] in lines
    (command,) = [" ".join(line) for line in lines if "-d" in line]
    assert command == (
        f"curl -s {url}/api/v1/jobs -H 'content-type: application/json'"
        """ -d '{"task": "keep_note", "payload": {"message": "hello"}}'"""
    )


def test_output_that_is_no_terminal_has_no_colours(running: tuple[Up, Up]) -> None:
    _, worker = running

    assert "worker  | " in worker.output
    assert "\x1b" not in worker.output


def test_the_terminals_ctrl_c_reaches_no_other_process(running: tuple[Up, Up]) -> None:
    for run in running:
        groups = {os.getpgid(process.pid) for process in run.started()}

        assert len(groups) >= 3  # its process, guard, Postgres
        assert run.pid not in groups


@pytest.mark.usefixtures("used_home")
@pytest.mark.parametrize(
    ("number", "part"),
    [(signal.SIGINT, "api"), (signal.SIGTERM, "db"), (signal.SIGHUP, "db")],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_no_process_is_left_after(number: signal.Signals, part: str, up: StartUp) -> None:
    run = up(part).await_up()
    started = run.started()

    run.signal_group(number)

    assert run.await_end() == 0
    assert len(started) >= (3 if part == "api" else 2)  # API, guard, Postgres
    await_gone(started)


@pytest.mark.usefixtures("used_home")
def test_ctrl_c_is_heeded_while_the_parts_start(up: StartUp) -> None:
    run = up("api")
    wait_until(lambda: "Postgres is running" in run.output, "Postgres is running")
    started = run.started()

    run.signal_group(signal.SIGINT)

    assert run.await_end() == 0
    await_gone(started)
    assert "Up in" not in run.output


def test_data_is_still_there_after_a_second_start(up: StartUp, home: Path) -> None:
    first = up("db").await_up()
    assert "Creating an empty database" in first.output
    execute(home, "CREATE TABLE yesterday AS SELECT 42 AS number")
    first.signal_group(signal.SIGINT)
    first.await_end()

    second = up("db").await_up()

    assert execute(home, "SELECT number FROM yesterday") == 42
    assert "Creating an empty database" not in second.output


@pytest.mark.usefixtures("used_home")
def test_a_busy_process_is_waited_for(up: StartUp) -> None:
    run = up("worker").await_up()
    worker = run.process("worker")
    worker.suspend()

    run.signal_group(signal.SIGINT)
    wait_until(lambda: "Stopping" in run.output, "stopping")
    assert not run.has_ended
    worker.resume()

    assert run.await_end() == 0
    assert "killed" not in run.output


@pytest.mark.usefixtures("used_home")
def test_a_process_that_does_not_stop_is_killed_and_named(up: StartUp) -> None:
    run = up("worker", DRAIN_SECONDS="0").await_up()
    worker = run.process("worker")
    worker.suspend()

    run.signal_group(signal.SIGINT)

    assert run.await_end() == 0
    assert "worker did not end within 5 s: killed" in run.output
    await_gone([worker])


@pytest.mark.usefixtures("used_home")
def test_a_second_ctrl_c_does_not_wait(up: StartUp) -> None:
    run = up("worker", DRAIN_SECONDS="100").await_up()
    started = run.started()
    run.process("worker").suspend()
    run.signal_group(signal.SIGINT)
    wait_until(lambda: "Stopping" in run.output, "stopping")

    run.signal_group(signal.SIGINT)

    assert run.await_end() == 130
    wait_until(lambda: are_gone(started), "all gone")


@pytest.mark.usefixtures("used_home")
def test_a_process_that_dies_is_named_and_ends_the_rest(up: StartUp) -> None:
    run = up("worker").await_up()
    started = run.started()

    run.process("worker").kill()

    assert run.await_end() == 1
    assert "worker was killed by SIGKILL" in run.output
    await_gone(started)


@pytest.mark.usefixtures("used_home")
def test_a_postgres_that_dies_is_reported(up: StartUp) -> None:
    run = up("db").await_up()

    psutil.Process(run.postmaster_pid).kill()

    assert run.await_end() == 1
    assert "Postgres has ended" in run.output


@pytest.mark.usefixtures("used_home")
def test_a_killed_command_takes_what_it_started_with_it(up: StartUp) -> None:
    run = up("worker").await_up()
    started = run.started()

    run.kill()

    wait_until(lambda: are_gone(started), "all gone")


def test_a_part_starts_again_at_once_after_it_was_killed(up: StartUp, used_home: Path) -> None:
    first = up("db").await_up()
    execute(used_home, "CREATE TABLE yesterday AS SELECT 42 AS number")
    first.kill()

    up("db").await_up()

    assert execute(used_home, "SELECT number FROM yesterday") == 42


def test_a_port_that_is_taken_is_named_before_anything_is_started(up: StartUp, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        run = up("api", API_PORT=str(port))
        status = run.await_end()

    assert status == 1
    assert f"cannot listen on 127.0.0.1:{port}" in run.output
    assert f"API_PORT={port + 1}" in run.output
    assert not (home / "postgres").exists()


def test_postgres_stays_for_as_long_as_one_uses_it(up: StartUp, used_home: Path) -> None:
    first = up("db").await_up()
    second = up("db").await_up()

    first.signal_group(signal.SIGINT)
    assert first.await_end() == 0
    assert "Postgres runs on for another" in first.output
    assert execute(used_home, "SELECT 42") == 42
    assert not second.has_ended

    second.signal_group(signal.SIGINT)
    assert second.await_end() == 0
    assert not (used_home / "postgres" / "postmaster.pid").exists()


def test_database_url_is_used_instead_of_the_embedded_server(
    up: StartUp, home: Path, empty_database: str
) -> None:
    run = up("worker", DATABASE_URL=empty_database).await_up()

    assert "applied queue/0001" in run.output
    assert not (home / "postgres").exists()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://me:s3cret@db.example.com/shop", "database shop on db.example.com:5432"),
        ("postgresql://me:s3cret@[::1]:6000/shop", "database shop on [::1]:6000"),
        ("postgresql://me:s3cret@a,b:6000/shop?sslmode=prefer", "database shop on a:5432,b:6000"),
        ("postgresql://me:s3cret@localhost", "the default database on localhost:5432"),
        ("postgresql://me@/shop?host=/run/pg&password=s3cret", "database shop on /run/pg"),
        ("postgresql://me:s3cret/1@localhost/shop", "the database"),
        ("postgresql://me:1#s3cret@localhost/shop", "the database"),
        ("postgresql://me:1?s3cret@localhost/shop", "the database"),
        ("postgresql://me:s3cret", "the database"),
        ("postgresql://me:[s3cret@localhost/shop", "the database"),
    ],
)
def test_the_database_that_is_used_is_named_without_its_password(url: str, words: str) -> None:
    assert Environment({"DATABASE_URL": url}, Path()).database == words


@pytest.mark.usefixtures("used_home")
def test_an_api_says_who_takes_jobs_and_with_which_key(up: StartUp, running: tuple[Up, Up]) -> None:
    key = "a-key-of-more-than-sixteen-letters"
    alone, _ = running
    both = up("api", API_KEY=key, WORKER_MODE="in-process").await_up()

    for api, is_asked, has_worker in ((alone, False, False), (both, True, True)):
        wait_until(lambda api=api: "<job_id>" in api.output, "the last line to try")  # type: ignore[misc]
        commands = [line for line in api.output.splitlines() if "curl" in line]
        assert len(commands) == 2
        assert [('-H "X-API-Key: $API_KEY"' in command) for command in commands] == [is_asked] * 2
        assert ("No worker runs yet" in api.output) == ("`make worker`" in api.output)
        assert ("No worker runs yet" in api.output) != has_worker
        assert key not in api.output


def test_a_database_out_of_reach_is_named_and_is_the_step_that_failed(up: StartUp) -> None:
    port = free_port()
    run = up("worker", DATABASE_URL=f"postgresql://me:s3cret@127.0.0.1:{port}/none")

    assert run.await_end() == 1
    assert f"Using database none on 127.0.0.1:{port}, as DATABASE_URL says" in run.output
    assert "the database could not be migrated" in run.output
    assert "s3cret" not in run.output


def test_an_address_that_can_never_be_used_ends_the_command_as_typed_wrongly(up: StartUp) -> None:
    run = up("worker", DATABASE_URL="postgresql://me:Sup3r?Secret@127.0.0.1/shop")

    assert run.await_end() == 2
    assert "DATABASE_URL: " in run.output
    assert "percent-encode" in run.output
    assert "Sup3r" not in run.output
    assert "Secret" not in run.output


def test_a_port_that_is_no_number_is_refused(up: StartUp) -> None:
    run = up("api", API_PORT="eight")

    assert run.await_end() == 1
    assert "API_PORT=eight" in run.output
    assert "Traceback" not in run.output
