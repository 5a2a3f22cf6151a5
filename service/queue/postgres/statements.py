"""The engine's SQL. Each change of a job names the state it expects, so a late one has no effect.

Due times, leases and expiry follow the database's clock only.
"""

from service.queue.job import CRASHES_MAX, DIED, KEEP_FAILED_SECONDS
from service.queue.tables.table_statements import COUNT_MAX, PRUNE_ROWS

# Not clock_timestamp(): it changes within a statement, so no index can be used with it.
NOW = "floor(extract(epoch FROM statement_timestamp()))::bigint"
ENDED = "('complete', 'failed', 'aborted')"
BAD = "('failed', 'aborted')"
# For statements that name a key. With `status IN (…)` the planner may scan a whole partial index,
# because old statistics make it look small; NOT IN matches no such index.
IS_HELD = "status NOT IN ('new', 'queued', 'complete', 'failed', 'aborted')"
IS_ENDED = "status NOT IN ('new', 'queued', 'active', 'aborting')"
# A worker runs one job with so many crashes at a time: if it dies again, this job was the cause,
# and jobs that only ran beside it do not fail with it.
SUSPECT_CRASHES = CRASHES_MAX - 1
PROMOTE_ROWS = 1000

JOB_COLUMNS = (
    "j.key, j.job, j.status, j.lease, j.attempts, j.crashes, j.progress, j.error, j.started_at,"
    " j.scheduled, j.priority, j.owner, j.claim"
)

# The jobs that run: those of the claims, and of these the ones that their claim has started last.
# `+ 0`, so that the planner does not look up the claim of each job instead.
HELD = """queue_claims c JOIN saq_jobs j ON j.background_job_id = ANY (c.jobs)
    WHERE j.claim = c.id + 0 AND j.status IN ('active', 'aborting')"""

# What `wake_workers` sends to one worker. One of the first release hears only the channel of its
# queue.
WAKE = "moorage:wake"

# $1 keys, $2 blobs, $3 priorities, $4 groups, $5 due times (0: now), $6 tasks, $7 queue,
# $8 channel, $9 notify even if no worker waits. $3, $4 and $5 may be empty where no job has any.
# A key that waits or runs does not change; a key that has ended becomes a new job.
ENQUEUE = f"""
WITH put AS (
    INSERT INTO saq_jobs AS j
        (key, job, queue, status, priority, group_key, scheduled, is_delayed, task, created_at)
    SELECT n.key, n.job, $7, 'queued', coalesce(n.priority, 0), n.group_key,
           CASE WHEN coalesce(n.scheduled, 0) = 0 THEN {NOW} ELSE n.scheduled END,
           coalesce(n.scheduled > {NOW}, FALSE), n.task, now()
    FROM unnest($1::text[], $2::bytea[], $3::smallint[], $4::text[], $5::bigint[], $6::text[])
         AS n (key, job, priority, group_key, scheduled, task)
    ON CONFLICT (key) DO UPDATE
    SET job = excluded.job, status = 'queued', priority = excluded.priority,
        group_key = excluded.group_key, scheduled = excluded.scheduled,
        is_delayed = excluded.is_delayed, task = excluded.task,
        background_job_id = excluded.background_job_id, created_at = excluded.created_at,
        lease = j.lease + 1, owner = NULL, attempts = 0, crashes = 0, started_at = NULL,
        progress = 0, error = NULL, expire_at = NULL, worker_id = NULL, finished_at = NULL,
        is_bad = FALSE
    WHERE j.status IN {ENDED} AND j.queue = excluded.queue
    RETURNING j.key, j.is_delayed
)
SELECT key, CASE WHEN $9 OR EXISTS (SELECT FROM queue_workers WHERE is_waiting) THEN (
    SELECT announce_jobs($7, $8, count(*) FILTER (WHERE NOT is_delayed),
                         count(*) FILTER (WHERE is_delayed), $9) FROM put) END
FROM put
"""

