-- Who reports on a queue next: whichever process comes first once the last report is old enough.
CREATE TABLE queue_reports (
    queue TEXT PRIMARY KEY,
    reported_at TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 50);
