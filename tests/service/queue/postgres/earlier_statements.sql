-- What images before this release send to the database, as their code had it.

-- statements.ENQUEUE
WITH put AS (
    INSERT INTO saq_jobs AS j
        (key, job, queue, status, priority, group_key, scheduled, is_delayed, task)
    SELECT n.key, n.job, $7, 'queued', coalesce(n.priority, 0), n.group_key,
           CASE WHEN coalesce(n.scheduled, 0) = 0 THEN floor(extract(epoch FROM statement_timestamp()))::bigint ELSE n.scheduled END,
           coalesce(n.scheduled > floor(extract(epoch FROM statement_timestamp()))::bigint, FALSE), n.task
    FROM unnest($1::text[], $2::bytea[], $3::smallint[], $4::text[], $5::bigint[], $6::text[])
         AS n (key, job, priority, group_key, scheduled, task)
    ON CONFLICT (key) DO UPDATE
    SET job = excluded.job, status = 'queued', priority = excluded.priority,
        group_key = excluded.group_key, scheduled = excluded.scheduled,
        is_delayed = excluded.is_delayed, task = excluded.task,
        background_job_id = excluded.background_job_id,
        lease = j.lease + 1, owner = NULL, attempts = 0, crashes = 0, started_at = NULL,
        progress = 0, error = NULL, expire_at = NULL
    WHERE j.status IN ('complete', 'failed', 'aborted') AND j.queue = excluded.queue
    RETURNING j.key, j.is_delayed
), notified AS (
    SELECT pg_notify($8, CASE WHEN kind.is_delayed THEN 'saq:delayed' ELSE 'saq:enqueue' END)
    FROM (SELECT DISTINCT is_delayed FROM put) AS kind
    WHERE ($9 OR EXISTS (SELECT FROM queue_workers
                         WHERE is_waiting AND $7 = ANY (coalesce(queues, ARRAY[queue]))))
)
SELECT key, (SELECT count(*) FROM notified) FROM put

-- statements.CLAIM
WITH due AS MATERIALIZED (
    SELECT w.key, w.queue, w.group_key, w.priority, w.scheduled, w.crashes FROM saq_jobs w
    WHERE w.status = 'queued' AND NOT w.is_delayed AND w.queue = $1 AND w.scheduled <= floor(extract(epoch FROM statement_timestamp()))::bigint
      AND (w.group_key IS NULL OR NOT EXISTS (
          SELECT FROM saq_jobs a
          WHERE a.status IN ('active', 'aborting') AND a.queue = $1
            AND a.group_key = w.group_key))
      AND (w.task IS NULL OR w.task <> ALL ($5::text[]))
      AND (w.crashes < 2 OR NOT EXISTS (
          SELECT FROM saq_jobs a
          WHERE a.status IN ('active', 'aborting') AND a.queue = $1 AND a.owner = $3
            AND a.crashes >= 2)) 
    ORDER BY w.priority, w.scheduled
    LIMIT $2
    FOR UPDATE SKIP LOCKED
), picked AS (
    SELECT key FROM (
        SELECT key, group_key, crashes,
               row_number() OVER (PARTITION BY group_key ORDER BY priority, scheduled)
                   AS place_in_group,
               row_number() OVER (PARTITION BY crashes >= 2
                                  ORDER BY priority, scheduled) AS place_of_suspects
        FROM due) AS ranked
    WHERE (group_key IS NULL OR place_in_group = 1)
      AND (crashes < 2 OR place_of_suspects = 1)
), waits AS (
    UPDATE queue_workers SET is_waiting = $4 OR (SELECT count(*) FROM due) < $2
    WHERE id = $3 AND is_waiting <> ($4 OR (SELECT count(*) FROM due) < $2)
)
UPDATE saq_jobs j
SET status = 'active', owner = $3, lease = j.lease + 1, attempts = j.attempts + 1,
    started_at = clock_timestamp(), progress = 0
