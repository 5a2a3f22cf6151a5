-- The history of every job, kept after its row in saq_jobs has expired.
CREATE SEQUENCE background_jobs_id_seq;

CREATE TABLE background_jobs (
    id BIGINT PRIMARY KEY DEFAULT nextval('background_jobs_id_seq'),
    key TEXT NOT NULL,
    queue TEXT NOT NULL,
    task TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts INT NOT NULL DEFAULT 0,
    crashes INT NOT NULL DEFAULT 0,
    error TEXT,
    worker_id TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    scheduled_at TIMESTAMPTZ NOT NULL,
    started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ,
    is_bad BOOLEAN NOT NULL DEFAULT FALSE -- failed or aborted
) WITH (
    fillfactor = 60,
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0
);

-- No index holds what changes while a job goes well: its updates then touch the row alone (HOT).
CREATE INDEX background_jobs_key_idx ON background_jobs (key, id DESC);
CREATE INDEX background_jobs_task_idx ON background_jobs (task, id DESC);
CREATE INDEX background_jobs_bad_idx ON background_jobs (id DESC) WHERE is_bad;

ALTER TABLE saq_jobs
    ADD COLUMN task TEXT, -- NULL where a stock client wrote the row: it is inside the blob then
    ADD COLUMN background_job_id BIGINT NOT NULL DEFAULT nextval('background_jobs_id_seq');

-- Triggers rather than statements in the service: whoever changes a job (our engine, a stock SAQ
-- client, the web page, somebody in psql) changes its history in the same transaction. They fire
-- once for a statement, however many jobs it changes.

-- A field of a row that a stock SAQ client wrote, which has it only inside its blob.
-- NULL where the blob cannot be read: a malformed job is the worker's business, not the writer's.
CREATE FUNCTION saq_job_field(job BYTEA, field TEXT) RETURNS TEXT LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN convert_from(job, 'UTF8')::JSONB ->> field;
EXCEPTION WHEN others THEN
    RETURN NULL;
END
$$;

-- A stock client may have written any number; the year 9999 is the last that everybody can read.
CREATE FUNCTION saq_job_time(scheduled BIGINT) RETURNS TIMESTAMPTZ LANGUAGE sql IMMUTABLE AS $$
    SELECT to_timestamp(greatest(least(scheduled, 253370764800), 0))
$$;

CREATE FUNCTION track_new_jobs() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO background_jobs (id, key, queue, task, status, scheduled_at)
    SELECT background_job_id, key, queue, coalesce(task, saq_job_field(job, 'function'), '?'),
           status, saq_job_time(scheduled)
    FROM changed;
    RETURN NULL;
END
$$;

-- Row by row through the primary key, never table against table: the transition table has no index,
-- and a plan made for one row would be kept for a thousand.
CREATE FUNCTION track_changed_jobs() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    UPDATE background_jobs b
    SET status = n.status,
        attempts = n.attempts,
        crashes = n.crashes,
        error = CASE WHEN n.error IS NULL AND n.status IN ('failed', 'aborted')
                     THEN saq_job_field(n.job, 'error') ELSE n.error END,
        worker_id = coalesce(n.owner, b.worker_id),
        scheduled_at = saq_job_time(n.scheduled),
        started_at = CASE WHEN n.owner IS NULL AND n.status = 'active' THEN now() -- a stock worker
                          ELSE coalesce(n.started_at, b.started_at) END,
        finished_at = CASE WHEN n.status IN ('complete', 'failed', 'aborted') THEN now() END,
        is_bad = n.status IN ('failed', 'aborted')
    FROM changed n
    WHERE b.id = n.background_job_id
      AND (n.status, n.attempts, n.crashes, saq_job_time(n.scheduled))
          IS DISTINCT FROM (b.status, b.attempts, b.crashes, b.scheduled_at);

    -- An ended key that was enqueued again is a new job with a new id.
    INSERT INTO background_jobs (id, key, queue, task, status, scheduled_at)
    SELECT n.background_job_id, n.key, n.queue,
           coalesce(n.task, saq_job_field(n.job, 'function'), '?'),
           n.status, saq_job_time(n.scheduled)
    FROM changed n
    WHERE n.status = 'queued'
      AND NOT EXISTS (SELECT FROM background_jobs b WHERE b.id = n.background_job_id);
    RETURN NULL;
END
$$;

CREATE FUNCTION track_deleted_jobs() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    UPDATE background_jobs b
    SET status = 'aborted', finished_at = now(), is_bad = TRUE,
        error = 'its row was deleted while it was ' || o.status
    FROM previous o
    WHERE b.id = o.background_job_id
      AND o.status NOT IN ('complete', 'failed', 'aborted');
    RETURN NULL;
END
$$;

CREATE TRIGGER track_new_jobs AFTER INSERT ON saq_jobs
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION track_new_jobs();

CREATE TRIGGER track_changed_jobs AFTER UPDATE ON saq_jobs
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION track_changed_jobs();

CREATE TRIGGER track_deleted_jobs AFTER DELETE ON saq_jobs
    REFERENCING OLD TABLE AS previous
    FOR EACH STATEMENT EXECUTE FUNCTION track_deleted_jobs();

-- Jobs that a stock client had queued before.
INSERT INTO background_jobs (id, key, queue, task, status, scheduled_at)
SELECT background_job_id, key, queue, coalesce(saq_job_field(job, 'function'), '?'), status,
       saq_job_time(scheduled)
FROM saq_jobs;
