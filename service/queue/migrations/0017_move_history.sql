-- The history of jobs that still have their row goes into it, a thousand jobs in each transaction, the
-- newest first, which pages show first. What another transaction has locked is left for the next round:
-- nobody waits for the other.
CREATE OR REPLACE PROCEDURE move_history() LANGUAGE plpgsql AS $$
DECLARE
    last BIGINT;
BEGIN
    WHILE EXISTS (SELECT FROM saq_jobs WHERE created_at IS NULL) LOOP
        last := 9223372036854775807;
        WHILE last IS NOT NULL LOOP
            WITH batch AS MATERIALIZED (
                SELECT key, background_job_id FROM saq_jobs
                WHERE created_at IS NULL AND background_job_id < last
                ORDER BY background_job_id DESC LIMIT 1000 FOR UPDATE SKIP LOCKED
            ), history AS (
                DELETE FROM job_archive b USING batch WHERE b.id = batch.background_job_id
                RETURNING b.id, b.task, b.worker_id, b.created_at, b.started_at, b.finished_at
            ), moved AS (
                UPDATE saq_jobs j
                SET created_at = coalesce(h.created_at, now()), worker_id = h.worker_id,
                    started_at = coalesce(j.started_at, h.started_at),
                    finished_at = h.finished_at, is_bad = j.status IN ('failed', 'aborted'),
                    task = coalesce(j.task, h.task, '?')
                FROM batch LEFT JOIN history h ON h.id = batch.background_job_id
                WHERE j.key = batch.key
            )
            SELECT min(background_job_id) INTO last FROM batch;
            COMMIT;
        END LOOP;
    END LOOP;
END
$$;

-- It may take minutes. The planner may not read and sort the whole table for each thousand jobs.
SET statement_timeout = 0;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_sort = off;
CALL move_history();
RESET statement_timeout;
RESET enable_seqscan;
RESET enable_bitmapscan;
RESET enable_sort;

DROP PROCEDURE move_history;
