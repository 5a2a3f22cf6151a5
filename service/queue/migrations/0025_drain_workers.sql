-- How many jobs a worker runs at a time, whether it can be drained by itself, and whether somebody wants
-- that. Workers of a release before do neither: they say no number, and cannot.
ALTER TABLE queue_workers
    ADD COLUMN slots INT,
    ADD COLUMN can_drain BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN is_draining BOOLEAN NOT NULL DEFAULT FALSE;
