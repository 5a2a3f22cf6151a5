"""What is around a waiting job: who is before it, who could run it."""

from service.queue.waiting import JOBS_BEFORE_MAX

# $1 the job's number. No row where it does not wait any more.
AROUND = f"""
WITH job AS MATERIALIZED (
    SELECT background_job_id AS id, queue, priority, scheduled, group_key FROM saq_jobs
    WHERE background_job_id = $1 AND status = 'queued'
), ahead AS MATERIALIZED (
    SELECT found.id, found.group_key
    FROM job, LATERAL (
        SELECT r.id, r.group_key FROM queue_ready r
        WHERE r.queue = job.queue
          AND (r.priority, r.scheduled, r.id) < (job.priority, job.scheduled, job.id)
        ORDER BY r.priority, r.scheduled, r.id LIMIT {JOBS_BEFORE_MAX + 1}) AS found
), live AS (
    SELECT count(*) AS workers, coalesce(bool_or(w.is_waiting), FALSE) AS is_worker_free
    FROM job, queue_workers w
    WHERE job.queue = ANY (coalesce(w.queues, ARRAY[w.queue])) AND w.expires_at > clock_timestamp()
)
SELECT clock_timestamp() AS now, pause.queue IS NOT NULL AS is_paused, pause.paused_at, live.*,
       (SELECT count(*) FROM ahead) AS jobs_before,
       (SELECT j.key FROM queue_groups g JOIN saq_jobs j ON j.background_job_id = g.id
        WHERE g.queue = job.queue AND g.group_key = job.group_key AND g.id <> job.id)
           AS group_running,
       (SELECT j.key FROM saq_jobs j
        WHERE j.background_job_id = (SELECT id FROM ahead
                                     WHERE ahead.group_key = job.group_key LIMIT 1))
           AS group_before
FROM job CROSS JOIN live LEFT JOIN queue_pauses pause ON pause.queue = job.queue
"""