# The same, where jobs are enqueued by other ones: $10 has the key of the parent under that of the
# child. JSON, because its names are looked up by halves, where an array's would be read one by one.
ENQUEUE_CHILDREN = ENQUEUE.replace(
    "RETURNING j.key, j.is_delayed\n)",
    """RETURNING j.key, j.is_delayed, j.background_job_id
), kept AS (
    INSERT INTO job_children (child, parent)
    SELECT background_job_id, $10::jsonb ->> key FROM put WHERE $10::jsonb ? key
)""",
)

# $1 owner, $2 queues: this worker was woken and cannot take all that is due. It does not count as
# waiting any more, and another one is woken.
WAKE_ANOTHER = """
WITH own AS (
    UPDATE queue_workers SET is_waiting = FALSE WHERE id = $1 AND is_waiting
)
SELECT wake_workers(q.name, 1, $1) FROM unnest($2::text[]) AS q (name)
"""

# $1 queues: makes delayed jobs that are due claimable. Returns how many, and the seconds until the
# next one is due, NULL where none waits.
PROMOTE = f"""
WITH due AS (
    SELECT found.id FROM unnest($1::text[]) AS q (name),
    LATERAL (SELECT d.id FROM queue_delayed d JOIN saq_jobs j ON j.background_job_id = d.id
             WHERE d.queue = q.name AND d.scheduled <= {NOW}
               AND j.status = 'queued' AND j.is_delayed AND j.scheduled = d.scheduled
             ORDER BY d.scheduled LIMIT {PROMOTE_ROWS} FOR UPDATE OF j SKIP LOCKED) AS found
), moved AS (
    UPDATE saq_jobs j SET is_delayed = FALSE FROM due WHERE j.background_job_id = due.id RETURNING 1
)
SELECT (SELECT count(*) FROM moved) AS moved,
       (SELECT min(later.scheduled) - extract(epoch FROM clock_timestamp())::float8
        FROM unnest($1::text[]) AS q (name),
        LATERAL (SELECT scheduled FROM queue_delayed
                 WHERE queue = q.name AND scheduled > {NOW}
                 ORDER BY scheduled LIMIT 1) AS later) AS seconds
"""

# Writes the outcomes of held jobs: ended, retried or handed back. $1 keys, $2 leases, $3 statuses,
# $4 errors, $5 blob endings (NULL leaves the blob as it is), $6 delays in seconds before a retry,
# $7 attempts that do not count, $8 ttls. Where no job has any, $4, $6 and $7 may be empty. Returns
# the keys that were still held.
WRITE_OUTCOMES = f"""
UPDATE saq_jobs j
SET status = CASE WHEN d.status = 'queued' AND j.status = 'aborting' THEN 'aborted'
                  ELSE d.status END,
    error = CASE WHEN j.status = 'aborting' AND d.status IN ('queued', 'aborted')
                 THEN coalesce(j.error, d.error) ELSE d.error END,
    job = CASE WHEN d.ending IS NULL THEN j.job
               WHEN get_byte(d.ending, 0) = 123 THEN d.ending -- an opening brace: the whole blob
               ELSE substring(j.job FROM 1 FOR octet_length(j.job) - 1) || d.ending END,
    scheduled = CASE WHEN d.delay > 0
                     THEN ceil(extract(epoch FROM clock_timestamp()) + d.delay)::bigint
                     ELSE j.scheduled END,
    is_delayed = coalesce(d.delay > 0, FALSE),
    progress = CASE d.status WHEN 'complete' THEN 1 ELSE j.progress END,
    attempts = j.attempts - coalesce(d.refund, 0),
    owner = NULL,
    claim = CASE WHEN d.status = 'queued' OR j.claim < 0 THEN j.claim END,
    worker_id = j.owner,
    finished_at = CASE WHEN d.status <> 'queued' OR j.status = 'aborting' THEN now() END,
    is_bad = d.status IN {BAD} OR d.status = 'queued' AND j.status = 'aborting',
    expire_at = CASE WHEN d.ttl = 0 OR d.status = 'queued' AND j.status = 'active' THEN NULL
                     WHEN d.status = 'complete' OR d.ttl < 0 THEN {NOW} + greatest(d.ttl, 0)
                     ELSE {NOW} + greatest(d.ttl, {KEEP_FAILED_SECONDS}) END
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bytea[], $6::float8[],
            $7::int[], $8::bigint[])
     AS d (key, lease, status, error, ending, delay, refund, ttl)
WHERE j.key = d.key AND j.lease = d.lease AND j.owner IS NOT NULL AND j.{IS_HELD}
RETURNING j.key
"""

