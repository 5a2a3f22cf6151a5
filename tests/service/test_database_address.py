"""A database that can never be used is an error at the start, without its password."""

import asyncio

import asyncpg
import pytest

from service.db import QUEUE_SESSION, UnfitDatabaseError, check_database
from service.queue.postgres import postgres_queue as postgres
from service.queue.postgres.postgres_queue import PostgresQueue
from tests.conftest import Processes, exit_status, until
from tests.service.api.api_process import start_api
from tests.service.pooler import Pooler

PROCESSES = ("api", "worker", "migrate")


@pytest.mark.parametrize("process", PROCESSES)
async def test_a_password_that_is_not_encoded_ends_every_process_at_once(
    processes: Processes, process: str
) -> None:
    child = processes.start(process, DATABASE_URL="postgresql://u:Sup3r?Secret@127.0.0.1/x")
    assert await exit_status(child, 20) == 2
    said = processes.log(child)
    assert "DATABASE_URL: " in said
    assert "percent-encode" in said
    assert "Sup3r" not in said
    assert "Secret" not in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("options=-c%20moorage_nonsense%3D1", "moorage_nonsense"),
        ("options=-c%20work_mem%3Dmany", "work_mem"),
        ("role=nobody_of_that_name", "nobody_of_that_name"),
    ],
)
async def test_what_the_server_refuses_at_once_is_no_reason_to_wait(
    database: str, options: str, says: str
) -> None:
    with pytest.raises(UnfitDatabaseError, match=says):
        await check_database(f"{database}&{options}", None, QUEUE_SESSION)


async def test_a_server_without_tls_is_said_where_tls_is_asked_for() -> None:
    is_over = asyncio.Event()

    async def say_no(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)  # SSLRequest
        writer.write(b"N")
        await reader.read()
        writer.close()
        await writer.wait_closed()
        is_over.set()

    async with await asyncio.start_server(say_no, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UnfitDatabaseError, match="sslmode"):
            await check_database(f"postgresql://u@127.0.0.1:{port}/x?sslmode=require", None, {})
        await is_over.wait()


async def test_a_database_that_is_away_or_another_one_is_waited_for(database: str) -> None:
    await check_database("postgresql://u:p@127.0.0.1:1/x", None, QUEUE_SESSION)
    await check_database(database.replace("?", "_not_there?"), None, QUEUE_SESSION)
    await check_database(database, None, QUEUE_SESSION)


@pytest.mark.parametrize("process", PROCESSES)
async def test_a_pooler_of_transactions_is_said_at_the_start(
    processes: Processes, database: str, process: str
) -> None:
    async with Pooler(database) as pooler:
        child = processes.start(process, DATABASE_URL=pooler.dsn)
        assert await exit_status(child, 20) == 2
    said = processes.log(child)
    assert "DATABASE_URL: a pooler gives each transaction another connection" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("size", [1, 2, 5])
async def test_a_pooler_of_transactions_is_known_whatever_its_size(
    database: str, size: int
) -> None:
    async with Pooler(database, size) as pooler:
        with pytest.raises(UnfitDatabaseError, match="give the database's own address"):
            await check_database(pooler.dsn, None, QUEUE_SESSION)


async def test_an_api_whose_worker_cannot_renew_its_lease_is_not_ready(
    processes: Processes, database: str
) -> None:
    locker = await asyncpg.connect(database)
    try:
        async with locker.transaction():
            await locker.execute("LOCK TABLE queue_workers IN ACCESS EXCLUSIVE MODE")
            api = start_api(processes, WORKER_MODE="in-process")
            with api.client() as http:

                def says_why() -> bool:
                    answer = http.get("/health/ready")
                    assert answer.status_code == 503
                    return "lease" in answer.json()["parts"]["queue"]

                await until(says_why, what="the reason")
        with api.client() as http:
            await until(lambda: http.get("/health/ready").status_code == 200, what="ready")
    finally:
        await locker.close()


async def test_a_worker_whose_listen_is_dead_is_not_ready(
    queue: PostgresQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queue.ping()  # takes no jobs, so there is nothing to hear
    await queue.consumer.next_job(0.01)
    await until(lambda: queue.consumer.lease.seconds_since_beat() < 5, what="the first beat")
    await queue.ping()
    monkeypatch.setattr(postgres, "DEAF_SECONDS", -1.0)
    with pytest.raises(ConnectionError, match="LISTEN"):
        await queue.ping()
