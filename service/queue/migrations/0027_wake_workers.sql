-- Functions, because a statement pays for each of its parts whether it comes to it or not: these are
-- called only where somebody waits.

-- Notifies at most so many of the live workers that wait for a job of a queue, in any order, but not
-- the worker `but`. One of the first release hears only the channel of its queue.
CREATE FUNCTION wake_workers(of_queue TEXT, most BIGINT, but TEXT) RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE
    woken BIGINT;
BEGIN
    PERFORM CASE WHEN w.queues IS NULL THEN pg_notify('saq:' || w.queue, 'saq:enqueue')
                 ELSE pg_notify('moorage:' || w.id, 'moorage:wake') END
    FROM (SELECT id, queue, queues FROM queue_workers
          WHERE is_waiting AND expires_at > clock_timestamp()
            AND of_queue = ANY (coalesce(queues, ARRAY[queue])) AND id <> but
          ORDER BY random() LIMIT most) AS w;
    GET DIAGNOSTICS woken = ROW_COUNT;
    RETURN woken;
END
$$;

-- Tells workers of new jobs. One that is due wakes one worker, and all jobs one more: one may be dead
-- or just got busy. When delayed ones are due all have to know. While nobody waits nobody is told, unless
-- `always`.
CREATE FUNCTION announce_jobs(of_queue TEXT, channel TEXT, due BIGINT, delayed BIGINT, always BOOLEAN)
RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    is_anybody_waiting BOOLEAN := EXISTS (
        SELECT FROM queue_workers
        WHERE is_waiting AND expires_at > clock_timestamp()
          AND of_queue = ANY (coalesce(queues, ARRAY[queue])));
BEGIN
    IF due > 0 AND is_anybody_waiting THEN
        PERFORM wake_workers(of_queue, due + 1, '');
    ELSIF due > 0 AND always THEN
        PERFORM pg_notify(channel, 'saq:enqueue');
    END IF;
    IF delayed > 0 AND (is_anybody_waiting OR always) THEN
        PERFORM pg_notify(channel, 'saq:delayed');
    END IF;
END
$$;