# $1 key, $2 queue, $3 error: an operator aborts a job. A running one becomes `aborting`, and its
# worker stops it.
ABORT = f"""
UPDATE saq_jobs
SET status = CASE status WHEN 'active' THEN 'aborting' ELSE 'aborted' END,
    error = $3,
    expire_at = CASE status WHEN 'active' THEN NULL ELSE {NOW} + {KEEP_FAILED_SECONDS} END,
    finished_at = CASE status WHEN 'active' THEN NULL ELSE now() END,
    is_bad = status <> 'active'
WHERE key = $1 AND queue = $2 AND status NOT IN ('aborting', 'complete', 'failed', 'aborted')
RETURNING status
"""

# $1 key, $2 queue, $3 blob without the end of the last run: queues an ended job again, with all its
# attempts.
RETRY_ENDED = f"""
UPDATE saq_jobs
SET job = $3, status = 'queued', attempts = 0, crashes = 0, error = NULL, owner = NULL,
    lease = lease + 1, progress = 0, expire_at = NULL, scheduled = {NOW}, is_delayed = FALSE,
    finished_at = NULL, is_bad = FALSE
WHERE key = $1 AND queue = $2 AND {IS_ENDED}
RETURNING status
"""

# $1 queues, $2 owner: the rows that name this worker as their owner
OWNED = f"""
SELECT j.key, j.status, j.lease, j.error FROM {HELD}
  AND c.owner = $2 AND j.owner = $2 AND j.queue = ANY ($1::text[])
"""

# $1 owner, $2 queues, $3 seconds: rescues every job whose worker's lease has expired, also those of
# queues that this worker does not serve: it may be the only one left. A crash costs no attempt; a
# job that kills its workers is stopped by its number of crashes. Whether this worker may rescue is
# decided here, by the database's clock: the statement may arrive late.
RESCUE = f"""
WITH lost AS (
    SELECT j.key FROM {HELD}
      AND c.owner <> $1 AND j.owner = c.owner AND j.queue = ANY ($2::text[])
      AND NOT EXISTS (SELECT FROM queue_workers w
                      WHERE w.id = c.owner AND w.expires_at > clock_timestamp())
      AND EXISTS (SELECT FROM queue_workers w
                  WHERE w.id = $1 AND w.expires_at > clock_timestamp()
                    AND w.steady_since < clock_timestamp() - make_interval(secs => $3))
      -- after a restart of the database every worker gets time to renew again
      AND pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => $3)
    FOR UPDATE OF j SKIP LOCKED
), back AS (
    UPDATE saq_jobs j
    SET status = CASE WHEN j.status = 'aborting' THEN 'aborted'
                      WHEN j.crashes + 1 >= {CRASHES_MAX} THEN 'failed' ELSE 'queued' END,
        error = CASE WHEN j.status = 'aborting' THEN j.error
                     WHEN j.crashes + 1 >= {CRASHES_MAX}
                     THEN '{DIED} ' || j.crashes + 1 || ' times while running it'
                     ELSE 'its worker died while running it' END,
        expire_at = CASE WHEN j.status = 'aborting' OR j.crashes + 1 >= {CRASHES_MAX}
                         THEN {NOW} + {KEEP_FAILED_SECONDS} END,
        job = CASE WHEN j.status = 'aborting'
                   THEN saq_job_with(j.job, saq_job_ending('aborted', j.error))
                   WHEN j.crashes + 1 >= {CRASHES_MAX}
                   THEN saq_job_with(j.job, saq_job_ending('failed', '{DIED} '
                                     || j.crashes + 1 || ' times while running it'))
                   ELSE j.job END,
        crashes = j.crashes + 1,
        attempts = greatest(j.attempts - 1, 0),
        owner = NULL,
        worker_id = j.owner,
        finished_at = CASE WHEN j.status = 'aborting' OR j.crashes + 1 >= {CRASHES_MAX}
                           THEN now() END,
        is_bad = j.status = 'aborting' OR j.crashes + 1 >= {CRASHES_MAX},
        lease = j.lease + 1
    FROM lost WHERE j.key = lost.key
    RETURNING j.key, j.status, j.queue
), notified AS (
    SELECT pg_notify('saq:' || queue, 'saq:enqueue') FROM (SELECT DISTINCT queue FROM back) AS q
)
SELECT key, status, (SELECT count(*) FROM notified) FROM back
"""

