"""The API as a process: how it stops, its connections, and slow clients."""

import asyncio
import concurrent.futures
import signal
import socket
import time
from typing import Any

import asyncpg
import httpx
import pytest

from tests.conftest import Processes, until
from tests.ports import free_port
from tests.service.api.api_process import Api, start_api

pytest_plugins = ["tests.service.api.conftest_api"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_api_is_gone_two_seconds_after_a_signal(
    processes: Processes, number: signal.Signals
) -> None:
    took = []
    for _ in range(3):  # where other tests keep the machine busy, one of them shows it
        api = start_api(processes)
        with api.client() as client:
            client.get("/health/ready")  # an idle connection that is kept alive must not delay it
            asked_at = time.monotonic()
            api.process.send_signal(number)
            assert api.process.wait(15) == 0
            took.append(time.monotonic() - asked_at)
        assert "Traceback" not in api.log()
        if took[-1] < 2:
            break
    assert min(took) < 2, took


def test_sigterm_during_the_start_ends_it_cleanly(processes: Processes) -> None:
    for delay in (0.7, 1.1):
        process = processes.start("api", API_PORT=str(free_port()))
        time.sleep(delay)
        process.terminate()
        # before Python has our handler, the signal itself ends the process
        assert process.wait(10) in {0, -signal.SIGTERM}
        assert "Traceback" not in processes.log(process)


async def test_a_request_in_flight_is_answered_after_sigterm(processes: Processes) -> None:
    api = start_api(processes)
    blocker = await asyncpg.connect(processes.dsn)
    try:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("LOCK TABLE saq_jobs")
        async with httpx.AsyncClient(base_url=api.url, timeout=20) as client:
            request = asyncio.create_task(client.get("/api/v1/jobs"))

            async def is_waiting() -> Any:
                return await blocker.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")

            await until(is_waiting, what="the request to wait for the lock")
            api.process.terminate()
            await asyncio.sleep(0.5)
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"{api.url}/health/live")
            assert api.process.poll() is None
            await transaction.rollback()
            assert (await request).status_code == 200
        assert api.process.wait(10) == 0
    finally:
        await blocker.close()


async def test_a_worker_inside_starts_no_job_after_sigterm(processes: Processes) -> None:
    api = start_api(processes, WORKER_MODE="in-process")
    with api.client() as client, socket.create_connection(("127.0.0.1", api.port)) as peer:
        peer.sendall(
            b"POST /notes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n"
            b"Content-Type: application/json\r\n\r\n"
        )
        await asyncio.sleep(0.2)
        client.post("/notes", json={"message": "a", "delay_seconds": 1})
        api.process.terminate()
        await asyncio.sleep(2.5)  # the request above is what the process still waits for
        assert api.process.poll() is None
        peer.sendall(b'{"message": "a"}')
        assert b" 202 " in peer.recv(1000)
    assert api.process.wait(10) == 0
    rows = api.sql("SELECT status, attempts FROM background_jobs WHERE task = 'keep_note'")
    assert [(row["status"], row["attempts"]) for row in rows] == [("queued", 0)] * 2


def test_requests_leave_no_connections_behind(processes: Processes) -> None:
    api = start_api(processes, DATABASE_POOL_SIZE="2", QUEUE_POOL_SIZE="3")
    with (
        api.client() as client,
        concurrent.futures.ThreadPoolExecutor(8) as threads,
    ):

        def ask(number: int) -> int:
            if number % 3:
                return client.post("/notes", json={"message": "a"}).status_code
            return client.get("/saq/api/queues" if number % 2 else "/health/ready").status_code

        assert set(threads.map(ask, range(240))) == {200, 202}
    (row,) = api.sql(
        "SELECT count(*) AS connections FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert 1 <= row["connections"] <= 5


def test_a_port_that_is_taken_ends_the_process_with_an_error(api: Api) -> None:
    second = api.processes.start("api", API_PORT=str(api.port))
    assert second.wait(20) != 0
    assert "address already in use" in api.processes.log(second)


def test_a_slow_head_does_not_hold_up_others(api: Api, http: httpx.Client) -> None:
    peers = [socket.create_connection(("127.0.0.1", api.port)) for _ in range(200)]
    try:
        for peer in peers:
            peer.sendall(b"GET /health/live HTTP/1.1\r\nHost: localho")
        started = time.monotonic()
        assert http.get("/health/live").status_code == 200
        assert time.monotonic() - started < 1
    finally:
        for peer in peers:
            peer.close()
