-- What runs by itself, whether the code declares it or somebody created it through the API. Any
-- worker may put a due tick into the queue: it moves next_run_at on in the same transaction.
CREATE TABLE recurring_jobs (
    queue TEXT NOT NULL,
    name TEXT NOT NULL,
    task TEXT NOT NULL,
    -- exactly one of the two
    cron TEXT,
    every_seconds INT,
    tz TEXT NOT NULL,
    payload JSONB NOT NULL,
    -- a tick is left out while the job of the one before waits or runs
    is_unique BOOLEAN NOT NULL,
    is_declared BOOLEAN NOT NULL,
    is_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    next_run_at TIMESTAMPTZ NOT NULL, -- the tick that comes next, by the database's clock
    last_key TEXT, -- the job of the last tick; what became of it is in background_jobs
    last_error TEXT, -- why the last tick became no job
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (queue, name),
    CHECK ((cron IS NULL) <> (every_seconds IS NULL))
);

-- What the code of this worker declares. A declared schedule goes when no living worker has it: in
-- a deployment the releases overlap.
ALTER TABLE queue_workers ADD COLUMN schedules TEXT[] NOT NULL DEFAULT '{}';
