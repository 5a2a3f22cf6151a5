-- For lists of one task's failed and aborted jobs, which are looked for most and may be rare: nothing is
-- written here for a job that goes well. The expression fits these indexes alone, so that the planner,
-- whatever its statistics say, reads neither all jobs of the task nor the bad ones of all tasks.
CREATE INDEX CONCURRENTLY IF NOT EXISTS saq_jobs_bad_task_idx
    ON saq_jobs ((CASE WHEN is_bad THEN task END), background_job_id)
    WHERE (CASE WHEN is_bad THEN task END) IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS job_archive_bad_task_idx
    ON job_archive ((CASE WHEN is_bad THEN task END), id)
    WHERE (CASE WHEN is_bad THEN task END) IS NOT NULL;

-- Has the payload in this blob the value at this path: the same JSON, or this text? FALSE for a blob
-- that is not readable, whose error would not be caught where a variable is declared.
CREATE OR REPLACE FUNCTION saq_job_has(job BYTEA, path TEXT[], value TEXT, said TEXT) RETURNS BOOLEAN
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    payload JSONB;
BEGIN
    payload := convert_from(job, 'UTF8')::JSONB -> 'kwargs';
    RETURN coalesce(payload #>> path = said OR payload #> path = value::JSONB, FALSE);
EXCEPTION WHEN others THEN
    RETURN FALSE;
END
$$;
