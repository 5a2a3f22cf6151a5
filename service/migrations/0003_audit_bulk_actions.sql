-- The bulk action that was begun: its own table says how many jobs it has changed.
ALTER TABLE console_actions ADD COLUMN bulk_action BIGINT;
