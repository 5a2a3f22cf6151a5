"""Creates the queue that `QUEUE_DSN` names. Imports only the libraries of its backend."""

from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit

from service.aws import Messages, database_password, queue_password
from service.queue.interface import JobQueue
from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.tasks.large_payloads import LargePayloads
from service.queue.tasks.registry import Registry
from service.settings import Settings, SettingsError


def create_queue(settings: Settings, registry: Registry) -> JobQueue:
    """The queue that the settings describe, not yet connected.

    Raises `SettingsError` where a task of the registry uses an option that the backend lacks.
    """
    queue = _create(settings, registry)
    queue.large_payloads = LargePayloads(settings.bucket, settings.aws_region)
    for option, reason in queue.lacks.items():
        using = sorted(task.name for task in registry.tasks.values() if getattr(task, option, None))
        if using:
            raise SettingsError(
                [f"QUEUE_DSN: {queue.scheme}:// {reason}; these tasks have one: {', '.join(using)}"]
            )
    return queue


def _create(settings: Settings, registry: Registry) -> JobQueue:
    scheme = urlsplit(settings.queue_url).scheme
    if scheme == "memory":
        from service.queue.memory.memory_queue import MemoryQueue  # noqa: PLC0415

        return MemoryQueue(registry)
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
    )
