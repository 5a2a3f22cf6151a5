"""The errors of the queue, and `NoRetryError`, which a task may raise.

QueueError
├── UnknownTaskError         no task of that name
├── InvalidPayloadError      the payload does not fit the task's signature
│   └── PayloadTooLargeError
├── InvalidOptionError       a job option has a value it cannot have
│   └── WrongQueueError      the job belongs to another queue; a ValueError, as SAQ's
├── QueueNotFoundError       no task, worker or pool has a queue of that name
├── JobNotFoundError         no job with that key
├── JobStateError            the job is in a state that does not allow it
├── BulkNotFoundError        no bulk action of that number
├── BulkStateError           the bulk action is in a state that does not allow it
├── ScheduleNotFoundError    no schedule of that name
├── ScheduleExistsError      the name is taken
├── ScheduleIsDeclaredError  the code declares it, so it can only be removed there
├── WorkerNotFoundError      no live worker of that name
└── WorkerStateError         the worker cannot be drained
"""

from collections.abc import Iterable


class NoRetryError(Exception):
    """Raise it from a task that would fail again: the job fails at once, without more attempts."""


class QueueError(Exception):
    """The base of all errors in a request to the queue."""


class UnknownTaskError(QueueError):
    """No task of that name is registered in this process."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no task is named {name!r}")
        self.name = name


class InvalidPayloadError(QueueError):
    """The payload does not fit the task's signature; `field` is the path of the wrong field."""

    def __init__(self, task: str, field: str, reason: str) -> None:
        super().__init__(f"task {task!r}: {field}: {reason}")
        self.field = field
        self.reason = reason


class PayloadTooLargeError(InvalidPayloadError):
    """The payload is larger than this process, or a schedule, allows."""


class InvalidOptionError(QueueError):
    """A job option has a value it cannot have."""

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(f"{option}: {reason}")
        self.option = option
        self.reason = reason


class WrongQueueError(InvalidOptionError, ValueError):
    """The job belongs to another queue."""

    def __init__(self, name: str) -> None:
        super().__init__("queue", f"the job belongs to the queue {name!r}")


class QueueNotFoundError(QueueError):
    """No task, worker or pool has a queue of that name: its jobs would wait for ever."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(
            f"no worker serves a queue {name!r}; there is {', '.join(known)}. A queue exists where "
            "a task names it (@task(queue=…)) or a worker pool serves it (stages.toml)"
        )
        self.name = name


class JobNotFoundError(QueueError):
    """No job has that key, or its history has been pruned."""

    def __init__(self, key: str) -> None:
        super().__init__(f"no job has the key {key!r}")
        self.key = key


class JobStateError(QueueError):
    """The job's state does not allow the request, such as a retry before it has ended."""

    def __init__(self, key: str, status: str, wanted: str) -> None:
        super().__init__(f"job {key!r} is {status}; {wanted}")
        self.key = key
        self.status = status


class BulkNotFoundError(QueueError):
    """No bulk action has that number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"there is no bulk action {number}")


class BulkStateError(QueueError):
    """The bulk action's state does not allow the request."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"bulk action {number} {why}")


class ScheduleNotFoundError(QueueError):
    """No schedule has that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no schedule is named {name!r}")


class ScheduleExistsError(QueueError):
    """Another schedule has that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a schedule named {name!r}; delete it first")


class ScheduleIsDeclaredError(QueueError):
    """The code declares the schedule, so it cannot be deleted."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the code declares the schedule {name!r}; disable it, or remove it there")


class WorkerNotFoundError(QueueError):
    """No live worker has that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no live worker is named {name!r}")


class WorkerStateError(QueueError):
    """The worker cannot be drained by itself."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"worker {name!r} cannot be drained by itself: it runs in the API's process, or is of "
            "an earlier release; `moor restart` replaces its process"
        )


class RegistrationError(Exception):
    """A task, schedule or hook is declared wrongly; the message starts with its file and line."""
