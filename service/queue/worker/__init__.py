"""The worker: runs jobs in slots and writes their outcomes."""

from service.queue.worker.saq_settings import settings

__all__ = ["settings"]  # `saq service.queue.worker.settings` runs SAQ's own worker
