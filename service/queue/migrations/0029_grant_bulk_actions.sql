-- Whoever may change jobs may also change many at once.
DO $$
DECLARE
    statement TEXT;
BEGIN
    FOR statement IN
        SELECT format('GRANT SELECT, INSERT, UPDATE, DELETE ON bulk_actions, bulk_steps TO %s',
                      CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
        FROM (SELECT DISTINCT grantee FROM pg_class, aclexplode(relacl)
              WHERE oid = 'saq_jobs'::regclass AND privilege_type = 'UPDATE') AS found
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;

-- A job that is cancelled while it waits has made no attempt that could be kept.
CREATE OR REPLACE FUNCTION keep_attempt(job BIGINT, attempt INT, worker TEXT, started TIMESTAMPTZ,
                                        ended TIMESTAMPTZ, outcome TEXT, error TEXT,
                                        are_many BOOLEAN)
RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    IF outcome = 'aborted' AND started IS NULL THEN
        RETURN;
    END IF;
    IF outcome = 'aborted' AND EXISTS (
        SELECT FROM job_attempts a WHERE a.job_id = job AND a.started_at = started) THEN
        started := NULL; -- it waited again: that is the beginning of the attempt before
    END IF;
    INSERT INTO job_attempts (job_id, attempt, worker_id, started_at, ended_at, outcome, error)
    VALUES (job, attempt, worker, started, ended, outcome,
            CASE WHEN octet_length(error) > 4000 THEN '…' || right(error, 4000) ELSE error END);
    IF are_many THEN
        DELETE FROM job_attempts a WHERE a.job_id = job AND a.id <= (
            SELECT id FROM job_attempts b WHERE b.job_id = job ORDER BY id DESC OFFSET 20 LIMIT 1);
    END IF;
END
$$;
