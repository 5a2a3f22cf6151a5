CREATE TABLE notes (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_key TEXT NOT NULL UNIQUE, -- a job that runs twice keeps one note
    message TEXT NOT NULL
);
