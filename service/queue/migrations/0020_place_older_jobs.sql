-- Jobs from before 0019 are placed, a thousand in each transaction. What another transaction has locked
-- is left for the next round: nobody waits for the other.
CREATE OR REPLACE PROCEDURE place_older_jobs() LANGUAGE plpgsql AS $$
DECLARE
    last BIGINT;
BEGIN
    WHILE EXISTS (SELECT FROM saq_jobs WHERE status IN ('active', 'aborting') AND claim IS NULL) LOOP
        WITH batch AS MATERIALIZED (
            SELECT key, queue, group_key, owner, background_job_id AS id FROM saq_jobs
            WHERE status IN ('active', 'aborting') AND claim IS NULL
            LIMIT 1000 FOR UPDATE SKIP LOCKED
        ), claims AS (
            INSERT INTO queue_claims (id, owner, jobs)
            SELECT -id, coalesce(owner, ''), ARRAY[id] FROM batch
        ), groups AS (
            INSERT INTO queue_groups (queue, group_key, id)
            SELECT queue, group_key, id FROM batch WHERE group_key IS NOT NULL
        )
        UPDATE saq_jobs j SET claim = -batch.id FROM batch WHERE j.key = batch.key;
        COMMIT;
        PERFORM pg_sleep(0.05); -- one row may stay locked for a while
    END LOOP;
    WHILE EXISTS (
        SELECT FROM saq_jobs j
        WHERE j.status = 'queued'
          AND NOT EXISTS (SELECT FROM queue_ready r
                          WHERE (r.queue, r.priority, r.scheduled, r.id)
                              = (j.queue, j.priority, j.scheduled, j.background_job_id))
          AND NOT EXISTS (SELECT FROM queue_delayed d
                          WHERE (d.queue, d.scheduled, d.id)
                              = (j.queue, j.scheduled, j.background_job_id))
    ) LOOP
        last := 0;
        WHILE last IS NOT NULL LOOP
            WITH batch AS MATERIALIZED (
                SELECT queue, priority, scheduled, group_key, is_delayed,
                       background_job_id AS id
                FROM saq_jobs WHERE status = 'queued' AND background_job_id > last
                ORDER BY background_job_id LIMIT 1000 FOR UPDATE SKIP LOCKED
            ), ready AS (
                INSERT INTO queue_ready (id, scheduled, priority, queue, group_key)
                SELECT id, scheduled, priority, queue, group_key
                FROM batch WHERE NOT is_delayed
                ON CONFLICT DO NOTHING
            ), delayed AS (
                INSERT INTO queue_delayed (id, scheduled, queue)
                SELECT id, scheduled, queue FROM batch WHERE is_delayed
                ON CONFLICT DO NOTHING
            )
            SELECT max(id) INTO last FROM batch;
            COMMIT;
        END LOOP;
        PERFORM pg_sleep(0.2);
    END LOOP;
END
$$;

-- It may take minutes. The planner may not read and sort the whole table for each thousand jobs.
SET statement_timeout = 0;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_sort = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
CALL place_older_jobs();
RESET statement_timeout;
RESET enable_seqscan;
RESET enable_bitmapscan;
RESET enable_sort;
RESET enable_hashjoin;
RESET enable_mergejoin;

DROP PROCEDURE place_older_jobs;

-- A join by the number finds one job, as the planner knows from a unique index.
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS saq_jobs_number_idx ON saq_jobs (background_job_id);
DROP INDEX CONCURRENTLY IF EXISTS saq_jobs_id_idx;
-- Of one queue, for lists of failed jobs: nothing is written here for a job that goes well.
CREATE INDEX CONCURRENTLY IF NOT EXISTS saq_jobs_queue_bad_idx
    ON saq_jobs (queue, background_job_id) WHERE is_bad;
