
CREATE FUNCTION public.guard_from_stock_workers() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF old.status IN ('complete', 'failed', 'aborted') THEN
        -- An abort of what has ended; or the last step of a sweep, which began while the job ran.
        -- (A job that a sweep itself has aborted while it waited does come back by that step.)
        IF new.status NOT IN ('new', 'queued')
           OR (saq_job_field(new.job, 'error') = 'swept'
               AND saq_job_field(old.job, 'error') IS DISTINCT FROM 'swept') THEN
            RETURN NULL;
        END IF;
        -- A key that is enqueued or retried again: a new job, with all its attempts and a history.
        new.background_job_id := nextval('background_jobs_id_seq');
        new.lease := old.lease + 1;
        new.attempts := 0;
        new.crashes := 0;
        new.progress := 0;
        new.error := NULL;
        new.started_at := NULL;
        new.is_delayed := FALSE;
        new.task := saq_job_field(new.job, 'function');
        RETURN new;
    END IF;
    IF new.status = 'aborting' AND saq_job_field(new.job, 'error') IS DISTINCT FROM 'swept' THEN
        new.error := saq_job_field(new.job, 'error'); -- somebody asks for it, on SAQ's page
        new.job := old.job;
        PERFORM pg_notify('saq:' || old.queue, 'saq:abort');
        RETURN new;
    END IF;
    RETURN NULL; -- a sweep, or a late finish of a job that was taken over
END
$$;

CREATE FUNCTION public.saq_job_deadline(job bytea) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE
    AS $$
DECLARE
    started BIGINT;
    timeout BIGINT := 10; -- SAQ's default; null is no limit
BEGIN
    started := saq_job_field(job, 'started')::NUMERIC;
    IF convert_from(job, 'UTF8')::JSONB ? 'timeout' THEN
        timeout := saq_job_field(job, 'timeout')::NUMERIC;
    END IF;
    RETURN CASE WHEN timeout > 0 THEN started / 1000 + timeout END;
EXCEPTION WHEN others THEN
    RETURN NULL;
END
$$;

