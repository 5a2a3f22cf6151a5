"""The SQL on the tables that every backend with a database has: workers, history, reports."""

from service.queue.worker_record import WORKERS_MAX

# A new worker rescues no job for so long: after an outage of the network the others need a timeout,
# a backoff and a renewal to come back.
NEW_WORKER_SECONDS = 8.0
HISTORY_DAYS = 90
PRUNE_ROWS = 1000
COUNT_MAX = 100_000  # counting further would cost the database more than the figure is worth

# $1 owner, $2 queue, $3 seconds, $4 the queues it serves, $5 its pool, $6 its slots, $7 whether it
# can be drained: renews this worker's lease, and reads which queues are paused and whether it is to
# drain. Touches no job, so that a lock on the jobs keeps no worker from renewing. A worker whose
# lease had expired rescues no job for the time of a lease (`steady_since`), because the others may
# have been cut off too.
RENEW = f"""
INSERT INTO queue_workers AS w (id, queue, expires_at, steady_since, queues, pool, slots, can_drain)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3),
        clock_timestamp() - make_interval(secs => $3 - {NEW_WORKER_SECONDS}), $4, $5,
        $6, $7)
ON CONFLICT (id) DO UPDATE
SET expires_at = excluded.expires_at,
    steady_since = CASE WHEN w.expires_at < clock_timestamp() THEN clock_timestamp()
                        ELSE w.steady_since END
RETURNING EXISTS (SELECT FROM queue_workers d
                  WHERE d.queue = $2 AND d.expires_at < clock_timestamp()) AS somebody_died,
          ARRAY (SELECT queue FROM queue_pauses) AS paused, w.is_draining
"""

# $1 owner, $2 queues: gives up the lease, and queues jobs again whose claim got no answer
GIVE_UP_LEASE = """
WITH left_behind AS (
    UPDATE saq_jobs j
    SET status = 'queued', owner = NULL, worker_id = j.owner, lease = j.lease + 1,
        attempts = greatest(j.attempts - 1, 0)
    FROM queue_claims c
    WHERE c.owner = $1 AND j.background_job_id = ANY (c.jobs) AND j.claim = c.id
      AND j.owner = $1 AND j.status = 'active' AND j.queue = ANY ($2::text[])
)
DELETE FROM queue_workers WHERE id = $1
"""

# The history of a job that still has its row in saq_jobs stays with it.
PRUNE_HISTORY = f"""
DELETE FROM job_archive WHERE id IN (
    SELECT id FROM (SELECT id, finished_at FROM job_archive
                    ORDER BY id LIMIT {PRUNE_ROWS}) AS oldest
    WHERE finished_at < now() - interval '{HISTORY_DAYS} days')
RETURNING 1
"""
PRUNE_ATTEMPTS = f"""
DELETE FROM job_attempts WHERE id IN (
    SELECT id FROM (SELECT id, ended_at FROM job_attempts ORDER BY id LIMIT {PRUNE_ROWS}) AS oldest
    WHERE ended_at < now() - interval '{HISTORY_DAYS} days')
RETURNING 1
"""
PRUNE_CHILDREN = f"""
DELETE FROM job_children WHERE child IN (
    SELECT child FROM (SELECT child, created_at FROM job_children
                       ORDER BY child LIMIT {PRUNE_ROWS}) AS oldest
    WHERE created_at < now() - interval '{HISTORY_DAYS} days')
RETURNING 1
"""
PRUNE_WORKERS = """
DELETE FROM queue_workers WHERE expires_at < clock_timestamp() - interval '1 hour' RETURNING 1
"""
# $1 queue: returns the number of live workers of each pool
LIVE_WORKERS = """
SELECT pool, count(*) AS workers FROM queue_workers
WHERE queue = $1 AND expires_at > clock_timestamp() GROUP BY pool
"""
# $1 queue: its live workers, by pool
LIST_WORKERS = f"""
SELECT id, pool, coalesce(queues, ARRAY[queue]) AS queues, started_at, release, slots, can_drain,
       is_draining
FROM queue_workers WHERE queue = $1 AND expires_at > clock_timestamp()
ORDER BY pool, started_at, id LIMIT {WORKERS_MAX}
"""
# $1 a worker, $2 queue, $3 message: asks it to drain, and wakes it. No row where it cannot.
DRAIN = """
WITH asked AS (
    UPDATE queue_workers SET is_draining = TRUE
    WHERE id = $1 AND queue = $2 AND can_drain AND expires_at > clock_timestamp() RETURNING id
)
SELECT pg_notify('moorage:' || id, $3) FROM asked
"""
# $1 pool, $2 complete, $3 failed, $4 retried: adds to the counts of this minute
NOTE_RUNS = """
INSERT INTO queue_minutes AS m (minute, pool, complete, failed, retried)
VALUES (date_trunc('minute', clock_timestamp()), $1, $2, $3, $4)
ON CONFLICT (minute, pool) DO UPDATE
SET complete = m.complete + excluded.complete, failed = m.failed + excluded.failed,
    retried = m.retried + excluded.retried
"""
# $1 hours: returns the counts of all pools in each minute that has any, in order
READ_RUNS = """
SELECT minute, sum(complete)::bigint AS complete, sum(failed)::bigint AS failed,
       sum(retried)::bigint AS retried
FROM queue_minutes WHERE minute > clock_timestamp() - $1::float8 * interval '1 hour'
GROUP BY minute ORDER BY minute
"""
PRUNE_RUNS = """
DELETE FROM queue_minutes WHERE minute < clock_timestamp() - interval '8 days' RETURNING 1
"""
# $1 queue, $2 channel, $3 message: pauses or resumes the queue, and notifies its workers
PAUSE = """
WITH paused AS (INSERT INTO queue_pauses (queue) VALUES ($1) ON CONFLICT (queue) DO NOTHING)
SELECT pg_notify($2, $3)
"""
RESUME = """
WITH resumed AS (DELETE FROM queue_pauses WHERE queue = $1)
SELECT pg_notify($2, $3)
"""
CLOCK = "SELECT extract(epoch FROM clock_timestamp())::float8 AS now"
# $1 queue, $2 seconds: returns a row where the last report on the queue is older, so that this
# process writes the next one.
CLAIM_REPORT = """
INSERT INTO queue_reports AS r (queue, reported_at) VALUES ($1, clock_timestamp())
ON CONFLICT (queue) DO UPDATE SET reported_at = excluded.reported_at
WHERE r.reported_at < clock_timestamp() - make_interval(secs => $2)
RETURNING 1
"""
