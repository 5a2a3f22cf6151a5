"""Makes a job from a task's name and a payload. Every enqueue is checked here."""

import dataclasses
import math
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
import uuid_utils
from msgspec import Meta
from saq import Job

from service import contract
from service.queue.errors import InvalidOptionError
from service.queue.tasks.origin import ORIGIN
from service.queue.tasks.registry import Registry

# In the meta of a job whose payload is too large for its row: the key of the object in the bucket,
# None until it is written.
LARGE_PAYLOAD = "large_payload"

# The fields of a job that only the queue itself writes.
_QUEUE_FIELDS = {
    "function", "kwargs", "queue", "progress", "attempts", "completed", "queued", "started",
    "touched", "result", "error", "status", "worker_id",
}  # fmt: skip
_ALL_FIELDS = {found.name for found in dataclasses.fields(Job)}
_JOB_FIELDS = _ALL_FIELDS - _QUEUE_FIELDS


DELAY_MAX_SECONDS = 3660 * 86400
PAST_MAX_SECONDS = 86400
# The least value of SAQ's options. timeout and heartbeat 0: no limit; retries 0: one attempt;
# ttl 0: kept for ever, -1: not kept.
LEAST = {"timeout": 0, "heartbeat": 0, "retries": 0, "ttl": -1, "retry_delay": 0}


class JobOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one job runs. An option that is left out is taken from its task."""

    key: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    """Unique among the waiting and running jobs: a second enqueue with it does nothing."""
    delay: Annotated[float, Meta(ge=0, le=DELAY_MAX_SECONDS)] | None = None
    """Seconds to wait before the job is due."""
    run_at: Annotated[datetime, Meta(tz=True)] | None = None
    """When the job is due, instead of `delay`."""
    timeout: Annotated[int, Meta(ge=0, le=86400)] | None = None
    """Seconds one attempt may take; 0 for no limit."""
    retries: Annotated[int, Meta(ge=0, le=100)] | None = None
    """The most attempts the job gets; 0 means one, too."""
    retry_delay: Annotated[float, Meta(ge=0, le=86400)] | None = None
    """Seconds before the second attempt; later delays double."""
    ttl: Annotated[int, Meta(ge=-1, le=366 * 86400)] | None = None
    """Seconds the ended job and its result are kept; 0 for ever, -1 not at all."""
    priority: Annotated[int, Meta(ge=0, le=32767)] | None = None
    """Jobs with a lower number run first."""
    group_key: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    """Of the jobs with the same group key one runs at a time."""

    @property
    def scheduled(self) -> int:
        """When the job is due, in epoch seconds; 0 for at once."""
        if self.delay is not None and self.run_at is not None:
            raise InvalidOptionError("run_at", "give delay or run_at, not both")
        if self.delay is not None and not math.isfinite(self.delay):
            raise InvalidOptionError("delay", "must be a number of seconds")
        if self.run_at is None:
            return math.ceil(time.time() + self.delay) if self.delay else 0
        seconds = self.run_at.timestamp() - time.time()
        if seconds > DELAY_MAX_SECONDS:
            raise InvalidOptionError("run_at", "must be within ten years")
        if seconds < -PAST_MAX_SECONDS:
            # The age of the oldest due job is an autoscaling metric, which this would spoil.
            raise InvalidOptionError("run_at", "must not be more than a day ago")
        return math.ceil(self.run_at.timestamp())


OPTION_NAMES = frozenset(JobOptions.__struct_fields__)


def build_job(
    registry: Registry, name: str, payload: Mapping[str, Any], options: JobOptions | None = None
) -> Job:
    """A job of the task `name`, ready for `queue.enqueue(job)`.

    Raises `UnknownTaskError`, `InvalidPayloadError`, `InvalidOptionError`.
    """
    task = registry.get(name)
    given = {} if options is None else _given(options)
    encoded, size = task.encode(payload)
    meta: dict[str, Any] = {**ORIGIN.get()}
    if size > contract.PAYLOAD_MAX_BYTES:
        meta[LARGE_PAYLOAD] = None
    return Job(
        key=given.pop("key", None) or new_key(),
        function=task.name,
        kwargs=encoded,
        scheduled=0 if options is None else options.scheduled,
        meta=meta,
        **{
            "timeout": task.timeout,
            "retries": task.retries,
            "retry_delay": task.retry_delay,
            "retry_backoff": task.backoff,
            "heartbeat": task.heartbeat,
            "ttl": task.ttl,
            "priority": task.priority,
        }
        | given,
    )


def _given(options: JobOptions) -> dict[str, Any]:
    """The options that are given."""
    return {
        option: value
        for option in (
            "key",
            "timeout",
            "retries",
            "retry_delay",
            "ttl",
            "priority",
            "group_key",
        )
        if (value := getattr(options, option)) is not None
    }


def new_key() -> str:
    """A UUID of version 7 (RFC 9562): ordered by time, so that new rows go to the index's end."""
    return str(uuid_utils.uuid7())


