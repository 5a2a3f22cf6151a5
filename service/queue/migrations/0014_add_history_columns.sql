-- What the history of a job says and its row did not. NULL for what has not happened: a job pays for
-- no column before it has a value.
ALTER TABLE saq_jobs
    ADD COLUMN created_at TIMESTAMPTZ, -- NULL until 0017: the job's history is in job_archive
    ADD COLUMN worker_id TEXT, -- of the last run, once it is over; `owner` until then
    ADD COLUMN finished_at TIMESTAMPTZ,
    ADD COLUMN is_bad BOOLEAN NOT NULL DEFAULT FALSE; -- failed or aborted
