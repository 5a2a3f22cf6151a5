"""Creates the queue that `QUEUE_DSN` names. Imports only the libraries of its backend."""

from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit

from service.aws import Messages, database_password, queue_password
from service.contract import ServedQueues, render_pools
from service.queue.interface import JobQueue
from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.tasks.large_payloads import LargePayloads
from service.queue.tasks.registry import Registry
from service.settings import Settings, SettingsError


def create_queue(settings: Settings, registry: Registry) -> JobQueue:
    """The queue `default` that the settings describe, with all others; not yet connected.

    Raises `SettingsError` where a task of the registry uses an option that the backend lacks, or a
    queue that no worker pool serves.
    """
    if problems := pool_problems(settings, registry):
        raise SettingsError(problems)
    queue = _create(settings, registry)
    queue.pools = settings.worker_pools
    queue.large_payloads = LargePayloads(settings.bucket, settings.aws_region)
    if queue.scheme == "sqs" and len(queue.names) > 1:
        raise SettingsError(
            [
                "QUEUE_DSN: sqs:// has only the queue default; postgresql:// and redis:// have "
                f"several. Tasks or worker pools name {', '.join(queue.names[1:])}"
            ]
        )
    for option, reason in queue.lacks.items():
        using = sorted(task.name for task in registry.tasks.values() if getattr(task, option, None))
        if using:
            raise SettingsError(
                [f"QUEUE_DSN: {queue.scheme}:// {reason}; these tasks have one: {', '.join(using)}"]
            )
    return queue


def pool_problems(settings: Settings, registry: Registry) -> list[str]:
    """A line for each queue whose jobs would wait for ever, and for a pool that is not known."""
    if settings.worker_pools is None:
        return []
    pools = settings.worker_pools
    known = render_pools(pools)
    problems = [
        f"WORKER_POOLS: no worker pool serves the queue {name!r} of the "
        f"task{'s' if len(tasks) > 1 else ''} {', '.join(sorted(task.name for task in tasks))}; "
        f"the pools are {known}"
        for name, tasks in registry.queues().items()
        if tasks and not any(name in served.names for served in pools.values())
    ]
    if settings.worker_queues is None and settings.worker_pool not in pools:
        problems.append(f"WORKER_POOL: {settings.worker_pool!r} is none of the pools {known}")
    return problems


def _served(settings: Settings) -> ServedQueues | None:
    """What this process's worker serves; None for all queues."""
    if settings.worker_queues is not None or settings.worker_pools is None:
        return settings.worker_queues
    return settings.worker_pools[settings.worker_pool]


def _create(settings: Settings, registry: Registry) -> JobQueue:
    scheme = urlsplit(settings.queue_url).scheme
    if scheme == "memory":
        from service.queue.memory.memory_queue import MemoryQueue  # noqa: PLC0415

        return MemoryQueue(registry, served=_served(settings), worker_pool=settings.worker_pool)
    if scheme in ("redis", "rediss"):
        return _create_redis(settings, registry)
    if scheme == "sqs":
        return _create_sqs(settings, registry)
    return PostgresQueue(
        settings.queue_url,
        registry,
        pool_size=settings.queue_pool_size,
        poll_seconds=settings.worker_poll_seconds,
        password=queue_password(settings),
        served=_served(settings),
        worker_pool=settings.worker_pool,
    )


def _create_redis(settings: Settings, registry: Registry) -> JobQueue:
    """`concurrency` in the address is an option of ours, not of the Redis client."""
    from service.queue.redis.redis_queue import RedisQueue  # noqa: PLC0415

    parts = urlsplit(settings.queue_url)
    query = dict(parse_qsl(parts.query))
    concurrency = query.pop("concurrency", None)
    return RedisQueue(
        urlunsplit(parts._replace(query=urlencode(query))),
        registry,
        database=settings.database_dsn,
        pool_size=settings.queue_pool_size,
        password=database_password(settings),
        concurrency=int(concurrency) if concurrency else None,
        served=_served(settings),
        worker_pool=settings.worker_pool,
    )


def _create_sqs(settings: Settings, registry: Registry) -> JobQueue:
    """`sqs://<name>?region=…` or `sqs://<host>/<account>/<name>`."""
    from service.queue.sqs.sqs_queue import SqsQueue  # noqa: PLC0415

    parts = urlsplit(settings.queue_url)
    path = parts.path.strip("/")
    messages = Messages(
        path.rpartition("/")[2] or parts.netloc,
        url=f"https://{parts.netloc}/{path}" if path else None,
        region=parse_qs(parts.query).get("region", [settings.aws_region])[0],
    )
    return SqsQueue(
        settings.database_dsn,
        registry,
        messages,
        pool_size=settings.queue_pool_size,
        poll_seconds=settings.worker_poll_seconds,
        password=database_password(settings),
        worker_pool=settings.worker_pool,
    )