# $1 owner, $2 its release, $3 seconds: records the release, and returns whether a worker of another
# release has started after this worker and lived for $3.
IS_SUPERSEDED = """
WITH noted AS (
    UPDATE queue_workers SET release = $2 WHERE id = $1 AND release IS DISTINCT FROM $2
)
SELECT EXISTS (
    SELECT FROM queue_workers other
    JOIN queue_workers own ON own.queue = other.queue AND own.pool = other.pool
    WHERE own.id = $1 AND other.release <> $2 AND other.expires_at > clock_timestamp()
      AND other.started_at > own.started_at
      AND other.started_at < clock_timestamp() - make_interval(secs => $3)) AS is_superseded
"""

# $1 queues: queues jobs of a stock SAQ worker again that are a minute past their timeout: without
# another such worker nobody else would. A job without a timeout may still run, so it stays.
RESCUE_FROM_STOCK = f"""
WITH stuck AS (
    SELECT j.key FROM {HELD}
      AND c.owner = '' AND j.owner IS NULL AND j.queue = ANY ($1::text[])
      AND saq_job_deadline(j.job) < {NOW} - 60
    LIMIT {PRUNE_ROWS} FOR UPDATE OF j SKIP LOCKED
)
UPDATE saq_jobs j
SET status = CASE j.status WHEN 'aborting' THEN 'aborted' ELSE 'queued' END,
    error = coalesce(j.error, 'its worker died while running it'), lease = j.lease + 1,
    expire_at = CASE j.status WHEN 'aborting' THEN {NOW} + {KEEP_FAILED_SECONDS} END,
    finished_at = CASE j.status WHEN 'aborting' THEN now() END, is_bad = j.status = 'aborting'
FROM stuck WHERE j.key = stuck.key
RETURNING j.key, j.status
"""

GET = f"""
SELECT {JOB_COLUMNS}, j.queue FROM saq_jobs j
WHERE queue = ANY ($1::text[]) AND key = ANY ($2::text[])
"""
STATUS = "SELECT status FROM saq_jobs WHERE queue = $1 AND key = $2"
ITERATE = f"""
SELECT {JOB_COLUMNS} FROM saq_jobs j
WHERE queue = $1 AND status = ANY($2::text[]) AND key > $3 ORDER BY key LIMIT $4
"""

# SAQ's job page: the jobs that run, that are next, and that failed last. $1 queue, $2 rows of each
# kind, $3 offset.
PAGE = f"""
(WITH held AS MATERIALIZED (SELECT {JOB_COLUMNS} FROM {HELD} AND j.queue = $1)
 SELECT * FROM held ORDER BY key LIMIT $2 OFFSET $3)
UNION ALL
(WITH next AS MATERIALIZED (
    (SELECT r.id, r.priority, r.scheduled, 1 AS turn FROM queue_ready r
     WHERE r.queue = $1 ORDER BY r.priority, r.scheduled LIMIT $2 + $3)
    UNION ALL
    (SELECT d.id, NULL, d.scheduled, 2 AS turn FROM queue_delayed d
     WHERE d.queue = $1 ORDER BY d.scheduled LIMIT $2 + $3)
 ), page AS MATERIALIZED (
    SELECT * FROM next ORDER BY turn, priority, scheduled LIMIT $2 OFFSET $3
 )
 SELECT {JOB_COLUMNS} FROM page JOIN saq_jobs j ON j.background_job_id = page.id
 ORDER BY page.turn, page.priority, page.scheduled)
UNION ALL
(SELECT {JOB_COLUMNS} FROM saq_jobs j WHERE queue = $1 AND is_bad
 ORDER BY background_job_id DESC LIMIT $2 OFFSET $3)
"""

