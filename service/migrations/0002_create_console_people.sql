-- People who sign in to the console with a password of their own.
CREATE TABLE console_people (
    name TEXT PRIMARY KEY,
    may_act BOOLEAN NOT NULL,
    salt BYTEA NOT NULL,
    hash BYTEA NOT NULL, -- scrypt, as service/console/people.py makes it
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
