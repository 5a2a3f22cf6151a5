-- What the engine adds to SAQ's jobs. Every column has a default: a stock client's INSERT works.
ALTER TABLE saq_jobs
    -- grows at every claim and at every decision taken over a worker's head; a worker may only
    -- finish a job under the lease it claimed it with
    ADD COLUMN lease BIGINT NOT NULL DEFAULT 0,
    -- the live worker that holds the job; NULL while nobody does
    ADD COLUMN owner TEXT,
    ADD COLUMN attempts INT NOT NULL DEFAULT 0,
    -- workers that died while running it: costs no attempt, but the third ends the job
    ADD COLUMN crashes INT NOT NULL DEFAULT 0,
    ADD COLUMN started_at TIMESTAMPTZ,
    ADD COLUMN progress DOUBLE PRECISION NOT NULL DEFAULT 0,
    ADD COLUMN error TEXT,
    -- not due yet when it was enqueued. A claim reads only the others, so that a million jobs for
    -- next week cost it nothing; what has become due is moved over first.
    ADD COLUMN is_delayed BOOLEAN NOT NULL DEFAULT FALSE;

-- Room on each page for the two updates of a job's life: they then repeat neither key nor payload
-- in the write-ahead log. Vacuum follows the churn instead of the table's size.
ALTER TABLE saq_jobs SET (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0
);

-- SAQ's own indexes hold every job at every step. Ours hold only those a statement looks for; they
-- serve SAQ's statements too.
DROP INDEX saq_jobs_status_queue_group_key_idx;
DROP INDEX saq_jobs_status_queue_priority_scheduled_idx;
CREATE INDEX saq_jobs_waiting_idx ON saq_jobs (queue, priority, scheduled)
    WHERE status = 'queued' AND NOT is_delayed;
CREATE INDEX saq_jobs_delayed_idx ON saq_jobs (queue, scheduled)
    WHERE status = 'queued' AND is_delayed;
CREATE INDEX saq_jobs_held_idx ON saq_jobs (queue, owner) WHERE status IN ('active', 'aborting');
CREATE INDEX saq_jobs_expired_idx ON saq_jobs (expire_at)
    WHERE status IN ('complete', 'failed', 'aborted');
-- One job of a group at a time, whoever claims.
CREATE UNIQUE INDEX saq_jobs_group_idx ON saq_jobs (queue, group_key)
    WHERE status IN ('active', 'aborting') AND group_key IS NOT NULL;

-- A worker is alive while its lease has not expired, on the database's clock.
CREATE TABLE queue_workers (
    id TEXT PRIMARY KEY,
    queue TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at TIMESTAMPTZ NOT NULL,
    -- its lease had run out before this; the others may have been cut off as well, so it takes over
    -- no jobs until a lease's time later
    steady_since TIMESTAMPTZ NOT NULL DEFAULT '-infinity',
    -- it found nothing to do and wants to be told; while nobody waits, an enqueue notifies nobody
    is_waiting BOOLEAN NOT NULL DEFAULT FALSE
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 100, autovacuum_vacuum_scale_factor = 0);
