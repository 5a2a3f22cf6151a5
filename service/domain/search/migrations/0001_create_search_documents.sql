-- The search domain's index: a copy of what can be found, made anew every night.
CREATE TABLE search_documents (
    content_type TEXT NOT NULL,
    content_id BIGINT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    url TEXT,
    -- a word of the title counts for more than one of the body
    words TSVECTOR NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('english', title), 'A') || setweight(to_tsvector('english', body), 'B')
    ) STORED,
    indexed_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (content_type, content_id)
);
CREATE INDEX search_documents_words ON search_documents USING gin (words);
