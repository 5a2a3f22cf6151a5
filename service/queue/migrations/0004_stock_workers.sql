-- A stock SAQ worker sweeps whatever its blob calls stuck, and rewrites rows by key alone. It may
-- share the tables all the same: what a worker of ours holds, and what has ended, it cannot change.
--
-- Fires for statements that set the blob, as all of SAQ's do, and leave the lease as it was, as none
-- of ours does that would get past the condition.
CREATE FUNCTION guard_from_stock_workers() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF old.status IN ('complete', 'failed', 'aborted') THEN
        -- An abort of what has ended; or the last step of a sweep, which began while the job ran.
        -- (A job that a sweep itself has aborted while it waited does come back by that step.)
        IF new.status NOT IN ('new', 'queued')
           OR (saq_job_field(new.job, 'error') = 'swept'
               AND saq_job_field(old.job, 'error') IS DISTINCT FROM 'swept') THEN
            RETURN NULL;
        END IF;
        -- A key that is enqueued or retried again: a new job, with all its attempts and a history.
        new.background_job_id := nextval('background_jobs_id_seq');
        new.lease := old.lease + 1;
        new.attempts := 0;
        new.crashes := 0;
        new.progress := 0;
        new.error := NULL;
        new.started_at := NULL;
        new.is_delayed := FALSE;
        new.task := saq_job_field(new.job, 'function');
        RETURN new;
    END IF;
    IF new.status = 'aborting' AND saq_job_field(new.job, 'error') IS DISTINCT FROM 'swept' THEN
        new.error := saq_job_field(new.job, 'error'); -- somebody asks for it, on SAQ's page
        new.job := old.job;
        PERFORM pg_notify('saq:' || old.queue, 'saq:abort');
        RETURN new;
    END IF;
    RETURN NULL; -- a sweep, or a late finish of a job that was taken over
END
$$;

CREATE TRIGGER guard_from_stock_workers BEFORE UPDATE OF job ON saq_jobs FOR EACH ROW
    WHEN (old.lease = new.lease AND old.status <> new.status
          AND (old.owner IS NOT NULL AND new.owner IS NOT NULL
               OR old.status IN ('complete', 'failed', 'aborted')))
    EXECUTE FUNCTION guard_from_stock_workers();

-- When a job that a stock worker runs is over at the latest, in epoch seconds; NULL where the blob
-- does not say.
CREATE FUNCTION saq_job_deadline(job BYTEA) RETURNS BIGINT LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    started BIGINT;
    timeout BIGINT := 10; -- SAQ's default; null is no limit
BEGIN
    started := saq_job_field(job, 'started')::NUMERIC;
    IF convert_from(job, 'UTF8')::JSONB ? 'timeout' THEN
        timeout := saq_job_field(job, 'timeout')::NUMERIC;
    END IF;
    RETURN CASE WHEN timeout > 0 THEN started / 1000 + timeout END;
EXCEPTION WHEN others THEN
    RETURN NULL;
END
$$;