STATS = f"""
SELECT
    (SELECT count(*) FROM (SELECT FROM queue_ready WHERE queue = $1 AND scheduled <= {NOW}
                           LIMIT {COUNT_MAX}) AS due)
    + (SELECT count(*) FROM (SELECT FROM queue_delayed WHERE queue = $1 AND scheduled <= {NOW}
                             LIMIT {COUNT_MAX}) AS late)
        AS queued,
    (SELECT count(*) FROM (SELECT FROM queue_delayed WHERE queue = $1 AND scheduled > {NOW}
                           LIMIT {COUNT_MAX}) AS later)
        AS scheduled,
    (SELECT count(*) FROM {HELD} AND j.queue = $1) AS active,
    (SELECT count(*) FROM (SELECT FROM saq_jobs WHERE queue = $1 AND is_bad AND status = 'failed'
                           LIMIT {COUNT_MAX}) AS bad) AS failed,
    (SELECT count(*) FROM queue_workers
     WHERE $1 = ANY (coalesce(queues, ARRAY[queue])) AND expires_at > clock_timestamp()) AS workers,
    EXISTS (SELECT FROM queue_pauses WHERE queue = $1) AS is_paused,
    (SELECT paused_at FROM queue_pauses WHERE queue = $1) AS paused_at,
    coalesce((SELECT greatest(extract(epoch FROM clock_timestamp()) - min(oldest), 0) FROM (
        SELECT min(scheduled) AS oldest FROM (
            SELECT scheduled FROM queue_ready WHERE queue = $1 LIMIT {COUNT_MAX}) AS waiting
        UNION ALL
        SELECT min(scheduled) FROM queue_delayed WHERE queue = $1) AS both_kinds), 0)::float8
        AS oldest_due_seconds
"""

WORKERS = f"""
SELECT worker_id, stats, metadata FROM saq_stats
WHERE (queue_key = $1 OR metadata -> 'queues' ? $1) AND expire_at >= {NOW}
"""
WRITE_WORKER = f"""
INSERT INTO saq_stats (worker_id, stats, queue_key, metadata, expire_at)
VALUES ($1, $2::jsonb, $3, $4::jsonb, {NOW} + $5)
ON CONFLICT (worker_id) DO UPDATE
SET stats = excluded.stats, queue_key = excluded.queue_key, metadata = excluded.metadata,
    expire_at = excluded.expire_at
"""

# A running task's progress and meta. $1 key, $2 lease, $3 progress, $4 blob
UPDATE_HELD = f"""
UPDATE saq_jobs SET progress = $3, job = $4
WHERE key = $1 AND lease = $2 AND {IS_HELD}
"""
# $1 key, $2 queue, $3 blob, $4 the due time, NULL to leave it as it is. Unless $5, a $4 that equals
# the due time in the blob leaves it too: the row's may be later, that of a retry.
_DUE = """CASE WHEN $4::bigint IS NULL OR NOT $5 AND saq_job_field(job, 'scheduled') = $4::text
               THEN scheduled ELSE $4 END"""
UPDATE_WAITING = f"""
UPDATE saq_jobs SET job = $3, scheduled = {_DUE}, is_delayed = {_DUE} > {NOW}
WHERE key = $1 AND queue = $2 AND status = 'queued'
RETURNING key
"""
