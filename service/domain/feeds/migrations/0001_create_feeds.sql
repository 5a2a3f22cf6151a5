-- The feeds domain: what is followed, and what was found in it.
CREATE TABLE feeds (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url TEXT NOT NULL UNIQUE,
    title TEXT,
    -- what the server said of its last answer, for "has it changed since?"
    etag TEXT,
    last_modified TEXT,
    checked_at TIMESTAMPTZ,
    error TEXT, -- why the last check found nothing; NULL when it went well
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE feed_entries (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    feed_id BIGINT NOT NULL REFERENCES feeds ON DELETE CASCADE,
    guid TEXT NOT NULL, -- what the feed calls the entry: it is stored once
    url TEXT,
    title TEXT NOT NULL,
    summary TEXT NOT NULL, -- plain text
    published_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    UNIQUE (feed_id, guid)
);
CREATE INDEX feed_entries_by_feed ON feed_entries (feed_id, id);
