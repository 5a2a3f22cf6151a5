"""The worker: runs jobs in slots, each with its context, and ends them right."""

from service.queue.worker.saq_settings import settings

__all__ = ["settings"]  # `saq service.queue.worker.settings` runs SAQ's own worker
