"""The engine's SQL. Each change of a job names the state it expects: a late one changes nothing.

Due times, leases and expiry are decided by the database's clock alone.
"""

NOW = "floor(extract(epoch FROM clock_timestamp()))::bigint"
ENDED = "('complete', 'failed', 'aborted')"
CRASHES_MAX = 3  # workers a job may kill before it is failed for good
SETTLE_IN_SECONDS = 12
KEEP_FAILED_SECONDS = 14 * 24 * 3600  # failed and aborted jobs stay at least this long
HISTORY_DAYS = 90
PRUNE_ROWS = 1000
COUNT_MAX = 100_000  # counting further would cost the database more than the figure is worth

# $1 keys, $2 blobs, $3 priorities, $4 groups, $5 due times (0: now), $6 tasks, $7 queue,
# $8 channel.
# A key that waits or runs is left alone; one that has ended starts a new job.
ENQUEUE = f"""
WITH put AS (
    INSERT INTO saq_jobs AS j (key, job, queue, status, priority, group_key, scheduled, task)
    SELECT n.key, n.job, $7, 'queued', n.priority, n.group_key,
           CASE WHEN n.scheduled = 0 THEN {NOW} ELSE n.scheduled END, n.task
    FROM unnest($1::text[], $2::bytea[], $3::smallint[], $4::text[], $5::bigint[], $6::text[])
         AS n (key, job, priority, group_key, scheduled, task)
    ON CONFLICT (key) DO UPDATE
    SET job = excluded.job, status = 'queued', priority = excluded.priority,
        group_key = excluded.group_key, scheduled = excluded.scheduled, task = excluded.task,
        background_job_id = excluded.background_job_id,
        lease = j.lease + 1, owner = NULL, attempts = 0, crashes = 0, started_at = NULL,
        progress = 0, error = NULL, expire_at = NULL
    WHERE j.status IN {ENDED} AND j.queue = excluded.queue
    RETURNING j.key
), told AS (SELECT pg_notify($8, 'saq:enqueue') WHERE EXISTS (SELECT FROM put))
SELECT key, (SELECT count(*) FROM told) FROM put
"""

# $1 key, $2 blob, $3 queue, $4 priority, $5 due time, $6 task: one tick of a schedule, for good:
# an ended tick is not started again by a worker whose clock is behind.
ENQUEUE_ONCE = """
INSERT INTO saq_jobs (key, job, queue, status, priority, scheduled, task)
VALUES ($1, $2, $3, 'queued', $4, $5, $6)
ON CONFLICT (key) DO NOTHING
"""

# $1 queue, $2 how many, $3 owner
CLAIM = f"""
WITH due AS MATERIALIZED (
    SELECT w.key FROM saq_jobs w
    WHERE w.status = 'queued' AND w.queue = $1 AND w.scheduled <= {NOW}
      AND (w.group_key IS NULL OR NOT EXISTS (
          SELECT FROM saq_jobs a
          WHERE a.status IN ('active', 'aborting') AND a.queue = $1 AND a.group_key = w.group_key))
    ORDER BY w.priority, w.scheduled
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
UPDATE saq_jobs j
SET status = 'active', owner = $3, lease = j.lease + 1, attempts = j.attempts + 1,
    started_at = clock_timestamp(), progress = 0
FROM due WHERE j.key = due.key
RETURNING j.key, j.job, j.status, j.lease, j.attempts, j.crashes, j.progress, j.error,
          j.started_at, j.scheduled, j.priority, j.owner
"""

# $1 queue; seconds until the next waiting job is due, NULL where none waits
NEXT_DUE = """
SELECT min(scheduled) - extract(epoch FROM clock_timestamp())::float8 AS seconds
FROM saq_jobs WHERE status = 'queued' AND queue = $1
"""

