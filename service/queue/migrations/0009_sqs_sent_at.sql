-- For QUEUE_DSN=sqs://: when the message of `sent` was sent. A job that is due and has waited for long
-- since then gets another: SQS may have put its message aside.
ALTER TABLE saq_jobs ADD COLUMN sent_at TIMESTAMPTZ;
