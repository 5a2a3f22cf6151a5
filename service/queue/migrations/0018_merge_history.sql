-- 0017 has moved all. A part of the view that has no condition is read in the order of an index; one
-- that has one is sorted.
LOCK TABLE saq_jobs, job_archive IN ACCESS EXCLUSIVE MODE;

CREATE OR REPLACE VIEW background_jobs AS
SELECT background_job_id AS id, key, queue, task, status, attempts, crashes,
       saq_job_error(status, error, job) AS error, coalesce(owner, worker_id) AS worker_id,
       created_at, saq_job_time(scheduled) AS scheduled_at, started_at, finished_at, is_bad
FROM saq_jobs
UNION ALL
SELECT id, key, queue, task, status, attempts, crashes, error, worker_id,
       created_at, scheduled_at, started_at, finished_at, is_bad
FROM job_archive;

DROP TRIGGER note_older_job ON saq_jobs;
DROP FUNCTION note_older_job;

CREATE OR REPLACE FUNCTION archive_deleted_jobs() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO job_archive
    SELECT record.* FROM previous o, saq_job_record(ROW (o.*)::saq_jobs) AS record
    ON CONFLICT (id) DO NOTHING;
    RETURN NULL;
END
$$;
