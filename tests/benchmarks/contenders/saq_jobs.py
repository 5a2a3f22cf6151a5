"""Many waiting jobs in `saq_jobs`, copied from those that the queue itself wrote."""

import asyncpg

DELAY_SECONDS = 86_400

HAS_UNFINISHED = (
    "SELECT EXISTS (SELECT FROM saq_jobs WHERE status = 'queued')"
    " OR EXISTS (SELECT FROM saq_jobs WHERE status = 'active')"
)
COPIED = """
SELECT string_agg(column_name, ', ') FROM information_schema.columns
WHERE table_name = 'saq_jobs' AND column_name NOT IN ('key', 'job')
  AND coalesce(column_default, '') NOT LIKE 'nextval%'
"""


async def multiply(dsn: str, *, due: int, delayed: int, key: str) -> None:
    """Copy the first job until `due` are due, and the last, if asked, until `delayed` are later.

    `key` is SQL for a new key.
    """
    connection = await asyncpg.connect(dsn, command_timeout=600)
    try:
        columns = await connection.fetchval(COPIED)
        for count, order in ((due, "ASC"), (delayed, "DESC")):
            await connection.execute(
                f"""
                INSERT INTO saq_jobs (key, job, {columns})
                SELECT n.key,
                       convert_to(replace(convert_from(job, 'UTF8'), j.key, n.key), 'UTF8'),
                       {columns}
                FROM (SELECT * FROM saq_jobs ORDER BY scheduled {order} LIMIT 1) j,
                     (SELECT {key}::text AS key FROM generate_series(2, {count}) OFFSET 0) n
                """
            )
    finally:
        await connection.close()
