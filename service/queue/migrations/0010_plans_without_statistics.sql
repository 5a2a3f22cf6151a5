-- Plans of the queue's statements must not change with what the tables held when they were analyzed.

-- Failed jobs were found behind all that have ended, which may be a day's worth. By an order that no
-- other index has, so that this one is taken.
CREATE INDEX saq_jobs_bad_idx ON saq_jobs (queue, background_job_id) WHERE status IN ('failed', 'aborted');

-- A task or a key is rare for the planner whatever the statistics say: else it may go through the
-- whole history, newest first, for the one job that a task has had.
ALTER TABLE background_jobs
    ALTER COLUMN task SET (n_distinct = -1), ALTER COLUMN key SET (n_distinct = -1);
ANALYZE background_jobs (task, key);
