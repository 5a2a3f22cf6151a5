-- Who is signed in to the console, and what they have done there.
CREATE TABLE console_sessions (
    id BYTEA PRIMARY KEY, -- the SHA-256 of the cookie, or of the token of a link
    who TEXT NOT NULL,
    may_act BOOLEAN NOT NULL,
    is_link BOOLEAN NOT NULL, -- it works once, and begins a session
    expires_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE console_actions (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    who TEXT NOT NULL,
    what TEXT NOT NULL, -- retry job, pause queue, sign in
    target TEXT NOT NULL, -- a job's key, a queue's name, or the filter of many jobs
    jobs INTEGER -- how many it changed, where it is about jobs
);
