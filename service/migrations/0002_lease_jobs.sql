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
    ADD COLUMN error TEXT;

-- A worker is alive while its lease has not expired, on the database's clock.
CREATE TABLE queue_workers (
    id TEXT PRIMARY KEY,
    queue TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX saq_jobs_held_idx ON saq_jobs (queue, owner) WHERE status IN ('active', 'aborting');
CREATE INDEX saq_jobs_expired_idx ON saq_jobs (expire_at)
    WHERE status IN ('complete', 'failed', 'aborted');
CREATE INDEX saq_jobs_waiting_idx ON saq_jobs (queue, priority, scheduled) WHERE status = 'queued';
CREATE INDEX saq_jobs_due_idx ON saq_jobs (queue, scheduled) WHERE status = 'queued';
