-- background_jobs becomes a view: the rows of saq_jobs, and the archive of those that have left it.
-- A job's history is then its row, and is right whoever changes it. No row is written here, so that it
-- takes milliseconds whatever the tables hold: jobs from before keep their history where it is until
-- 0017 has moved it.
LOCK TABLE saq_jobs, background_jobs IN ACCESS EXCLUSIVE MODE;

DROP TRIGGER track_new_jobs ON saq_jobs;
DROP TRIGGER track_changed_jobs ON saq_jobs;
DROP TRIGGER track_deleted_jobs ON saq_jobs;
DROP TRIGGER track_truncated_jobs ON saq_jobs;
DROP FUNCTION track_new_jobs, track_changed_jobs, track_deleted_jobs, track_truncated_jobs;

ALTER TABLE background_jobs RENAME TO job_archive;
ALTER INDEX background_jobs_pkey RENAME TO job_archive_pkey;
ALTER INDEX background_jobs_key_idx RENAME TO job_archive_key_idx;
ALTER INDEX background_jobs_task_idx RENAME TO job_archive_task_idx;
ALTER INDEX background_jobs_bad_idx RENAME TO job_archive_bad_idx;
ALTER INDEX background_jobs_queue_idx RENAME TO job_archive_queue_idx;
ALTER TABLE job_archive RESET (fillfactor); -- its rows do not change any more

-- The error of a job that a stock worker has ended is inside its blob.
CREATE FUNCTION saq_job_error(status TEXT, error TEXT, job BYTEA) RETURNS TEXT LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE WHEN error IS NULL AND status IN ('failed', 'aborted')
                THEN saq_job_field(job, 'error') ELSE error END
$$;

-- Plain columns where people filter and sort, so that each part is read by its own index in order.
CREATE VIEW background_jobs AS
(SELECT background_job_id AS id, key, queue, task, status, attempts, crashes,
       saq_job_error(status, error, job) AS error, coalesce(owner, worker_id) AS worker_id,
       created_at, saq_job_time(scheduled) AS scheduled_at, started_at, finished_at, is_bad
FROM saq_jobs WHERE created_at IS NOT NULL ORDER BY background_job_id DESC)
UNION ALL
SELECT id, key, queue, task, status, attempts, crashes, error, worker_id,
       created_at, scheduled_at, started_at, finished_at, is_bad
FROM job_archive;

-- Who might read and write the table may do the same with the view.
DO $$
DECLARE
    statement TEXT;