CREATE FUNCTION public.saq_job_field(job bytea, field text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    AS $$
BEGIN
    RETURN convert_from(job, 'UTF8')::JSONB ->> field;
EXCEPTION WHEN others THEN
    RETURN NULL;
END
$$;

CREATE FUNCTION public.saq_job_time(scheduled bigint) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT to_timestamp(greatest(least(scheduled, 253370764800), 0))
$$;

CREATE FUNCTION public.track_changed_jobs() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE background_jobs b
    SET status = n.status,
        attempts = n.attempts,
        crashes = n.crashes,
        error = CASE WHEN n.error IS NULL AND n.status IN ('failed', 'aborted')
                     THEN saq_job_field(n.job, 'error') ELSE n.error END,
        worker_id = coalesce(n.owner, b.worker_id),
        scheduled_at = saq_job_time(n.scheduled),
        started_at = CASE WHEN n.owner IS NULL AND n.status = 'active' THEN now() -- a stock worker
                          ELSE coalesce(n.started_at, b.started_at) END,
        finished_at = CASE WHEN n.status IN ('complete', 'failed', 'aborted') THEN now() END,
        is_bad = n.status IN ('failed', 'aborted')
    FROM changed n
    WHERE b.id = n.background_job_id
      AND (n.status, n.attempts, n.crashes, saq_job_time(n.scheduled))
          IS DISTINCT FROM (b.status, b.attempts, b.crashes, b.scheduled_at);

    -- An ended key that was enqueued again is a new job with a new id.
    INSERT INTO background_jobs (id, key, queue, task, status, scheduled_at)
    SELECT n.background_job_id, n.key, n.queue,
           coalesce(n.task, saq_job_field(n.job, 'function'), '?'),
           n.status, saq_job_time(n.scheduled)
    FROM changed n
    WHERE n.status = 'queued'
      AND NOT EXISTS (SELECT FROM background_jobs b WHERE b.id = n.background_job_id);
    RETURN NULL;
END
$$;

CREATE FUNCTION public.track_deleted_jobs() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE background_jobs b
    SET status = 'aborted', finished_at = now(), is_bad = TRUE,
        error = 'its row was deleted while it was ' || o.status
    FROM previous o
    WHERE b.id = o.background_job_id
      AND o.status NOT IN ('complete', 'failed', 'aborted');
    RETURN NULL;
END
$$;

CREATE FUNCTION public.track_new_jobs() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO background_jobs (id, key, queue, task, status, scheduled_at)
    SELECT background_job_id, key, queue, coalesce(task, saq_job_field(job, 'function'), '?'),
           status, saq_job_time(scheduled)
    FROM changed;
    RETURN NULL;
END
$$;

CREATE SEQUENCE public.background_jobs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.background_jobs (
    id bigint DEFAULT nextval('public.background_jobs_id_seq'::regclass) NOT NULL,
    key text NOT NULL,
    queue text NOT NULL,
    task text NOT NULL,
    status text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    crashes integer DEFAULT 0 NOT NULL,
    error text,
    worker_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    scheduled_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    is_bad boolean DEFAULT false NOT NULL
)
WITH (fillfactor='60', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='1000', autovacuum_analyze_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');

CREATE TABLE public.email_outbox (
    id bigint NOT NULL,
    job_key text NOT NULL,
    recipient text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE public.email_outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.email_outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.feed_entries (
    id bigint NOT NULL,
    feed_id bigint NOT NULL,
    guid text NOT NULL,
    url text,
    title text NOT NULL,
    summary text NOT NULL,
    published_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE public.feed_entries ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.feed_entries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.feeds (
    id bigint NOT NULL,
    url text NOT NULL,
    title text,
    etag text,
    last_modified text,
    checked_at timestamp with time zone,
    error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE public.feeds ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.feeds_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.queue_reports (
    queue text NOT NULL,
    reported_at timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE public.queue_workers (
    id text NOT NULL,
    queue text NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    steady_since timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    is_waiting boolean DEFAULT false NOT NULL,
    release text,
    schedules text[] DEFAULT '{}'::text[] NOT NULL
)
WITH (fillfactor='50', autovacuum_vacuum_threshold='100', autovacuum_vacuum_scale_factor='0');

CREATE TABLE public.recurring_jobs (
    queue text NOT NULL,
    name text NOT NULL,
    task text NOT NULL,
    cron text,
    every_seconds integer,
    tz text NOT NULL,
    payload jsonb NOT NULL,
    is_unique boolean NOT NULL,
    is_declared boolean NOT NULL,
    is_enabled boolean DEFAULT true NOT NULL,
    next_run_at timestamp with time zone NOT NULL,
    last_key text,
    last_error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT recurring_jobs_check CHECK (((cron IS NULL) <> (every_seconds IS NULL)))
);

CREATE TABLE public.saq_jobs (
    key text NOT NULL,
    lock_key bigint NOT NULL,
    job bytea NOT NULL,
    queue text NOT NULL,
    status text NOT NULL,
    priority smallint DEFAULT 0 NOT NULL,
    group_key text,
    scheduled bigint DEFAULT EXTRACT(epoch FROM now()) NOT NULL,
    expire_at bigint,
    lease bigint DEFAULT 0 NOT NULL,
    owner text,
    attempts integer DEFAULT 0 NOT NULL,
    crashes integer DEFAULT 0 NOT NULL,
    started_at timestamp with time zone,
    progress double precision DEFAULT 0 NOT NULL,
    error text,
    is_delayed boolean DEFAULT false NOT NULL,
    task text,
    background_job_id bigint DEFAULT nextval('public.background_jobs_id_seq'::regclass) NOT NULL,
    sent bigint,
    sent_at timestamp with time zone
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='1000', autovacuum_analyze_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');

CREATE SEQUENCE public.saq_jobs_lock_key_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.saq_jobs_lock_key_seq OWNED BY public.saq_jobs.lock_key;

CREATE TABLE public.saq_stats (
    worker_id text NOT NULL,
    stats jsonb,
    expire_at bigint,
    metadata jsonb,
    queue_key text
);

CREATE TABLE public.saq_versions (
    version integer
);

CREATE TABLE public.schema_migrations (
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.search_documents (
    content_type text NOT NULL,
    content_id bigint NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    url text,
    words tsvector GENERATED ALWAYS AS ((setweight(to_tsvector('english'::regconfig, title), 'A'::"char") || setweight(to_tsvector('english'::regconfig, body), 'B'::"char"))) STORED NOT NULL,
    indexed_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY public.saq_jobs ALTER COLUMN lock_key SET DEFAULT nextval('public.saq_jobs_lock_key_seq'::regclass);

INSERT INTO public.background_jobs VALUES (1, 'complete', 'default', 'example_task', 'complete', 1, 0, NULL, 'worker-1', '2026-11-27 10:57:05.101783+00', '2026-11-27 10:57:05+00', '2026-11-27 10:57:05.156628+00', '2026-11-27 10:57:05.168099+00', false);
INSERT INTO public.background_jobs VALUES (2, 'failed', 'default', 'example_task', 'failed', 1, 0, 'no flour', 'worker-1', '2026-11-27 10:57:05.171013+00', '2026-11-27 10:57:05+00', '2026-11-27 10:57:05.173128+00', '2026-11-27 10:57:05.179391+00', true);
INSERT INTO public.background_jobs VALUES (3, 'queued', 'default', 'example_task', 'queued', 0, 0, NULL, NULL, '2026-11-27 10:57:05.18635+00', '2026-11-27 10:57:05+00', NULL, NULL, false);
INSERT INTO public.background_jobs VALUES (4, 'later', 'default', 'example_task', 'queued', 0, 0, NULL, NULL, '2026-11-27 10:57:05.189395+00', '2100-01-01 00:00:00+00', NULL, NULL, false);

INSERT INTO public.email_outbox OVERRIDING SYSTEM VALUE VALUES (1, 'k', 'ada@example.com', 'Hello', 'Body', '2026-11-27 10:57:05.227549+00');

INSERT INTO public.feed_entries OVERRIDING SYSTEM VALUE VALUES (1, 1, 'g', NULL, 'An entry', 'Words', NULL, '2026-11-27 10:57:05.215434+00');

INSERT INTO public.feeds OVERRIDING SYSTEM VALUE VALUES (1, 'https://example.com/feed.xml', 'News', NULL, NULL, NULL, NULL, '2026-11-27 10:57:05.20742+00');

INSERT INTO public.recurring_jobs VALUES ('default', 'nightly', 'example_task', '0 3 * * *', NULL, 'Europe/Berlin', '{"message": "night"}', false, false, true, '2100-01-01 00:00:00+00', NULL, NULL, '2026-11-27 10:57:05.20489+00');

INSERT INTO public.saq_jobs VALUES ('complete', 1, '\x7b2266756e6374696f6e223a226578616d706c655f7461736b222c226b6579223a22636f6d706c657465222c227175657565223a2264656661756c74222c226b7761726773223a7b226d657373616765223a2266726f6d206265666f7265227d2c2274696d656f7574223a33302c2272657472696573223a332c2274746c223a38363430302c2272657472795f64656c6179223a312e302c2272657472795f6261636b6f6666223a3330302e302c22717565756564223a313739353737373032353037352c22737461747573223a22636f6d706c657465222c22617474656d707473223a302c2273746172746564223a313739353737373032353135362c22746f7563686564223a313739353737373032353135362c22636f6d706c65746564223a313739353737373032353136372c22776f726b65725f6964223a22766d2d31353139352d353263623030222c22726573756c74223a7b2261223a317d2c2270726f6772657373223a312e307d', 'default', 'complete', 0, NULL, 1795777025, 1795863425, 1, NULL, 1, 0, '2026-11-27 10:57:05.156628+00', 1, NULL, false, 'example_task', 1, NULL, NULL);
INSERT INTO public.saq_jobs VALUES ('failed', 2, '\x7b2266756e6374696f6e223a226578616d706c655f7461736b222c226b6579223a226661696c6564222c227175657565223a2264656661756c74222c226b7761726773223a7b226d657373616765223a2266726f6d206265666f7265227d2c2274696d656f7574223a33302c2274746c223a38363430302c2272657472795f64656c6179223a312e302c2272657472795f6261636b6f6666223a3330302e302c22717565756564223a313739353737373032353137302c22737461747573223a226661696c6564222c22617474656d707473223a302c2273746172746564223a313739353737373032353137332c22746f7563686564223a313739353737373032353137332c22636f6d706c65746564223a313739353737373032353137392c22776f726b65725f6964223a22766d2d31353139352d353263623030222c226572726f72223a226e6f20666c6f7572227d', 'default', 'failed', 0, NULL, 1795777025, 1796986625, 1, NULL, 1, 0, '2026-11-27 10:57:05.173128+00', 0, 'no flour', false, 'example_task', 2, NULL, NULL);
INSERT INTO public.saq_jobs VALUES ('queued', 3, '\x7b2266756e6374696f6e223a226578616d706c655f7461736b222c226b6579223a22717565756564222c227175657565223a2264656661756c74222c226b7761726773223a7b226d657373616765223a2266726f6d206265666f7265227d2c2274696d656f7574223a33302c2272657472696573223a332c2274746c223a38363430302c2272657472795f64656c6179223a312e302c2272657472795f6261636b6f6666223a3330302e302c22717565756564223a313739353737373032353138367d', 'default', 'queued', 0, NULL, 1795777025, NULL, 0, NULL, 0, 0, NULL, 0, NULL, false, 'example_task', 3, NULL, NULL);
INSERT INTO public.saq_jobs VALUES ('later', 4, '\x7b2266756e6374696f6e223a226578616d706c655f7461736b222c226b6579223a226c61746572222c227175657565223a2264656661756c74222c226b7761726773223a7b226d657373616765223a2266726f6d206265666f7265227d2c2274696d656f7574223a33302c2272657472696573223a332c2274746c223a38363430302c2272657472795f64656c6179223a312e302c2272657472795f6261636b6f6666223a3330302e302c227363686564756c6564223a343130323434343830302c22717565756564223a313739353737373032353138387d', 'default', 'queued', 0, NULL, 4102444800, NULL, 0, NULL, 0, 0, NULL, 0, NULL, true, 'example_task', 4, NULL, NULL);

INSERT INTO public.saq_versions VALUES (3);

INSERT INTO public.schema_migrations VALUES (1, '0001_create_saq_tables', '6151bb2dd56b3f68c1a97bd4683dfc401e946d457d76ffb4b3c7439548f756e0', '2026-11-27 10:56:43.420679+00');
INSERT INTO public.schema_migrations VALUES (2, '0002_lease_jobs', '2da54ec2a6e352e631cb0e28c76f8a86eea1939a1eee216c6c0b4dd34992aed8', '2026-11-27 10:56:43.420679+00');
INSERT INTO public.schema_migrations VALUES (3, '0003_track_jobs', 'cf7aa38cb4cfbc238b156a18b352f77a41bcffb6f8695aa4b79696d5926eeb8e', '2026-11-27 10:56:43.420679+00');
INSERT INTO public.schema_migrations VALUES (4, '0004_create_email_outbox', 'ab6d3cf5961506d71b2288b574c2afcf0edbcc88fd1f83303b11f6c65a0d69a1', '2026-11-27 10:56:43.420679+00');
INSERT INTO public.schema_migrations VALUES (5, '0005_stock_workers', 'b5465de174572bd10f1f2943608b08fdfcebf3888dd6b5e37e5469691ba5896c', '2026-11-27 10:56:43.420679+00');
INSERT INTO public.schema_migrations VALUES (6, '0006_report_queues', 'd9199b38f3aa48f2a3b937ab35a56bcb9dc08bb646bada4d82ca591ff05f1674', '2026-11-27 10:56:43.420679+00');
INSERT INTO public.schema_migrations VALUES (7, '0007_worker_releases', '463af18a1c2e9284d50740c4a693e63ec120341c182bf96ab9891156ff0f96b7', '2026-11-27 10:56:43.420679+00');
INSERT INTO public.schema_migrations VALUES (8, '0008_recurring_jobs', '265186a367d143a963f33fc68bd1dbc3ff5af6dd65bc43ee04763b0d15ec52a8', '2026-11-27 10:56:43.420679+00');
INSERT INTO public.schema_migrations VALUES (9, '0009_sqs_messages', '4539d569f09de75a5c9b1b5d0900a34f8b0a873f3021ffe11d6a43631b5455a9', '2026-11-27 10:56:43.420679+00');
INSERT INTO public.schema_migrations VALUES (10, '0010_create_feeds', 'a9dc9794c5abda44790bc8f2991d9794b5a110f513f45424cc806a9dc6be9d3b', '2026-11-27 10:56:43.420679+00');
INSERT INTO public.schema_migrations VALUES (11, '0011_create_search_documents', 'e70c7092686a42f9bc2fba53b4f0aa36718e861d49e6f6f0aa7f82d00af16895', '2026-11-27 10:56:43.420679+00');
INSERT INTO public.schema_migrations VALUES (12, '0012_sqs_sent_at', 'e9f132c643a3ee56499d9bb17a2e99c161b712aeae767ae43f4e8c83d6a53446', '2026-11-27 10:56:43.420679+00');

INSERT INTO public.search_documents VALUES ('feed_entry', 1, 'An entry', 'Words', NULL, DEFAULT, '2026-11-27 10:57:05.223459+00');

SELECT pg_catalog.setval('public.background_jobs_id_seq', 4, true);

SELECT pg_catalog.setval('public.email_outbox_id_seq', 1, true);

SELECT pg_catalog.setval('public.feed_entries_id_seq', 1, true);

SELECT pg_catalog.setval('public.feeds_id_seq', 1, true);

SELECT pg_catalog.setval('public.saq_jobs_lock_key_seq', 4, true);

ALTER TABLE ONLY public.background_jobs
    ADD CONSTRAINT background_jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.email_outbox
    ADD CONSTRAINT email_outbox_job_key_key UNIQUE (job_key);

ALTER TABLE ONLY public.email_outbox
    ADD CONSTRAINT email_outbox_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.feed_entries
    ADD CONSTRAINT feed_entries_feed_id_guid_key UNIQUE (feed_id, guid);

ALTER TABLE ONLY public.feed_entries
    ADD CONSTRAINT feed_entries_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.feeds
    ADD CONSTRAINT feeds_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.feeds
    ADD CONSTRAINT feeds_url_key UNIQUE (url);

ALTER TABLE ONLY public.queue_reports
    ADD CONSTRAINT queue_reports_pkey PRIMARY KEY (queue);

ALTER TABLE ONLY public.queue_workers
    ADD CONSTRAINT queue_workers_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.recurring_jobs
    ADD CONSTRAINT recurring_jobs_pkey PRIMARY KEY (queue, name);

ALTER TABLE ONLY public.saq_jobs
    ADD CONSTRAINT saq_jobs_pkey PRIMARY KEY (key);

ALTER TABLE ONLY public.saq_stats
    ADD CONSTRAINT saq_stats_pkey PRIMARY KEY (worker_id);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.search_documents
    ADD CONSTRAINT search_documents_pkey PRIMARY KEY (content_type, content_id);

CREATE INDEX background_jobs_bad_idx ON public.background_jobs USING btree (id DESC) WHERE is_bad;

CREATE INDEX background_jobs_key_idx ON public.background_jobs USING btree (key, id DESC);

CREATE INDEX background_jobs_task_idx ON public.background_jobs USING btree (task, id DESC);

CREATE INDEX feed_entries_by_feed ON public.feed_entries USING btree (feed_id, id);

CREATE INDEX saq_jobs_delayed_idx ON public.saq_jobs USING btree (queue, scheduled) WHERE ((status = 'queued'::text) AND is_delayed);

CREATE INDEX saq_jobs_expired_idx ON public.saq_jobs USING btree (expire_at) WHERE (status = ANY (ARRAY['complete'::text, 'failed'::text, 'aborted'::text]));

CREATE UNIQUE INDEX saq_jobs_group_idx ON public.saq_jobs USING btree (queue, group_key) WHERE ((status = ANY (ARRAY['active'::text, 'aborting'::text])) AND (group_key IS NOT NULL));

CREATE INDEX saq_jobs_held_idx ON public.saq_jobs USING btree (queue, owner) WHERE (status = ANY (ARRAY['active'::text, 'aborting'::text]));

CREATE INDEX saq_jobs_waiting_idx ON public.saq_jobs USING btree (queue, priority, scheduled) WHERE ((status = 'queued'::text) AND (NOT is_delayed));

CREATE INDEX saq_stats_expire_at_idx ON public.saq_stats USING btree (expire_at);

CREATE INDEX saq_stats_queue_key_idx ON public.saq_stats USING btree (queue_key);

CREATE INDEX search_documents_words ON public.search_documents USING gin (words);

CREATE TRIGGER guard_from_stock_workers BEFORE UPDATE OF job ON public.saq_jobs FOR EACH ROW WHEN (((old.lease = new.lease) AND (old.status <> new.status) AND (((old.owner IS NOT NULL) AND (new.owner IS NOT NULL)) OR (old.status = ANY (ARRAY['complete'::text, 'failed'::text, 'aborted'::text]))))) EXECUTE FUNCTION public.guard_from_stock_workers();

CREATE TRIGGER track_changed_jobs AFTER UPDATE ON public.saq_jobs REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.track_changed_jobs();

CREATE TRIGGER track_deleted_jobs AFTER DELETE ON public.saq_jobs REFERENCING OLD TABLE AS previous FOR EACH STATEMENT EXECUTE FUNCTION public.track_deleted_jobs();

CREATE TRIGGER track_new_jobs AFTER INSERT ON public.saq_jobs REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.track_new_jobs();

ALTER TABLE ONLY public.feed_entries
    ADD CONSTRAINT feed_entries_feed_id_fkey FOREIGN KEY (feed_id) REFERENCES public.feeds(id) ON DELETE CASCADE;