FROM picked WHERE j.key = picked.key
RETURNING j.key, j.job, j.status, j.lease, j.attempts, j.crashes, j.progress, j.error, j.started_at, j.scheduled, j.priority, j.owner

-- statements.PROMOTE
WITH due AS (
    SELECT found.key FROM unnest($1::text[]) AS q (name),
    LATERAL (SELECT key FROM saq_jobs
             WHERE status = 'queued' AND is_delayed AND queue = q.name AND scheduled <= floor(extract(epoch FROM statement_timestamp()))::bigint
             ORDER BY scheduled LIMIT 1000 FOR UPDATE SKIP LOCKED) AS found
), moved AS (
    UPDATE saq_jobs j SET is_delayed = FALSE FROM due WHERE j.key = due.key RETURNING 1
)
SELECT (SELECT count(*) FROM moved) AS moved,
       (SELECT min(later.scheduled) - extract(epoch FROM clock_timestamp())::float8
        FROM unnest($1::text[]) AS q (name),
        LATERAL (SELECT scheduled FROM saq_jobs
                 WHERE status = 'queued' AND is_delayed AND queue = q.name AND scheduled > floor(extract(epoch FROM statement_timestamp()))::bigint
                 ORDER BY scheduled LIMIT 1) AS later) AS seconds

-- statements.WRITE_OUTCOMES
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
    expire_at = CASE WHEN d.ttl = 0 OR d.status = 'queued' AND j.status = 'active' THEN NULL
                     WHEN d.status = 'complete' OR d.ttl < 0 THEN floor(extract(epoch FROM statement_timestamp()))::bigint + greatest(d.ttl, 0)
                     ELSE floor(extract(epoch FROM statement_timestamp()))::bigint + greatest(d.ttl, 1209600) END
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bytea[], $6::float8[],
            $7::int[], $8::bigint[])
     AS d (key, lease, status, error, ending, delay, refund, ttl)
WHERE j.key = d.key AND j.lease = d.lease AND j.owner IS NOT NULL AND j.status NOT IN ('new', 'queued', 'complete', 'failed', 'aborted')
RETURNING j.key

-- statements.ABORT
UPDATE saq_jobs
SET status = CASE status WHEN 'active' THEN 'aborting' ELSE 'aborted' END,
    error = $3,
    expire_at = CASE status WHEN 'active' THEN NULL ELSE floor(extract(epoch FROM statement_timestamp()))::bigint + 1209600 END
WHERE key = $1 AND queue = $2 AND status NOT IN ('aborting', 'complete', 'failed', 'aborted')
RETURNING status

-- statements.RETRY_ENDED
UPDATE saq_jobs
SET job = $3, status = 'queued', attempts = 0, crashes = 0, error = NULL, owner = NULL,
    lease = lease + 1, started_at = NULL, progress = 0, expire_at = NULL, scheduled = floor(extract(epoch FROM statement_timestamp()))::bigint,
    is_delayed = FALSE
WHERE key = $1 AND queue = $2 AND status NOT IN ('new', 'queued', 'active', 'aborting')
RETURNING status

