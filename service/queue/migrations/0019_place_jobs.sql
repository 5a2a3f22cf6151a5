-- Which jobs wait, are due later or run, and which groups are busy, stands in narrow tables: an index of
-- saq_jobs that named the status would get a new entry at each step of a job. The row of saq_jobs stays
-- the truth, and triggers keep these tables to it, whoever changes it: an image before this release, a
-- stock client, somebody in psql. Rows from before are placed by 0020.
LOCK TABLE saq_jobs IN ACCESS EXCLUSIVE MODE;

-- The number in queue_claims of the claim that started the job last. A claim of other software has none:
-- the trigger below counts it below zero, as its job.
ALTER TABLE saq_jobs ADD COLUMN claim BIGINT;

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

-- Whoever may change jobs may change where they stand.
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
        SELECT claim, coalesce(owner, ''), ARRAY[background_job_id]
        FROM placed WHERE status IN ('active', 'aborting');
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

-- A claim of this release has a number of its own, and has taken its jobs out of queue_ready itself.
CREATE FUNCTION place_changed_job() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
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
    ELSIF new.status IN ('active', 'aborting') THEN
        INSERT INTO queue_claims (id, owner, jobs)
        VALUES (new.claim, coalesce(new.owner, ''), ARRAY[new.background_job_id])
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER place_changed_job AFTER UPDATE ON saq_jobs FOR EACH ROW
    WHEN ((new.status <> 'active' OR new.claim < 0)
          AND (old.status = 'queued' OR new.status IN ('queued', 'active', 'aborting'))
          AND (old.status, old.is_delayed, old.scheduled, old.priority, old.queue, old.group_key,
               old.background_job_id, old.owner)
              IS DISTINCT FROM (new.status, new.is_delayed, new.scheduled, new.priority, new.queue,
                                new.group_key, new.background_job_id, new.owner))
    EXECUTE FUNCTION place_changed_job();

CREATE FUNCTION end_own_claim() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM queue_claims WHERE (owner, id) = (coalesce(old.owner, ''), old.claim);
    RETURN NULL;
END
$$;

CREATE TRIGGER end_own_claim AFTER UPDATE ON saq_jobs FOR EACH ROW
    WHEN (old.claim < 0 AND old.status IN ('active', 'aborting')
          AND (new.status NOT IN ('active', 'aborting') OR old.owner IS DISTINCT FROM new.owner))
    EXECUTE FUNCTION end_own_claim();

-- One job of a group at a time, whoever claims: the second one breaks the primary key.
CREATE FUNCTION note_busy_group() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM queue_groups
    WHERE (queue, group_key, id) = (old.queue, old.group_key, old.background_job_id);
    IF new.status IN ('active', 'aborting') AND new.group_key IS NOT NULL THEN
        INSERT INTO queue_groups (queue, group_key, id)
        VALUES (new.queue, new.group_key, new.background_job_id);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER note_busy_group AFTER UPDATE ON saq_jobs FOR EACH ROW
    WHEN ((old.group_key IS NOT NULL OR new.group_key IS NOT NULL)
          AND (old.status IN ('active', 'aborting'), old.queue, old.group_key, old.background_job_id)
              IS DISTINCT FROM (new.status IN ('active', 'aborting'), new.queue, new.group_key,
                                new.background_job_id))
    EXECUTE FUNCTION note_busy_group();

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

-- Who inserts a running job, or starts one without a number of a claim.
CREATE OR REPLACE FUNCTION note_foreign_job() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
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

CREATE FUNCTION number_foreign_claim() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    new.claim := -new.background_job_id;
    RETURN new;
END
$$;

-- After note_foreign_change, by name.
CREATE TRIGGER number_foreign_claim BEFORE UPDATE ON saq_jobs FOR EACH ROW
    WHEN (new.status IN ('active', 'aborting')
          AND (old.status NOT IN ('active', 'aborting') OR old.owner IS DISTINCT FROM new.owner)
          AND old.claim IS NOT DISTINCT FROM new.claim)
    EXECUTE FUNCTION number_foreign_claim();
