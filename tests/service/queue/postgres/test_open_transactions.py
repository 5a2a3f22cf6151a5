"""A caller's open transaction, and what it must not block."""

import asyncio

import asyncpg
from saq import Status

from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.tables.job_history import find_job
from tests.service.conftest import Ledger, claim, put


async def test_job_exists_if_and_only_if_the_callers_transaction_commits(
    queue: PostgresQueue, database: str
) -> None:
    connection = await asyncpg.connect(database)
    try:
        transaction = connection.transaction()
        await transaction.start()
        rolled_back = await queue.enqueue("sleep", seconds=0, connection=connection)
        await transaction.rollback()
        assert rolled_back is not None
        assert await queue.job(rolled_back.key) is None
        assert await find_job(queue.pool, queue.name, rolled_back.key) is None
        async with connection.transaction():
            committed = await queue.enqueue("sleep", seconds=0, connection=connection)
        assert committed is not None
        assert (await claim(queue)).key == committed.key
    finally:
        await connection.close()


async def test_open_transaction_on_one_key_keeps_no_other_job_waiting_for_long(
    queue: PostgresQueue, database: str
) -> None:
    connection = await asyncpg.connect(database)
    try:
        async with connection.transaction():
            await queue.enqueue("sleep", seconds=0, key="theirs", connection=connection)
            async with asyncio.timeout(4):
                answers = await asyncio.gather(
                    *(put(queue) for _ in range(5)),
                    queue.enqueue("sleep", seconds=0, key="theirs"),
                    *(put(queue) for _ in range(5)),
                    return_exceptions=True,
                )
            failed = [answer for answer in answers if isinstance(answer, BaseException)]
            assert [type(error) for error in failed] == [asyncpg.LockNotAvailableError]
    finally:
        await connection.close()


async def test_locked_row_keeps_no_other_outcome_from_being_written(
    queue: PostgresQueue, database: str, ledger: Ledger
) -> None:
    jobs = [await put(queue) for _ in range(8)]
    held = [await claim(queue) for _ in jobs]
    connection = await asyncpg.connect(database)
    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM saq_jobs WHERE key = $1 FOR UPDATE", held[0].key)
            outcomes = [
                asyncio.create_task(queue.finish(job, Status.COMPLETE, result=None)) for job in held
            ]
            async with asyncio.timeout(4):
                await asyncio.gather(*outcomes[1:])
            assert not outcomes[0].done()
        await outcomes[0]
        assert await ledger.status(held[0].key) == "complete"
    finally:
        await connection.close()
