-- How the earlier attempts of a job ended. Its row says it of the last one alone; the next one is written
-- over it, and then the trigger that follows a job back into its queue keeps it here. Nothing is written
-- for a job that succeeds at once, nor any further condition read.
CREATE TABLE job_attempts (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- grows with time
    job_id BIGINT NOT NULL, -- the job's number in background_jobs
    attempt INT NOT NULL,
    worker_id TEXT NOT NULL, -- empty: a stock worker
    started_at TIMESTAMPTZ, -- NULL where the job ended before the attempt began
    ended_at TIMESTAMPTZ NOT NULL,
    outcome TEXT NOT NULL, -- failed, crashed, handed back, aborted, complete
    error TEXT
);
CREATE INDEX job_attempts_job_idx ON job_attempts (job_id);

-- Whoever may change jobs may write here.
DO $$
DECLARE
    statement TEXT;
BEGIN
    FOR statement IN
        SELECT format('GRANT SELECT, INSERT, DELETE ON job_attempts TO %s',
                      CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
        FROM (SELECT DISTINCT grantee FROM pg_class, aclexplode(relacl)
              WHERE oid IN ('saq_jobs'::regclass, 'job_archive'::regclass)
                AND privilege_type = 'UPDATE') AS found
        UNION ALL
        SELECT format('GRANT SELECT ON job_attempts TO %s',
                      CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
        FROM (SELECT DISTINCT grantee FROM pg_class, aclexplode(relacl)
              WHERE oid = 'background_jobs'::regclass AND privilege_type = 'SELECT') AS found
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;

-- The last twenty of a job are kept, with the end of the error.
CREATE FUNCTION keep_attempt(job BIGINT, attempt INT, worker TEXT, started TIMESTAMPTZ,
                             ended TIMESTAMPTZ, outcome TEXT, error TEXT, are_many BOOLEAN)
RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    IF outcome = 'aborted' AND started IS NULL THEN
        RETURN; -- it was cancelled while it waited, and has made no attempt
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

CREATE OR REPLACE FUNCTION follow_changed_job() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    ran BOOLEAN := old.status IN ('active', 'aborting');
    runs BOOLEAN := new.status IN ('active', 'aborting');
    reason TEXT;
BEGIN
    IF (ran, old.queue, old.group_key, old.background_job_id)
        IS DISTINCT FROM (runs, new.queue, new.group_key, new.background_job_id) THEN
        DELETE FROM queue_groups
        WHERE (queue, group_key, id) = (old.queue, old.group_key, old.background_job_id);
        IF runs AND new.group_key IS NOT NULL THEN
            -- one job of a group at a time, whoever claims: the second one breaks the primary key
            INSERT INTO queue_groups (queue, group_key, id)
            VALUES (new.queue, new.group_key, new.background_job_id);
        END IF;
    END IF;
    IF old.claim IS DISTINCT FROM new.claim AND new.claim > 0 THEN
        RETURN NULL;
    END IF;
    IF new.status = 'queued' AND old.background_job_id = new.background_job_id THEN
        IF ran THEN
            reason := CASE WHEN old.owner IS NULL THEN saq_job_field(new.job, 'error') END;
            reason := coalesce(new.error, reason);
            -- Without an error it was claimed and never began, and so it was where only the lease of
            -- a worker that ends has changed.
            IF reason IS NOT NULL
               AND (old.owner IS NULL OR old.lease = new.lease OR old.crashes < new.crashes) THEN
                PERFORM keep_attempt(
                    new.background_job_id, old.attempts, coalesce(old.owner, ''), old.started_at,
                    clock_timestamp(),
                    CASE WHEN new.crashes > old.crashes THEN 'crashed'
                         WHEN new.attempts < old.attempts THEN 'handed back' ELSE 'failed' END,
                    reason, old.lease > 20);
            END IF;
        ELSIF old.finished_at IS NOT NULL THEN -- somebody has it run again
            PERFORM keep_attempt(
                new.background_job_id, old.attempts, coalesce(old.worker_id, ''), old.started_at,
                old.finished_at, old.status, saq_job_error(old.status, old.error, old.job),
                old.lease > 20);
        END IF;
    END IF;
    IF old.background_job_id <> new.background_job_id AND old.created_at IS NOT NULL THEN
        -- Only a trigger sees the row as it was under its lock: what the statement that takes the
        -- key has read before may have ended since.
        INSERT INTO job_archive SELECT * FROM saq_job_record(old) ON CONFLICT (id) DO NOTHING;
    END IF;
    IF old.claim < 0 AND ran AND (NOT runs OR old.owner IS DISTINCT FROM new.owner) THEN
        DELETE FROM queue_claims WHERE (owner, id) = (coalesce(old.owner, ''), old.claim);
    END IF;
    IF (old.status, old.is_delayed, old.scheduled, old.priority, old.queue, old.group_key,
        old.background_job_id, old.owner)
        IS NOT DISTINCT FROM (new.status, new.is_delayed, new.scheduled, new.priority, new.queue,
                              new.group_key, new.background_job_id, new.owner) THEN
        RETURN NULL;
    END IF;
    IF old.status = 'queued' AND old.is_delayed THEN
        DELETE FROM queue_delayed
        WHERE (queue, scheduled, id) = (old.queue, old.scheduled, old.background_job_id);
    ELSIF old.status = 'queued' THEN
        DELETE FROM queue_ready
        WHERE (queue, priority, scheduled, id)
            = (old.queue, old.priority, old.scheduled, old.background_job_id);
    END IF;
    IF new.status = 'queued' AND new.is_delayed THEN
        INSERT INTO queue_delayed (id, scheduled, queue)
        VALUES (new.background_job_id, new.scheduled, new.queue)
        ON CONFLICT DO NOTHING;
    ELSIF new.status = 'queued' THEN
        INSERT INTO queue_ready (id, scheduled, priority, queue, group_key)
        VALUES (new.background_job_id, new.scheduled, new.priority, new.queue, new.group_key)
        ON CONFLICT DO NOTHING;
    ELSIF runs AND new.claim IS NOT NULL THEN -- NULL: it ran before, and 0020 will place it
        INSERT INTO queue_claims (id, owner, jobs)
        VALUES (new.claim, coalesce(new.owner, ''), ARRAY[new.background_job_id])
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;

-- The jobs of Redis have no row in saq_jobs; what becomes of them is written into the archive, where
-- other backends update nothing.
CREATE FUNCTION keep_archived_attempt() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM keep_attempt(
        old.id, old.attempts, coalesce(old.worker_id, ''), old.started_at,
        coalesce(old.finished_at, clock_timestamp()),
        CASE WHEN old.finished_at IS NOT NULL THEN old.status
             WHEN new.crashes > old.crashes THEN 'crashed'
             WHEN new.attempts < old.attempts THEN 'handed back' ELSE 'failed' END,
        CASE WHEN old.finished_at IS NOT NULL THEN old.error ELSE new.error END, TRUE);
    RETURN NULL;
END
$$;

CREATE TRIGGER keep_archived_attempt AFTER UPDATE ON job_archive FOR EACH ROW
    WHEN (new.status = 'queued' AND (old.finished_at IS NOT NULL
          OR old.status IN ('active', 'aborting') AND new.error IS NOT NULL))
    EXECUTE FUNCTION keep_archived_attempt();
