-- How many runs of jobs ended in each minute, by the pool of the worker: what the console draws.
CREATE TABLE queue_minutes (
    minute TIMESTAMPTZ NOT NULL,
    pool TEXT NOT NULL,
    complete BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    retried BIGINT NOT NULL,
    PRIMARY KEY (minute, pool)
);
