"""Live and ready, also while the database is away."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import OwnServer, Processes, until
from tests.service.api.api_process import start_api

pytest_plugins = ["tests.service.api.conftest_api"]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that accepts connections and never sends a byte."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for peer in taken:
            peer.close()
        thread.join(5)


def test_ready_says_which_part_it_needs(http: httpx.Client) -> None:
    answer = http.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "parts": {"database": "ready", "queue": "ready"}}


async def test_without_its_database_the_api_lives_answers_503_and_recovers(
    project: Path, own_server: OwnServer, tmp_path: Path
) -> None:
    processes = Processes(project, own_server.dsn, tmp_path)
    try:
        own_server.stop()
        api = start_api(processes)
        with api.client() as http:
            assert http.get("/health/live").status_code == 200
            ready = http.get("/health/ready")
            assert ready.status_code == 503
            assert ready.json()["parts"].keys() == {"database", "queue"}
            assert ready.headers["Retry-After"]
            for answer in (
                http.post("/notes", json={"message": "a"}),
                http.post("/api/v1/jobs", json={"task": "hooked"}),
                http.get("/api/v1/jobs"),
                http.get("/api/v1/jobs/x"),
                http.post("/api/v1/jobs/x/cancel"),
                http.get("/api/v1/queues"),
                http.get("/saq/api/queues"),
            ):
                assert answer.status_code == 503, answer.text
                assert int(answer.headers["Retry-After"]) > 0
                assert answer.headers["Content-Type"] == "application/problem+json"

            own_server.start()
            await until(lambda: http.get("/health/ready").status_code == 200, what="ready")
            assert http.post("/notes", json={"message": "a"}).status_code == 202

            own_server.stop()
            assert http.get("/health/ready").status_code == 503
            assert http.post("/notes", json={"message": "a"}).status_code == 503
            own_server.start()
            await until(lambda: http.get("/health/ready").status_code == 200, what="ready again")
        assert "Traceback" not in api.log()
        assert all(json.loads(line) for line in api.log().splitlines())
    finally:
        processes.stop_all()


def test_ready_waits_for_the_migrations(project: Path, empty_database: str, tmp_path: Path) -> None:
    processes = Processes(project, empty_database, tmp_path)
    try:
        api = start_api(processes)
        with api.client() as http:
            ready = http.get("/health/ready")
            assert ready.status_code == 503
            assert ready.json()["parts"]["queue"] == "the migrations have not run"
            assert http.post("/notes", json={"message": "a"}).status_code == 503
            for columns in ("owner TEXT, version JSONB", "other INT"):
                api.sql(f"CREATE TABLE moorage_migrations ({columns})")
                ready = http.get("/health/ready")
                assert ready.status_code == 503
                assert ready.json()["parts"]["queue"].endswith("is another program's")
                api.sql("DROP TABLE moorage_migrations")
            api.sql("CREATE TABLE moorage_migrations AS SELECT 'queue' AS owner, 1 AS version")
            said = http.get("/health/ready").json()["parts"]["queue"]
            assert said.startswith("migrations have not run: ")
            assert "queue/0002" in said
    finally:
        processes.stop_all()


def test_a_database_that_takes_no_writes_is_not_ready(processes: Processes) -> None:
    api = start_api(processes)
    name = api.sql("SELECT current_database() AS name")[0]["name"]
    api.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    # what is connected already keeps its setting
    api.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with api.client() as http:
        ready = http.get("/health/ready")
        assert ready.status_code == 503
        assert set(ready.json()["parts"].values()) == {"read-only"}
        assert http.post("/notes", json={"message": "a"}).status_code == 503


def test_ready_answers_in_three_seconds_when_the_database_is_mute(
    project: Path, silent_port: int, tmp_path: Path
) -> None:
    processes = Processes(project, f"postgresql://u:p@127.0.0.1:{silent_port}/x", tmp_path)
    try:
        with start_api(processes).client() as http:
            started = time.monotonic()
            assert http.get("/health/ready").status_code == 503
            assert time.monotonic() - started < 3
            assert http.get("/health/live").status_code == 200
    finally:
        processes.stop_all()


def test_health_is_logged_only_when_it_failed(processes: Processes) -> None:
    api = start_api(processes)
    with api.client() as http:
        http.get("/health/live")
        http.get("/health/ready")
        assert "/health/" not in api.log()
        http.post("/health/live")
        assert "/health/ready" not in api.log_with('"/health/live"')
