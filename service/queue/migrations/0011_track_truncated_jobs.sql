-- TRUNCATE fires no trigger of DELETE: the history of jobs that it takes away would stay open for
-- ever, and the schedule of a unique job would wait for it. Before it, the rows can still be read.
CREATE FUNCTION track_truncated_jobs() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    UPDATE background_jobs b
    SET status = 'aborted', finished_at = now(), is_bad = TRUE,
        error = 'its row was deleted while it was ' || o.status
    FROM saq_jobs o
    WHERE b.id = o.background_job_id
      AND o.status NOT IN ('complete', 'failed', 'aborted');
    RETURN NULL;
END
$$;

CREATE TRIGGER track_truncated_jobs BEFORE TRUNCATE ON saq_jobs
    FOR EACH STATEMENT EXECUTE FUNCTION track_truncated_jobs();