# What a worker decides about jobs it holds: finish, queue again, hand back. $1 keys, $2 leases,
# $3 statuses, $4 errors, $5 blob endings (NULL leaves the blob as it is), $6 delays in seconds
# before a retry, $7 attempts to give back, $8 ttls. Answers the keys that were still held.
SETTLE = f"""
UPDATE saq_jobs j
SET status = d.final,
    error = CASE WHEN d.final = 'aborted' THEN coalesce(j.error, d.error) ELSE d.error END,
    job = CASE WHEN d.ending IS NULL THEN j.job
               ELSE substring(j.job FROM 1 FOR octet_length(j.job) - 1) || d.ending END,
    scheduled = CASE WHEN d.final = 'queued' AND d.delay > 0
                     THEN ceil(extract(epoch FROM clock_timestamp()) + d.delay)::bigint
                     ELSE j.scheduled END,
    progress = CASE d.final WHEN 'complete' THEN 1 ELSE j.progress END,
    attempts = j.attempts - d.refund,
    owner = NULL,
    expire_at = CASE WHEN d.final IN ('failed', 'aborted')
                     THEN {NOW} + greatest(d.ttl, {KEEP_FAILED_SECONDS})
                     WHEN d.final = 'complete' THEN {NOW} + d.ttl END
FROM (
    SELECT n.*, CASE WHEN n.status = 'queued' AND h.status = 'aborting' THEN 'aborted'
                     ELSE n.status END AS final
    FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bytea[], $6::float8[],
                $7::int[], $8::bigint[])
         AS n (key, lease, status, error, ending, delay, refund, ttl)
    JOIN saq_jobs h USING (key)
    WHERE h.lease = n.lease AND h.status IN ('active', 'aborting')
    ORDER BY n.key
    FOR UPDATE OF h
) d
WHERE j.key = d.key
RETURNING j.key
"""

# $1 key, $2 queue, $3 error: an operator's decision. A running job is asked to stop.
ABORT = f"""
UPDATE saq_jobs
SET status = CASE status WHEN 'active' THEN 'aborting' ELSE 'aborted' END,
    error = $3,
    expire_at = CASE status WHEN 'active' THEN NULL ELSE {NOW} + {KEEP_FAILED_SECONDS} END
WHERE key = $1 AND queue = $2 AND status IN ('new', 'queued', 'active')
RETURNING status
"""

# $1 key, $2 queue: ended jobs only, with all their attempts again
RETRY_ENDED = f"""
UPDATE saq_jobs
SET status = 'queued', attempts = 0, crashes = 0, error = NULL, owner = NULL, lease = lease + 1,
    started_at = NULL, progress = 0, expire_at = NULL, scheduled = {NOW}
WHERE key = $1 AND queue = $2 AND status IN {ENDED}
RETURNING status
"""

# $1 queue, $2 owner: what this worker runs and somebody wants stopped
ABORTING = "SELECT key FROM saq_jobs WHERE queue = $1 AND owner = $2 AND status = 'aborting'"

# $1 owner, $2 queue, $3 seconds
BEAT = """
INSERT INTO queue_workers (id, queue, expires_at)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at
"""

LEAVE = "DELETE FROM queue_workers WHERE id = $1"

# $1 queue, $2 channel: every job whose worker's lease has run out, in one statement. A crash costs
# no attempt, so a job that kills its worker is stopped by its crashes.
RECOVER = f"""
WITH lost AS (
    SELECT j.key FROM saq_jobs j
    WHERE j.queue = $1 AND j.status IN ('active', 'aborting') AND j.owner IS NOT NULL
      -- after a restart of the database every worker gets time to beat again
      AND pg_postmaster_start_time() < clock_timestamp() - interval '{SETTLE_IN_SECONDS} s'
      AND NOT EXISTS (SELECT FROM queue_workers w
                      WHERE w.id = j.owner AND w.expires_at > clock_timestamp())
    FOR UPDATE SKIP LOCKED
), back AS (
    UPDATE saq_jobs j
    SET status = CASE WHEN j.status = 'aborting' THEN 'aborted'
                      WHEN j.crashes + 1 >= {CRASHES_MAX} THEN 'failed' ELSE 'queued' END,
        error = CASE WHEN j.status = 'aborting' THEN j.error
                     WHEN j.crashes + 1 >= {CRASHES_MAX}
                     THEN 'its worker died ' || j.crashes + 1 || ' times while running it'
                     ELSE 'its worker died while running it' END,
        expire_at = CASE WHEN j.status = 'aborting' OR j.crashes + 1 >= {CRASHES_MAX}
                         THEN {NOW} + {KEEP_FAILED_SECONDS} END,
        crashes = j.crashes + 1,
        attempts = greatest(j.attempts - 1, 0),
        owner = NULL,
        lease = j.lease + 1
    FROM lost WHERE j.key = lost.key
    RETURNING j.key, j.status
), told AS (SELECT pg_notify($2, 'saq:enqueue') WHERE EXISTS (SELECT FROM back))
SELECT key, status, (SELECT count(*) FROM told) FROM back
"""

