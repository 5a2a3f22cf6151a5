"""The page docs/queue-api.md: what `service.queue` offers, by its docstrings."""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any

import msgspec

import service.queue

# Every name of `service.queue`, once.
CHAPTERS = {
    "Declaring tasks": (
        "task", "scheduled_task", "Context", "NoRetryError", "on_startup", "on_shutdown",
        "before_process", "after_process",
    ),
    "Enqueueing and following jobs": (
        "JobQueue", "build_job", "JobOptions", "Job", "Status", "JobRecord",
        "JobFilter", "PayloadField", "RecordPage", "Waiting",
        "QueueStats",
    ),
    "Schedules": (
        "ScheduleRequest", "ScheduleRecord", "list_schedules", "find_schedule", "create_schedule",
        "enable_schedule", "disable_schedule", "delete_schedule", "run_schedule_now",
    ),
    "Errors": (
        "QueueError", "UnknownTaskError", "InvalidPayloadError", "PayloadTooLargeError",
        "InvalidOptionError", "WrongQueueError", "QueueNotFoundError", "JobNotFoundError",
        "JobStateError", "ScheduleNotFoundError", "ScheduleExistsError", "ScheduleIsDeclaredError",
        "RegistrationError",
    ),
    "Queues, registries and workers": (
        "create_queue", "PostgresQueue", "MemoryQueue", "Registry", "Task", "Schedule", "discover",
        "Worker", "functions",
    ),
}  # fmt: skip
# Of a queue, what its callers use; the rest is for workers and the console.
METHODS = {
    "JobQueue": (
        "connect", "disconnect", "enqueue", "enqueue_many", "named", "all", "job", "jobs", "retry",
        "abort", "retry_failed", "clear", "pause", "resume", "find_record", "list_records",
        "search_records", "why_waiting", "stats", "now", "ping",
    ),
    "PostgresQueue": ("transaction",),
    "Context": ("job", "pool", "log", "progress", "cancelled"),
    "Registry": ("get",),
    "Worker": ("start", "stop"),
}  # fmt: skip
OF_SAQ = "[SAQ's own](https://saq-py.readthedocs.io), handed on."


def page() -> str:
    """The chapters, in Markdown."""
    return "\n".join(line for title, names in CHAPTERS.items() for line in _chapter(title, names))


def _chapter(title: str, names: tuple[str, ...]) -> Iterator[str]:
    yield from (f"## {title}", "")
    for name in names:
        found = getattr(service.queue, name)
        yield from _entry(f"### {name}", name, found)
        yield from _fields(found)
        for method in METHODS.get(name, ()):
            yield from _entry(f"#### {name}.{method}", method, _member(found, method))


def _member(owner: type, name: str) -> Any:
    """As our class says it; what it leaves to SAQ, as the queue on Postgres does."""
    found = inspect.getattr_static(owner, name)
    is_saqs = getattr(found, "__module__", "").startswith("saq")
    return inspect.getattr_static(service.queue.PostgresQueue, name) if is_saqs else found


def _entry(heading: str, name: str, found: Any) -> Iterator[str]:
    yield from (heading, "")
    if callable(found) and not inspect.isclass(found):
        yield from ("```", _call(name, found), "```", "")
    yield from (_said(found), "")


def _call(name: str, found: Any) -> str:
    """A line of code that shows what it takes and answers; types without their modules."""
    signature = inspect.signature(found)
    own = [each for each in signature.parameters.values() if each.name != "self"]
    text = str(signature.replace(parameters=own))
    text = re.sub(r"Optional\[~F\]", "F | None", text)
    text = re.sub(r"Union\[~F, (.*)\]$", r"F | \1", text).replace("~F", "F")
    text = re.sub(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])", "", text)
    text = text.replace("Connection | PoolConnectionProxy", "Connection")
    return f"{'await ' if inspect.iscoroutinefunction(inspect.unwrap(found)) else ''}{name}{text}"


def _said(found: Any) -> str:
    if getattr(found, "__module__", "").startswith("saq"):
        return OF_SAQ
    text = inspect.getdoc(found)
    assert text, f"{found} has no docstring"
    return text


def _fields(found: Any) -> Iterator[str]:
    """The fields of a record, each with what the source says of it."""
    if not inspect.isclass(found) or found.__module__.startswith("saq"):
        return
    if dataclasses.is_dataclass(found):
        names = [each.name for each in dataclasses.fields(found) if not each.name.startswith("_")]
    elif issubclass(found, msgspec.Struct):
        names = list(found.__struct_fields__)
    else:
        return
    source = inspect.getsource(found)
    for name in names:
        said = re.search(rf'^    {name}: [^\n]*?(?:  # ([^\n]+)|\n    """(.+?)""")?$', source, re.M)
        what = said and (said[1] or said[2])
        yield f"- `{name}`{f': {what}' if what else ''}"
    yield ""
