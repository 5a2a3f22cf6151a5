-- when: NOT EXISTS (SELECT FROM queue_workers WHERE queues IS NULL) AND (NOT EXISTS (SELECT FROM saq_jobs) OR (SELECT applied_at < now() - interval '1 day' FROM moorage_migrations WHERE owner = 'queue' AND version = 19))
-- Only workers of the first release read these indexes, and stock SAQ workers. Each step of a job wrote
-- to them; without them no change of a job touches an index. A rollback to the first release stays fast
-- for a day, and right for ever.
DROP INDEX CONCURRENTLY IF EXISTS saq_jobs_waiting_idx;
DROP INDEX CONCURRENTLY IF EXISTS saq_jobs_delayed_idx;
DROP INDEX CONCURRENTLY IF EXISTS saq_jobs_held_idx;
DROP INDEX CONCURRENTLY IF EXISTS saq_jobs_expired_idx;
DROP INDEX CONCURRENTLY IF EXISTS saq_jobs_group_idx;
DROP INDEX CONCURRENTLY IF EXISTS saq_jobs_bad_idx;
