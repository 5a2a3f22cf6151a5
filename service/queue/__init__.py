"""The public API of the queue: all that a task, a route or a test imports.

    from service.queue import Context, task

    @task(timeout=30)
    async def send_invoice(ctx: Context, *, invoice_id: int) -> None: ...

Everything below this package is internal and may change in any release. A change of a name listed
here gets a line in the changelog.
"""

from saq import Job, Status

from service.queue.errors import (
    InvalidOptionError,
    InvalidPayloadError,
    JobNotFoundError,
    JobStateError,
    NoRetryError,
    PayloadTooLargeError,
    QueueError,
    QueueNotFoundError,
    RegistrationError,
    ScheduleExistsError,
    ScheduleIsDeclaredError,
    ScheduleNotFoundError,
    UnknownTaskError,
    WrongQueueError,
)
from service.queue.factory import create_queue
from service.queue.interface import JobQueue
from service.queue.job import JobRecord
from service.queue.job_filter import JobFilter, PayloadField, RecordPage
from service.queue.memory.memory_queue import MemoryQueue
from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.reads import QueueStats
from service.queue.schedule_record import ScheduleRecord
from service.queue.schedules.schedule_requests import (
    ScheduleRequest,
    create_schedule,
    delete_schedule,
    disable_schedule,
    enable_schedule,
    find_schedule,
    list_schedules,
    run_schedule_now,
)
from service.queue.tasks.discovery import discover
from service.queue.tasks.enqueue import JobOptions, build_job
from service.queue.tasks.registry import (
    Registry,
    after_process,
    before_process,
    on_shutdown,
    on_startup,
    scheduled_task,
    task,
)
from service.queue.tasks.task import Schedule, Task
from service.queue.waiting import Waiting
from service.queue.worker.context import Context
from service.queue.worker.invoke import functions
from service.queue.worker.worker import Worker

__all__ = [
    "Context",
    "InvalidOptionError",
    "InvalidPayloadError",
    "Job",
    "JobFilter",
    "JobNotFoundError",
    "JobOptions",
    "JobQueue",
    "JobRecord",
    "JobStateError",
    "MemoryQueue",
    "NoRetryError",
    "PayloadField",
    "PayloadTooLargeError",
    "PostgresQueue",
    "QueueError",
    "QueueNotFoundError",
    "QueueStats",
    "RecordPage",
    "RegistrationError",
    "Registry",
    "Schedule",
    "ScheduleExistsError",
    "ScheduleIsDeclaredError",
    "ScheduleNotFoundError",
    "ScheduleRecord",
    "ScheduleRequest",
    "Status",
    "Task",
    "UnknownTaskError",
    "Waiting",
    "Worker",
    "WrongQueueError",
    "after_process",
    "before_process",
    "build_job",
    "create_queue",
    "create_schedule",
    "delete_schedule",
    "disable_schedule",
    "discover",
    "enable_schedule",
    "find_schedule",
    "functions",
    "list_schedules",
    "on_shutdown",
    "on_startup",
    "run_schedule_now",
    "scheduled_task",
    "task",
]