-- statements.RESCUE
WITH lost AS (
    SELECT j.key FROM saq_jobs j
    WHERE j.queue = ANY ($2::text[]) AND j.status IN ('active', 'aborting') AND j.owner <> $1
      AND NOT EXISTS (SELECT FROM queue_workers w
                      WHERE w.id = j.owner AND w.expires_at > clock_timestamp())
      AND EXISTS (SELECT FROM queue_workers w
                  WHERE w.id = $1 AND w.expires_at > clock_timestamp()
                    AND w.steady_since < clock_timestamp() - make_interval(secs => $3))
      -- after a restart of the database every worker gets time to renew again
      AND pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => $3)
    FOR UPDATE SKIP LOCKED
), back AS (
    UPDATE saq_jobs j
    SET status = CASE WHEN j.status = 'aborting' THEN 'aborted'
                      WHEN j.crashes + 1 >= 3 THEN 'failed' ELSE 'queued' END,
        error = CASE WHEN j.status = 'aborting' THEN j.error
                     WHEN j.crashes + 1 >= 3
                     THEN 'its worker died ' || j.crashes + 1 || ' times while running it'
                     ELSE 'its worker died while running it' END,
        expire_at = CASE WHEN j.status = 'aborting' OR j.crashes + 1 >= 3
                         THEN floor(extract(epoch FROM statement_timestamp()))::bigint + 1209600 END,
        job = CASE WHEN j.status = 'aborting'
                   THEN saq_job_with(j.job, saq_job_ending('aborted', j.error))
                   WHEN j.crashes + 1 >= 3
                   THEN saq_job_with(j.job, saq_job_ending('failed', 'its worker died '
                                     || j.crashes + 1 || ' times while running it'))
                   ELSE j.job END,
        crashes = j.crashes + 1,
        attempts = greatest(j.attempts - 1, 0),
        owner = NULL,
        lease = j.lease + 1
    FROM lost WHERE j.key = lost.key
    RETURNING j.key, j.status, j.queue
), notified AS (
    SELECT pg_notify('saq:' || queue, 'saq:enqueue') FROM (SELECT DISTINCT queue FROM back) AS q
)
SELECT key, status, (SELECT count(*) FROM notified) FROM back

-- statements.PRUNE_JOBS
DELETE FROM saq_jobs WHERE key IN (
    SELECT key FROM saq_jobs WHERE status IN ('complete', 'failed', 'aborted') AND expire_at <= floor(extract(epoch FROM statement_timestamp()))::bigint
    LIMIT 1000 FOR UPDATE SKIP LOCKED)
RETURNING 1

-- statements.CLOSE_LOST
UPDATE background_jobs b
SET status = 'aborted', finished_at = now(), is_bad = TRUE,
    error = 'its row was gone while it was ' || b.status
WHERE b.id IN (
    SELECT id FROM (SELECT id, key, finished_at, created_at FROM background_jobs
                    WHERE queue = ANY ($1::text[]) ORDER BY id DESC LIMIT 10000) AS newest
    WHERE finished_at IS NULL AND created_at < now() - interval '1 minute'
      AND NOT EXISTS (SELECT FROM saq_jobs j
                      WHERE j.key = newest.key AND j.background_job_id = newest.id))
RETURNING b.key

-- statements.CLEAR
DELETE FROM saq_jobs WHERE key IN (
    SELECT key FROM saq_jobs WHERE queue = $1 AND status = $2 AND status IN ('failed', 'aborted')
      AND ($3::text IS NULL OR task = $3)
    ORDER BY background_job_id DESC LIMIT $4 FOR UPDATE SKIP LOCKED)
RETURNING 1

-- outcomes.DELETE_UNKEPT
DELETE FROM saq_jobs WHERE key = ANY ($1::text[])
  AND status NOT IN ('new', 'queued', 'active', 'aborting')
  AND expire_at <= floor(extract(epoch FROM statement_timestamp()))

-- table_statements.RENEW
INSERT INTO queue_workers AS w (id, queue, expires_at, steady_since, queues, pool)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3),
        clock_timestamp() - make_interval(secs => $3 - 8.0), $4, $5)
ON CONFLICT (id) DO UPDATE
SET expires_at = excluded.expires_at,
    steady_since = CASE WHEN w.expires_at < clock_timestamp() THEN clock_timestamp()
                        ELSE w.steady_since END
RETURNING EXISTS (SELECT FROM queue_workers d
                  WHERE d.queue = $2 AND d.expires_at < clock_timestamp()) AS somebody_died,
          ARRAY (SELECT queue FROM queue_pauses) AS paused

