"""Whether the narrow tables of the queue say what the rows of its jobs say."""

from typing import Any

# Each place of a job that there is and should not be, or should be and is not.
MISPLACED = """
WITH wanted AS (
    SELECT 'ready' AS place, queue, background_job_id AS id, priority, scheduled
    FROM saq_jobs WHERE status = 'queued' AND NOT is_delayed
    UNION ALL
    SELECT 'delayed', queue, background_job_id, 0, scheduled
    FROM saq_jobs WHERE status = 'queued' AND is_delayed
    UNION ALL
    SELECT 'claimed by ' || coalesce(owner, 'a stock worker'), queue, background_job_id, 0, 0
    FROM saq_jobs WHERE status IN ('active', 'aborting')
    UNION ALL
    SELECT 'in group ' || group_key, queue, background_job_id, 0, 0
    FROM saq_jobs WHERE status IN ('active', 'aborting') AND group_key IS NOT NULL
), found AS (
    SELECT 'ready' AS place, queue, id, priority, scheduled FROM queue_ready
    UNION ALL
    SELECT 'delayed', queue, id, 0, scheduled FROM queue_delayed
    UNION ALL
    SELECT 'claimed by ' || coalesce(nullif(c.owner, ''), 'a stock worker'), j.queue,
           j.background_job_id, 0, 0
    FROM queue_claims c JOIN saq_jobs j ON j.background_job_id = ANY (c.jobs) AND j.claim = c.id
    WHERE j.status IN ('active', 'aborting')
    UNION ALL
    SELECT 'in group ' || group_key, queue, id, 0, 0 FROM queue_groups
)
(SELECT 'missing' AS what, * FROM (SELECT * FROM wanted EXCEPT ALL SELECT * FROM found) AS missing)
UNION ALL
(SELECT 'left over', * FROM (SELECT * FROM found EXCEPT ALL SELECT * FROM wanted) AS left_over)
"""


async def misplaced(connection: Any) -> list[tuple[Any, ...]]:
    """Every difference: what, the place, the job's queue, number, priority and due time."""
    return [tuple(row) for row in await connection.fetch(MISPLACED)]
