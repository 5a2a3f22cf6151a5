-- What SAQ's clients write and read is its blob alone.

-- A blob with more fields: the later one of a name counts. `more` is the rest of a JSON object with
-- its closing brace. Whatever the client's `dump` puts behind the object goes; a blob that is no JSON
-- object stays as it is.
CREATE FUNCTION saq_job_with(job BYTEA, more TEXT) RETURNS BYTEA LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    body TEXT;
BEGIN
    body := btrim(convert_from(job, 'UTF8'), E' \n\r\t');
    IF left(body, 1) <> '{' OR right(body, 1) <> '}' THEN
        RETURN job;
    END IF;
    RETURN convert_to(left(body, -1) || more, 'UTF8');
EXCEPTION WHEN others THEN
    RETURN job;
END
$$;

CREATE FUNCTION saq_job_ending(status TEXT, error TEXT) RETURNS TEXT LANGUAGE sql STABLE AS $$
    SELECT ',"status":' || to_json(status) || ',"completed":'
        || floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
        || ',"error":' || coalesce(to_json(error)::text, 'null') || '}'
$$;

-- A stock client does not say that a job is due later, and its `dump` may end in a newline, behind
-- which no ending could be read.
CREATE FUNCTION mend_stock_job() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    was_delayed BOOLEAN := new.is_delayed;
BEGIN
    new.job := saq_job_with(new.job, '}');
    IF new.status = 'queued' THEN
        new.is_delayed := new.scheduled > floor(extract(epoch FROM statement_timestamp()));
        IF new.is_delayed <> was_delayed THEN
            PERFORM pg_notify('saq:' || new.queue, 'saq:delayed');
        END IF;
    END IF;
    RETURN new;
END
$$;

CREATE TRIGGER mend_new_stock_job BEFORE INSERT ON saq_jobs FOR EACH ROW
    WHEN (new.task IS NULL)
    EXECUTE FUNCTION mend_stock_job();

-- No statement of ours gets past the condition: what it holds changes its status with its end, and
-- its blobs end in a brace. After guard_from_stock_workers, by name.
CREATE TRIGGER mend_stock_job BEFORE UPDATE OF job ON saq_jobs FOR EACH ROW
    WHEN ((old.status = new.status OR old.owner IS NULL)
          AND (substring(new.job FROM octet_length(new.job)) <> '\x7d'
               OR new.status = 'queued' AND new.is_delayed
                  <> (new.scheduled > floor(extract(epoch FROM statement_timestamp())))))
    EXECUTE FUNCTION mend_stock_job();

UPDATE saq_jobs
SET is_delayed = scheduled > extract(epoch FROM now()), job = saq_job_with(job, '}')
WHERE status = 'queued' AND task IS NULL AND NOT is_delayed;

-- 0013 has analyzed the history. One that was empty then is planned as if it stayed so, and the trigger
-- that follows changed jobs goes through all of it for each: five seconds for 2,500 jobs. Written anew
-- it is a table that was never analyzed, which is planned for growth.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM background_jobs) THEN
        ALTER TABLE background_jobs ALTER COLUMN error TYPE TEXT USING error || '';
    END IF;
END
$$;
