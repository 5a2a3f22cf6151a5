-- For QUEUE_DSN=sqs://: the lease under which a message for the job was sent last. One whose lease
-- has moved on since waits for a new message. Always NULL where Postgres itself is the queue.
ALTER TABLE saq_jobs ADD COLUMN sent BIGINT;
