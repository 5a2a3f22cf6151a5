-- Which job was enqueued by which other one. Nothing is written for a job that has no parent.
CREATE TABLE job_children (
    child BIGINT PRIMARY KEY, -- its number in background_jobs
    parent TEXT NOT NULL, -- its key
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX job_children_parent_idx ON job_children (parent, child);

-- Whoever may enqueue may write here.
DO $$
DECLARE
    statement TEXT;
BEGIN
    FOR statement IN
        SELECT format('GRANT %s ON job_children TO %s', privilege_type,
                      CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
        FROM pg_class, aclexplode(relacl)
        WHERE oid = 'saq_jobs'::regclass AND privilege_type IN ('SELECT', 'INSERT', 'DELETE')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