-- table_statements.GIVE_UP_LEASE
WITH left_behind AS (
    UPDATE saq_jobs
    SET status = 'queued', owner = NULL, lease = lease + 1, attempts = greatest(attempts - 1, 0)
    WHERE owner = $1 AND status = 'active' AND queue = ANY ($2::text[])
)
DELETE FROM queue_workers WHERE id = $1

-- table_statements.PRUNE_HISTORY
DELETE FROM background_jobs WHERE id IN (
    SELECT id FROM (SELECT id, finished_at FROM background_jobs
                    ORDER BY id LIMIT 1000) AS oldest
    WHERE finished_at < now() - interval '90 days')
RETURNING 1

-- redis_history.INSERT
INSERT INTO background_jobs (key, queue, task, status, scheduled_at)
VALUES ($1, $2, $3, 'queued', CASE $4::bigint WHEN 0 THEN now() ELSE to_timestamp($4) END)
RETURNING id

-- redis_history.DELETE
DELETE FROM background_jobs WHERE id = $1 AND queue = $2 RETURNING id

-- redis_history.CHANGE
UPDATE background_jobs b
SET status = d.status, attempts = d.attempts, crashes = d.crashes, error = d.error,
    worker_id = coalesce(d.worker_id, b.worker_id),
    scheduled_at = CASE d.due WHEN 0 THEN b.scheduled_at ELSE to_timestamp(d.due) END,
    started_at = CASE d.started WHEN 0 THEN b.started_at
                      ELSE to_timestamp(d.started / 1000.0) END,
    finished_at = CASE WHEN d.status IN ('complete', 'failed', 'aborted')
                       THEN clock_timestamp() END,
    is_bad = d.status IN ('failed', 'aborted')
FROM unnest($2::text[], $3::text[], $4::int[], $5::int[], $6::text[], $7::text[], $8::float8[],
            $9::bigint[], $10::bigint[])
     AS d (key, status, attempts, crashes, error, worker_id, due, started, id)
WHERE b.id = (SELECT id FROM background_jobs x WHERE x.key = d.key AND x.queue = $1
                AND (x.id = d.id OR d.id = 0) ORDER BY id DESC LIMIT 1)
RETURNING d.key, d.id

-- redis_history.ASKED
UPDATE background_jobs b SET status = 'aborting', error = $3
WHERE b.id = (SELECT id FROM background_jobs x WHERE x.key = $2 AND x.queue = $1
              ORDER BY id DESC LIMIT 1)
  AND b.status = 'active'
RETURNING id

-- redis_history.UNFINISHED
SELECT key FROM (SELECT key, finished_at, created_at FROM background_jobs WHERE queue = $1
                 ORDER BY id DESC LIMIT 10000) AS newest
WHERE finished_at IS NULL AND created_at < now() - interval '60 seconds'

-- redis_history.COUNTS
SELECT (SELECT count(*) FROM (SELECT FROM background_jobs WHERE is_bad AND status = 'failed'
        AND queue = $1 AND finished_at > now() - make_interval(secs => $2) LIMIT $3) AS bad)
           AS failed,
       (SELECT count(*) FROM queue_workers
        WHERE $1 = ANY (coalesce(queues, ARRAY[queue])) AND expires_at > clock_timestamp())
           AS workers

-- job_history.newest
SELECT id, key, queue, task, status, attempts, crashes, error, worker_id, created_at, scheduled_at, started_at, finished_at FROM background_jobs ORDER BY id DESC LIMIT $1

-- job_history.task
SELECT id, key, queue, task, status, attempts, crashes, error, worker_id, created_at, scheduled_at, started_at, finished_at FROM background_jobs WHERE task = $1 ORDER BY id DESC LIMIT $2

-- job_history.failed
SELECT id, key, queue, task, status, attempts, crashes, error, worker_id, created_at, scheduled_at, started_at, finished_at FROM background_jobs WHERE status = $1 AND is_bad ORDER BY id DESC LIMIT $2
