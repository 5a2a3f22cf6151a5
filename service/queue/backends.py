"""Which queue `QUEUE_DSN` asks for. Each backend's libraries are imported for it alone."""

from urllib.parse import urlsplit

from service.aws import database_password, queue_password
from service.queue.base import JobQueue
from service.queue.postgres import PostgresQueue
from service.queue.registry import Registry
from service.settings import Settings, SettingsError


def create_queue(settings: Settings, registry: Registry) -> JobQueue:
    """The queue these settings describe, not yet connected.

    Raises `SettingsError` where the registry's tasks ask for what the backend cannot do.
    """
    queue = _create(settings, registry)
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
        from service.queue.memory import MemoryQueue  # noqa: PLC0415

        return MemoryQueue(registry)
    if scheme in ("redis", "rediss"):
        from service.queue.redis import create_redis_queue  # noqa: PLC0415

        return create_redis_queue(settings, registry, password=database_password(settings))
    if scheme == "sqs":
        from service.queue.sqs import create_sqs_queue  # noqa: PLC0415

        return create_sqs_queue(settings, registry, password=database_password(settings))
    return PostgresQueue(
        settings.queue_url,
        registry,
        pool_size=settings.queue_pool_size,
        poll_seconds=settings.worker_poll_seconds,
        password=queue_password(settings),
    )
