-- One statement at a time, beside writers. No index names a column that changes while a job goes well.
CREATE INDEX CONCURRENTLY IF NOT EXISTS saq_jobs_id_idx ON saq_jobs (background_job_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS saq_jobs_task_idx ON saq_jobs (task, background_job_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS saq_jobs_is_bad_idx ON saq_jobs (background_job_id)
    WHERE is_bad;
-- Not of the queue `default`, where most jobs are: it would cost each of them a write.
CREATE INDEX CONCURRENTLY IF NOT EXISTS saq_jobs_queue_idx ON saq_jobs (queue, background_job_id)
    WHERE queue <> 'default';
-- Only Redis has open jobs in the archive.
CREATE INDEX CONCURRENTLY IF NOT EXISTS job_archive_open_idx ON background_jobs (id)
    WHERE finished_at IS NULL;

-- A task is rare for the planner whatever the statistics say: else it may go through all jobs, newest
-- first, for the one job that a task has had. Statistics of an empty table would do harm.
ALTER TABLE saq_jobs ALTER COLUMN task SET (n_distinct = -1);
DO $$
BEGIN
    IF EXISTS (SELECT FROM saq_jobs) THEN
        ANALYZE saq_jobs (task);
    END IF;
END
$$;
