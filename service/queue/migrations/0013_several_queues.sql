-- One worker serves several queues, and operators pause a queue.

ALTER TABLE queue_workers
    -- The queues that it fetches from. NULL for a worker of an earlier release, which has the one in
    -- `queue`; of a later one that is the queue in whose name schedules and reports are kept.
    ADD COLUMN queues TEXT[],
    -- its worker pool; empty: the default one
    ADD COLUMN pool TEXT NOT NULL DEFAULT '';

-- A queue with a row here is not fetched from until the row is deleted.
CREATE TABLE queue_pauses (
    queue TEXT PRIMARY KEY,
    paused_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- For the list of one queue's jobs. Not of the queue `default`, where most jobs are: it would cost
-- each of them a write.
CREATE INDEX background_jobs_queue_idx ON background_jobs (queue, id DESC) WHERE queue <> 'default';