# What has ended and is past its time, a few rows at once so that no statement holds the table.
PRUNE_JOBS = f"""
DELETE FROM saq_jobs WHERE key IN (
    SELECT key FROM saq_jobs WHERE status IN {ENDED} AND expire_at <= {NOW}
    LIMIT {PRUNE_ROWS} FOR UPDATE SKIP LOCKED)
RETURNING 1
"""
PRUNE_HISTORY = f"""
DELETE FROM background_jobs WHERE id IN (
    SELECT id FROM background_jobs WHERE finished_at < now() - interval '{HISTORY_DAYS} days'
    LIMIT {PRUNE_ROWS} FOR UPDATE SKIP LOCKED)
RETURNING 1
"""
PRUNE_WORKERS = """
DELETE FROM queue_workers WHERE expires_at < clock_timestamp() - interval '1 hour' RETURNING 1
"""
PRUNE_STATS = f"DELETE FROM saq_stats WHERE expire_at < {NOW} RETURNING 1"

JOB_COLUMNS = (
    "key, job, status, lease, attempts, crashes, progress, error, started_at, scheduled, priority,"
    " owner"
)
GET = f"SELECT {JOB_COLUMNS} FROM saq_jobs WHERE queue = $1 AND key = ANY($2::text[])"
STATUS = "SELECT status FROM saq_jobs WHERE queue = $1 AND key = $2"
ITERATE = f"""
SELECT {JOB_COLUMNS} FROM saq_jobs
WHERE queue = $1 AND status = ANY($2::text[]) AND key > $3 ORDER BY key LIMIT $4
"""

# The job page: what runs, what is next, what failed last. $1 queue, $2 rows of each, $3 offset.
PAGE = f"""
(SELECT {JOB_COLUMNS} FROM saq_jobs WHERE queue = $1 AND status IN ('active', 'aborting')
 ORDER BY key LIMIT $2 OFFSET $3)
UNION ALL
(SELECT {JOB_COLUMNS} FROM saq_jobs WHERE queue = $1 AND status = 'queued'
 ORDER BY priority, scheduled LIMIT $2 OFFSET $3)
UNION ALL
(SELECT {JOB_COLUMNS} FROM saq_jobs WHERE queue = $1 AND status IN ('failed', 'aborted')
 ORDER BY expire_at DESC LIMIT $2 OFFSET $3)
"""

STATS = f"""
SELECT
    (SELECT count(*) FROM (SELECT FROM saq_jobs WHERE status = 'queued' AND queue = $1
                           AND scheduled <= {NOW} LIMIT {COUNT_MAX}) AS due) AS queued,
    (SELECT count(*) FROM (SELECT FROM saq_jobs WHERE status = 'queued' AND queue = $1
                           AND scheduled > {NOW} LIMIT {COUNT_MAX}) AS later) AS scheduled,
    (SELECT count(*) FROM saq_jobs
     WHERE queue = $1 AND status IN ('active', 'aborting')) AS active,
    (SELECT count(*) FROM (SELECT FROM saq_jobs WHERE queue = $1 AND status = 'failed'
                           LIMIT {COUNT_MAX}) AS bad) AS failed,
    (SELECT count(*) FROM queue_workers
     WHERE queue = $1 AND expires_at > clock_timestamp()) AS workers,
    coalesce((SELECT greatest(extract(epoch FROM clock_timestamp()) - min(scheduled), 0)
              FROM saq_jobs WHERE status = 'queued' AND queue = $1), 0)::float8
        AS oldest_due_seconds
"""

WORKERS = f"""
SELECT worker_id, stats, metadata FROM saq_stats WHERE queue_key = $1 AND expire_at >= {NOW}
"""
WRITE_WORKER = f"""
INSERT INTO saq_stats (worker_id, stats, queue_key, metadata, expire_at)
VALUES ($1, $2::jsonb, $3, $4::jsonb, {NOW} + $5)
ON CONFLICT (worker_id) DO UPDATE
SET stats = excluded.stats, queue_key = excluded.queue_key, metadata = excluded.metadata,
    expire_at = excluded.expire_at
"""

# A task reports its progress, or changes its meta. $1 key, $2 lease, $3 progress, $4 blob or NULL
UPDATE_HELD = """
UPDATE saq_jobs SET progress = $3, job = coalesce($4, job)
WHERE key = $1 AND lease = $2 AND status IN ('active', 'aborting')
"""
UPDATE_WAITING = """
UPDATE saq_jobs SET job = $3, scheduled = CASE WHEN $4 = 0 THEN scheduled ELSE $4 END
WHERE key = $1 AND queue = $2 AND status = 'queued'
"""
