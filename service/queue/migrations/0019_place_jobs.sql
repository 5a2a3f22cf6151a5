-- Which jobs wait, are due later or run, and which groups are busy, stands in narrow tables: an index of
-- saq_jobs that named the status would get a new entry at each step of a job. The row of saq_jobs stays
-- the truth, and triggers keep these tables to it, whoever changes it: an image before this release, a
-- stock client, somebody in psql. Rows from before are placed by 0020.
LOCK TABLE saq_jobs IN ACCESS EXCLUSIVE MODE;

-- The number in queue_claims of the claim that started the job last. A job that another program starts
-- gets its own number, negative. NULL once the job has ended in this release.
ALTER TABLE saq_jobs ADD COLUMN claim BIGINT;
-- Room on each page for the two versions of a job that its life adds, which are longer than the first.
ALTER TABLE saq_jobs SET (fillfactor = 40);

-- Jobs that wait and are not delayed, in the order in which they are claimed.
CREATE TABLE queue_ready (
    id BIGINT NOT NULL,
    scheduled BIGINT NOT NULL,
    priority SMALLINT NOT NULL,
    queue TEXT NOT NULL,
    group_key TEXT,
    PRIMARY KEY (queue, priority, scheduled, id)
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

-- Jobs that wait and are due later.
CREATE TABLE queue_delayed (
    id BIGINT NOT NULL,
    scheduled BIGINT NOT NULL,
    queue TEXT NOT NULL,
    PRIMARY KEY (queue, scheduled, id)
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

-- Jobs that run, those of one claim in one row. Some of them may have ended.
CREATE TABLE queue_claims (
    id BIGINT NOT NULL,
    owner TEXT NOT NULL, -- the worker; empty: a stock one
    jobs BIGINT[] NOT NULL,
    PRIMARY KEY (owner, id)
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0
);
CREATE SEQUENCE queue_claims_id_seq OWNED BY queue_claims.id;

-- Groups of which a job runs.
CREATE TABLE queue_groups (
    queue TEXT NOT NULL,
    group_key TEXT NOT NULL,
    id BIGINT NOT NULL,
    PRIMARY KEY (queue, group_key)
) WITH (autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

-- Whoever may read or change jobs may do the same with where they stand.
DO $$
DECLARE
    statement TEXT;
BEGIN
    FOR statement IN
        SELECT format(what, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
        FROM (SELECT DISTINCT grantee FROM pg_class, aclexplode(relacl)
              WHERE oid = 'saq_jobs'::regclass
                AND privilege_type IN ('INSERT', 'UPDATE', 'DELETE')) AS found,
             unnest(ARRAY[
                 'GRANT SELECT, INSERT, UPDATE, DELETE ON queue_ready, queue_delayed, queue_claims,'
                 ' queue_groups TO %s',
                 'GRANT USAGE, SELECT ON SEQUENCE queue_claims_id_seq TO %s']) AS what
        UNION ALL
        SELECT format('GRANT SELECT ON queue_ready, queue_delayed, queue_claims, queue_groups'
                      ' TO %s', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
        FROM pg_class, aclexplode(relacl)
        WHERE oid = 'saq_jobs'::regclass AND privilege_type = 'SELECT'
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;

CREATE FUNCTION place_new_jobs() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO queue_ready (id, scheduled, priority, queue, group_key)
    SELECT background_job_id, scheduled, priority, queue, group_key
    FROM placed WHERE status = 'queued' AND NOT is_delayed;
    IF EXISTS (SELECT FROM placed WHERE status <> 'queued' OR is_delayed) THEN
        INSERT INTO queue_delayed (id, scheduled, queue)
        SELECT background_job_id, scheduled, queue
        FROM placed WHERE status = 'queued' AND is_delayed;
        INSERT INTO queue_claims (id, owner, jobs)
        SELECT claim, coalesce(owner, ''), array_agg(background_job_id)
        FROM placed WHERE status IN ('active', 'aborting') GROUP BY 1, 2;
        INSERT INTO queue_groups (queue, group_key, id)
        SELECT queue, group_key, background_job_id
        FROM placed WHERE status IN ('active', 'aborting') AND group_key IS NOT NULL;
    END IF;
    RETURN NULL;
END
$$;

-- Once for a statement, however many jobs it inserts.
CREATE TRIGGER place_new_jobs AFTER INSERT ON saq_jobs
    REFERENCING NEW TABLE AS placed
    FOR EACH STATEMENT EXECUTE FUNCTION place_new_jobs();

-- Claims and ends of this release move the job themselves and change `claim`; the triggers skip such a
-- change. Their conditions are short, because Postgres reads each of them anew in each statement.
DROP TRIGGER archive_replaced_job ON saq_jobs;
DROP FUNCTION archive_replaced_job;

CREATE FUNCTION follow_changed_job() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    ran BOOLEAN := old.status IN ('active', 'aborting');
    runs BOOLEAN := new.status IN ('active', 'aborting');
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

CREATE TRIGGER follow_changed_job AFTER UPDATE ON saq_jobs FOR EACH ROW
    WHEN (old.claim IS NOT DISTINCT FROM new.claim OR new.claim < 0 OR new.group_key IS NOT NULL)
    EXECUTE FUNCTION follow_changed_job();

CREATE OR REPLACE FUNCTION archive_deleted_jobs() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO job_archive
    SELECT record.* FROM previous o, saq_job_record(ROW (o.*)::saq_jobs) AS record
    ON CONFLICT (id) DO NOTHING;
    IF EXISTS (SELECT FROM previous
               WHERE status NOT IN ('complete', 'failed', 'aborted')) THEN
        DELETE FROM queue_ready r USING previous o
        WHERE (r.queue, r.priority, r.scheduled, r.id)
            = (o.queue, o.priority, o.scheduled, o.background_job_id);
        DELETE FROM queue_delayed d USING previous o
        WHERE (d.queue, d.scheduled, d.id) = (o.queue, o.scheduled, o.background_job_id);
        DELETE FROM queue_groups g USING previous o
        WHERE (g.queue, g.group_key, g.id) = (o.queue, o.group_key, o.background_job_id);
        DELETE FROM queue_claims c USING previous o
        WHERE (c.owner, c.id) = (coalesce(o.owner, ''), o.claim) AND o.claim < 0;
    END IF;
    RETURN NULL;
END
$$;

-- What the triggers of 0004, 0012 and 0016 did before a row is written, in one for each kind.
DROP TRIGGER mend_new_stock_job ON saq_jobs;
DROP TRIGGER note_foreign_job ON saq_jobs;
DROP TRIGGER guard_from_stock_workers ON saq_jobs;
DROP TRIGGER mend_stock_job ON saq_jobs;
DROP TRIGGER note_foreign_change ON saq_jobs;
DROP FUNCTION note_foreign_job, guard_from_stock_workers, mend_stock_job, note_foreign_change;

-- A stock client does not say that a job is due later, its `dump` may end in a newline, behind which no
-- ending could be read, and it has the name of the task only inside the blob.
CREATE FUNCTION mended_stock_job(j saq_jobs) RETURNS saq_jobs LANGUAGE plpgsql AS $$
DECLARE
    was_delayed BOOLEAN := j.is_delayed;
BEGIN
    j.job := saq_job_with(j.job, '}');
    j.task := coalesce(j.task, saq_job_field(j.job, 'function'), '?');
    IF j.status = 'queued' THEN
        j.is_delayed := j.scheduled > floor(extract(epoch FROM statement_timestamp()));
        IF j.is_delayed <> was_delayed THEN
            PERFORM pg_notify('saq:' || j.queue, 'saq:delayed');
        END IF;
    END IF;
    RETURN j;
END
$$;

CREATE FUNCTION check_foreign_job() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF new.task IS NULL THEN
        new := mended_stock_job(new);
    END IF;
    new.created_at := now();
    IF new.status IN ('complete', 'failed', 'aborted') THEN
        new.finished_at := now();
        new.is_bad := new.status <> 'complete';
    ELSIF new.status IN ('active', 'aborting') THEN
        new.claim := -new.background_job_id;
    END IF;
    RETURN new;
END
$$;

CREATE TRIGGER check_foreign_job BEFORE INSERT ON saq_jobs FOR EACH ROW
    WHEN (new.created_at IS NULL)
    EXECUTE FUNCTION check_foreign_job();

CREATE FUNCTION check_changed_job() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    -- A stock SAQ worker sweeps whatever its blob calls stuck, and rewrites rows by key alone. What a
    -- worker of ours holds, and what has ended, it cannot change.
    IF new.job IS DISTINCT FROM old.job AND old.lease = new.lease AND old.status <> new.status THEN
        IF old.status IN ('complete', 'failed', 'aborted') THEN
            -- An abort of what has ended; or the last step of a sweep, which began while the job
            -- ran. (A job that a sweep itself has aborted while it waited does come back by that
            -- step.)
            IF new.status NOT IN ('new', 'queued')
               OR (saq_job_field(new.job, 'error') = 'swept'
                   AND saq_job_field(old.job, 'error') IS DISTINCT FROM 'swept') THEN
                RETURN NULL;
            END IF;
            -- A key that is enqueued or retried again: a new job, with all its attempts.
            new.background_job_id := nextval('background_jobs_id_seq');
            new.lease := old.lease + 1;
            new.attempts := 0;
            new.crashes := 0;
            new.progress := 0;
            new.error := NULL;
            new.started_at := NULL;
            new.is_delayed := FALSE;
            new.task := saq_job_field(new.job, 'function');
        ELSIF old.owner IS NOT NULL AND new.owner IS NOT NULL THEN
            IF new.status <> 'aborting' OR saq_job_field(new.job, 'error') = 'swept' THEN
                RETURN NULL; -- a sweep, or a late finish of a job that was taken over
            END IF;
            new.error := saq_job_field(new.job, 'error'); -- somebody asks for it, on SAQ's page
            new.job := old.job;
            PERFORM pg_notify('saq:' || old.queue, 'saq:abort');
        END IF;
    END IF;
    IF new.job IS DISTINCT FROM old.job AND (old.status = new.status OR old.owner IS NULL)
       AND (substring(new.job FROM octet_length(new.job)) <> '\x7d'
            OR new.status = 'queued' AND new.is_delayed
               <> (new.scheduled > floor(extract(epoch FROM statement_timestamp())))) THEN
        new := mended_stock_job(new);
    END IF;
    -- What statements do not know that were written before the columns of 0014.
    IF old.background_job_id <> new.background_job_id THEN
        IF old.created_at IS NOT DISTINCT FROM new.created_at THEN -- an ended key: a new job
            new.created_at := now();
            new.worker_id := NULL;
            new.task := coalesce(new.task, '?');
        END IF;
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
    IF new.status IN ('active', 'aborting')
       AND (old.status NOT IN ('active', 'aborting') OR old.owner IS DISTINCT FROM new.owner) THEN
        new.claim := -new.background_job_id;
    END IF;
    RETURN new;
END
$$;

CREATE TRIGGER check_changed_job BEFORE UPDATE ON saq_jobs FOR EACH ROW
    WHEN (old.claim IS NOT DISTINCT FROM new.claim)
    EXECUTE FUNCTION check_changed_job();
