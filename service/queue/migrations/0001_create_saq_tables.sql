-- SAQ's own tables, as its schema version 3 has them, so that stock SAQ clients, workers and its web
-- page can share them. Created here because SAQ's own start-up code skips them when another process
-- holds its lock. A database that already has them keeps its rows.
CREATE TABLE IF NOT EXISTS saq_versions (version INT);

CREATE TABLE IF NOT EXISTS saq_jobs (
    key TEXT PRIMARY KEY,
    lock_key BIGSERIAL NOT NULL,
    job BYTEA NOT NULL,
    queue TEXT NOT NULL,
    status TEXT NOT NULL,
    priority SMALLINT NOT NULL DEFAULT 0,
    group_key TEXT,
    scheduled BIGINT NOT NULL DEFAULT EXTRACT(EPOCH FROM NOW()),
    expire_at BIGINT
);

CREATE TABLE IF NOT EXISTS saq_stats (
    worker_id TEXT PRIMARY KEY,
    stats JSONB,
    expire_at BIGINT
);
ALTER TABLE saq_stats ADD COLUMN IF NOT EXISTS metadata JSONB;
ALTER TABLE saq_stats ADD COLUMN IF NOT EXISTS queue_key TEXT;

CREATE INDEX IF NOT EXISTS saq_stats_expire_at_idx ON saq_stats (expire_at);
CREATE INDEX IF NOT EXISTS saq_stats_queue_key_idx ON saq_stats (queue_key);
CREATE INDEX IF NOT EXISTS saq_jobs_status_queue_group_key_idx
    ON saq_jobs (status, queue, group_key);
CREATE INDEX IF NOT EXISTS saq_jobs_status_queue_priority_scheduled_idx
    ON saq_jobs (status, queue, priority, scheduled);
DROP INDEX IF EXISTS saq_jobs_dequeue_idx;

-- SAQ makes lock_key an int4 that nothing reads and every insert attempt counts up: at 2^31 all
-- enqueues end. Widened where SAQ created the table.
ALTER TABLE saq_jobs ALTER COLUMN lock_key TYPE BIGINT;
ALTER SEQUENCE saq_jobs_lock_key_seq AS BIGINT;

DELETE FROM saq_versions;
INSERT INTO saq_versions (version) VALUES (3);