def job_from_call(registry: Registry, name: str, arguments: Mapping[str, Any]) -> Job:
    """A job from `enqueue(name, **arguments)` as SAQ users write it.

    An argument that is a field of the task's payload is payload, whatever its name. The others may
    be options or fields of SAQ's `Job`. (In SAQ itself a payload field called `key` or `timeout`
    is silently taken as an option.) To give an option whose name the payload has too, enqueue a
    `Job`.
    """
    task = registry.get(name)
    fields = task.payload_type.__struct_fields__
    payload = {key: value for key, value in arguments.items() if key in fields}
    others = {key: value for key, value in arguments.items() if key not in fields}
    options = {key: others.pop(key) for key in OPTION_NAMES & others.keys()}
    job_fields = {key: others.pop(key) for key in _JOB_FIELDS & others.keys()}
    # SAQ also takes a fraction, and None for no limit.
    if not isinstance(options.get("timeout", 0), int):
        job_fields["timeout"] = options.pop("timeout")
    if isinstance(others.get("kwargs"), Mapping):
        payload |= others.pop("kwargs")  # SAQ's cron jobs give the payload in one piece
    payload |= others  # neither payload nor option: the check of the payload refuses it by name
    job = build_job(registry, name, payload, _options(options) if options else None)
    if isinstance(job_fields.get("meta"), dict):
        job_fields["meta"] = {**job_fields["meta"], **job.meta}
    return check_options(dataclasses.replace(job, **job_fields)) if job_fields else job


def requested_job(registry: Registry, job_or_func: str | Job, arguments: dict[str, Any]) -> Job:
    """The checked job that `queue.enqueue(job_or_func, **arguments)` means, as SAQ reads it."""
    if not isinstance(job_or_func, Job):
        return job_from_call(registry, job_or_func, arguments)
    options = {name: value for name, value in arguments.items() if name in _ALL_FIELDS}
    if payload := {name: arguments[name] for name in arguments.keys() - options.keys()}:
        options["kwargs"] = payload  # as in SAQ, it replaces the job's own
    for option, value in options.items():
        setattr(job_or_func, option, value)
    return check_job(registry, job_or_func)


def check_job(registry: Registry, job: Job) -> Job:
    """The same job, with its payload checked and made JSON-safe, and an alias resolved."""
    task = registry.get(job.function)
    check_options(job)
    job.function = task.name
    if origin := ORIGIN.get():
        job.meta = {**origin, **job.meta}
    if job.meta.get(LARGE_PAYLOAD) and not job.kwargs:
        return job  # it has been enqueued before
    encoded, size = task.encode(job.kwargs or {})
    job.kwargs = encoded or job.kwargs
    job.meta.pop(LARGE_PAYLOAD, None)
    if size > contract.PAYLOAD_MAX_BYTES:
        job.meta[LARGE_PAYLOAD] = None
    return job


def check_options(job: Job) -> Job:
    """The same job. Raises `InvalidOptionError` for an option that no worker can honour."""
    if not 0 <= job.priority <= 32767:
        raise InvalidOptionError("priority", "must be 0 to 32767")
    for option, least in LEAST.items():
        value = getattr(job, option)
        if type(value) is int and least <= value:
            continue
        if value is None and option in ("timeout", "heartbeat"):
            continue  # SAQ reads it as 0: no limit
        if not (isinstance(value, int | float) and least <= value < math.inf):
            raise InvalidOptionError(option, f"must be a number, at least {least}")
    return job


def _options(given: dict[str, Any]) -> JobOptions:
    try:
        return msgspec.convert(given, JobOptions)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        raise InvalidOptionError(path.rstrip("`") or "options", reason) from None
