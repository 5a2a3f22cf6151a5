-- Changes of many jobs at once, which a process of the API makes step by step.
CREATE TABLE bulk_actions (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action TEXT NOT NULL,
    priority SMALLINT,
    filter JSONB NOT NULL,
    keys TEXT[], -- only these jobs
    undoes BIGINT UNIQUE REFERENCES bulk_actions (id),
    who TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    first BIGINT NOT NULL, -- behind the newest job at that time
    last BIGINT NOT NULL, -- the oldest one
    place BIGINT NOT NULL, -- what is older is still to do
    changed BIGINT NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'running', -- or stopped, or done
    error TEXT,
    ended_at TIMESTAMPTZ,
    owner TEXT, -- the process that makes it, until leased_until
    leased_until TIMESTAMPTZ
);
CREATE INDEX bulk_actions_running_idx ON bulk_actions (id) WHERE state = 'running';

-- What each step has changed, as it was before.
CREATE TABLE bulk_steps (
    action BIGINT NOT NULL REFERENCES bulk_actions (id),
    step BIGINT GENERATED ALWAYS AS IDENTITY,
    was JSONB NOT NULL,
    PRIMARY KEY (action, step)
);

-- Whoever may change jobs may also change many at once.
DO $$
DECLARE
    statement TEXT;
BEGIN
    FOR statement IN
        SELECT format('GRANT SELECT, INSERT, UPDATE, DELETE ON bulk_actions, bulk_steps TO %s',
                      CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
        FROM (SELECT DISTINCT grantee FROM pg_class, aclexplode(relacl)
              WHERE oid = 'saq_jobs'::regclass AND privilege_type = 'UPDATE') AS found
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