BEGIN
    FOR statement IN
        SELECT format('GRANT %s ON background_jobs TO %s', privilege_type,
                      CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
        FROM pg_class, aclexplode(relacl)
        WHERE oid = 'job_archive'::regclass
          AND privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;

-- What a row of saq_jobs leaves behind when it is deleted, or taken by a new job of the same key.
CREATE FUNCTION saq_job_record(j saq_jobs) RETURNS SETOF job_archive LANGUAGE sql STABLE AS $$
    SELECT j.background_job_id, j.key, j.queue, coalesce(j.task, '?'),
           CASE WHEN ended THEN j.status ELSE 'aborted' END, j.attempts, j.crashes,
           CASE WHEN ended THEN saq_job_error(j.status, j.error, j.job)
                ELSE 'its row was deleted while it was ' || j.status END,
           coalesce(j.owner, j.worker_id), j.created_at, saq_job_time(j.scheduled), j.started_at,
           coalesce(j.finished_at, now()), NOT ended OR j.is_bad
    FROM (SELECT j.status IN ('complete', 'failed', 'aborted')) AS found (ended)
$$;

CREATE FUNCTION archive_deleted_jobs() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO job_archive
    SELECT record.* FROM previous o, saq_job_record(ROW (o.*)::saq_jobs) AS record
    WHERE o.created_at IS NOT NULL
    ON CONFLICT (id) DO NOTHING;
    -- its history is in the archive already, and ends
    IF EXISTS (SELECT FROM previous o WHERE o.created_at IS NULL
               AND o.status NOT IN ('complete', 'failed', 'aborted')) THEN
        UPDATE job_archive b
        SET status = 'aborted', finished_at = now(), is_bad = TRUE,
            error = 'its row was deleted while it was ' || o.status
        FROM previous o
        WHERE b.id = o.background_job_id AND o.created_at IS NULL
          AND o.status NOT IN ('complete', 'failed', 'aborted');
    END IF;
    RETURN NULL;
END
$$;

-- Once for a statement, however many jobs it deletes.
CREATE TRIGGER archive_deleted_jobs AFTER DELETE ON saq_jobs
    REFERENCING OLD TABLE AS previous
    FOR EACH STATEMENT EXECUTE FUNCTION archive_deleted_jobs();

-- TRUNCATE fires no trigger of DELETE, and only before it the rows can still be read.
CREATE FUNCTION archive_truncated_jobs() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM saq_jobs;
    RETURN NULL;
END
$$;

CREATE TRIGGER archive_truncated_jobs BEFORE TRUNCATE ON saq_jobs
    FOR EACH STATEMENT EXECUTE FUNCTION archive_truncated_jobs();

-- Only a trigger sees the row as it was under its lock: what the statement that takes the key has read
-- before may have ended since.
CREATE FUNCTION archive_replaced_job() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO job_archive SELECT * FROM saq_job_record(old) ON CONFLICT (id) DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER archive_replaced_job AFTER UPDATE ON saq_jobs FOR EACH ROW
    WHEN (old.background_job_id <> new.background_job_id AND old.created_at IS NOT NULL)
    EXECUTE FUNCTION archive_replaced_job();

-- From here on for statements that do not know the columns of 0014: those of stock SAQ clients, of
-- images before this release, of somebody in psql. Ours write them and meet none of the conditions.

CREATE FUNCTION note_foreign_job() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    new.created_at := now();
    IF new.status IN ('complete', 'failed', 'aborted') THEN
        new.finished_at := now();
        new.is_bad := new.status <> 'complete';
    END IF;
    RETURN new;
END
$$;

CREATE TRIGGER note_foreign_job BEFORE INSERT ON saq_jobs FOR EACH ROW
    WHEN (new.created_at IS NULL)
    EXECUTE FUNCTION note_foreign_job();

CREATE FUNCTION note_foreign_change() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF new.background_job_id <> old.background_job_id THEN -- an ended key: a new job
        new.created_at := now();
        new.worker_id := NULL;
        new.task := coalesce(new.task, '?');
    ELSIF old.owner IS NOT NULL AND new.owner IS NULL THEN
        new.worker_id := old.owner;
    END IF;
    IF old.status IN ('new', 'queued') AND new.status = 'active' AND old.lease = new.lease THEN
        new.started_at := now(); -- a stock worker took it
        new.worker_id := NULL;
    END IF;
    IF new.status IN ('complete', 'failed', 'aborted') THEN
        new.finished_at := coalesce(new.finished_at, now());
        new.is_bad := new.status <> 'complete';
    ELSE
        new.finished_at := NULL;
        new.is_bad := FALSE;
    END IF;
    RETURN new;
END
$$;

-- After guard_from_stock_workers and mend_stock_job, by name.
CREATE TRIGGER note_foreign_change BEFORE UPDATE ON saq_jobs FOR EACH ROW
    WHEN ((new.finished_at IS NOT NULL) <> (new.status IN ('complete', 'failed', 'aborted'))
          OR old.background_job_id <> new.background_job_id
             AND old.created_at IS NOT DISTINCT FROM new.created_at
          OR old.owner IS NOT NULL AND new.owner IS NULL
             AND new.worker_id IS DISTINCT FROM old.owner
          OR old.status IN ('new', 'queued') AND new.status = 'active' AND old.lease = new.lease)
    EXECUTE FUNCTION note_foreign_change();

-- Until 0017 has moved it.
CREATE FUNCTION note_older_job() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    UPDATE job_archive
    SET status = new.status, attempts = new.attempts, crashes = new.crashes,
        error = saq_job_error(new.status, new.error, new.job),
        worker_id = coalesce(new.owner, worker_id),
        scheduled_at = saq_job_time(new.scheduled),
        started_at = coalesce(new.started_at, started_at),
        finished_at = new.finished_at,
        is_bad = new.is_bad
    WHERE id = new.background_job_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER note_older_job AFTER UPDATE ON saq_jobs FOR EACH ROW
    WHEN (new.created_at IS NULL
          AND (old.status, old.attempts, old.crashes, old.scheduled)
              IS DISTINCT FROM (new.status, new.attempts, new.crashes, new.scheduled))
    EXECUTE FUNCTION note_older_job();

-- Stock clients have the name of the task only inside the blob; lists are filtered by the column.
CREATE OR REPLACE FUNCTION mend_stock_job() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    was_delayed BOOLEAN := new.is_delayed;
BEGIN
    new.job := saq_job_with(new.job, '}');
    new.task := coalesce(new.task, saq_job_field(new.job, 'function'), '?');
    IF new.status = 'queued' THEN
        new.is_delayed := new.scheduled > floor(extract(epoch FROM statement_timestamp()));
        IF new.is_delayed <> was_delayed THEN
            PERFORM pg_notify('saq:' || new.queue, 'saq:delayed');
        END IF;
    END IF;
    RETURN new;
END
$$;

-- Images before this release delete old history, and with redis:// write it, by the name of the view.
ALTER VIEW background_jobs
    ALTER COLUMN id SET DEFAULT nextval('background_jobs_id_seq'),
    ALTER COLUMN attempts SET DEFAULT 0,
    ALTER COLUMN crashes SET DEFAULT 0,
    ALTER COLUMN created_at SET DEFAULT now(),
    ALTER COLUMN is_bad SET DEFAULT FALSE;

CREATE FUNCTION write_archive() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'INSERT' THEN
        INSERT INTO job_archive
        VALUES (new.id, new.key, new.queue, new.task, new.status, new.attempts, new.crashes,
                new.error, new.worker_id, new.created_at, new.scheduled_at, new.started_at,
                new.finished_at, new.is_bad);
        RETURN new;
    ELSIF tg_op = 'UPDATE' THEN
        UPDATE job_archive
        SET (id, key, queue, task, status, attempts, crashes, error, worker_id, created_at,
             scheduled_at, started_at, finished_at, is_bad)
            = (new.id, new.key, new.queue, new.task, new.status, new.attempts, new.crashes,
               new.error, new.worker_id, new.created_at, new.scheduled_at, new.started_at,
               new.finished_at, new.is_bad)
        WHERE id = old.id;
        IF FOUND THEN RETURN new; END IF;
    ELSE
        DELETE FROM job_archive WHERE id = old.id;
        IF FOUND THEN RETURN old; END IF;
    END IF;
    RETURN NULL; -- the history of a job in saq_jobs is its row there, and changes with it alone
END
$$;

CREATE TRIGGER write_archive INSTEAD OF INSERT OR UPDATE OR DELETE ON background_jobs
    FOR EACH ROW EXECUTE FUNCTION write_archive();
