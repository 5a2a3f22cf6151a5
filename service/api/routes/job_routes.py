"""Jobs over HTTP: enqueue any task, read the history, cancel, retry."""

from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import unquote

from litestar import Request, Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.exceptions import ServiceUnavailableException
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, HeaderParameter, QueryParameter
from litestar.response import ServerSentEvent
from saq import Status

from service.api.routes.job_events import ENDED, Watch, stream
from service.api.routes.job_search import (
    ErrorText,
    Key,
    OfQueue,
    PayloadFields,
    Since,
    Task,
    Until,
    Worker,
)
from service.api.routes.job_views import (
    AttemptView,
    BadStatusName,
    CauseList,
    CauseView,
    FailedJobs,
    JobAccepted,
    JobChanged,
    JobDetail,
    JobPage,
    JobRequest,
    JobsCleared,
    JobsRetried,
    JobSummary,
    StatusName,
    WaitingFor,
)
from service.contract import JOB_BODY_MAX_BYTES
from service.enqueue_answers import ENQUEUE_HANDLERS, JOBS_PATH, job_path
from service.paging import Cursor, Limit, position, refuse_others
from service.problem import documented
from service.queue.errors import JobNotFoundError, JobStateError, UnknownTaskError
from service.queue.interface import BULK_JOBS, JobQueue
from service.queue.job import JobRecord
from service.queue.job_filter import FILTERS, JobFilter, read_filter
from service.queue.tasks.enqueue import LARGE_PAYLOAD, build_job
from service.queue.tasks.origin import REQUEST, REQUEST_ID
from service.queue.tasks.registry import Registry
from service.queue.worker.progress import MESSAGE
from service.redact import redacted

NEW_JOB = Body(
    examples=[
        Example(
            summary="A job that is due in ten seconds, once",
            value={
                "task": "send_welcome_email",
                "payload": {"user_id": 7},
                "key": "welcome-7",
                "delay": 10,
            },
        )
    ]
)


@post(
    "/",
    status_code=202,
    summary="Enqueue a task",
    operation_id="EnqueueJob",
    request_max_body_size=JOB_BODY_MAX_BYTES,
    responses=documented(403, 404, 413, 415, 422)
    | {
        200: ResponseSpec(
            JobAccepted, generate_examples=False, description="A job with this key is already there"
        )
    },
)
async def create_job(
    data: Annotated[JobRequest, NEW_JOB],
    registry: NamedDependency[Registry],
    queue: NamedDependency[JobQueue],
) -> Response[JobAccepted]:
    """Enqueue one job; its payload is checked against the task's signature.

    With a `key`, a second request while the first job waits or runs enqueues nothing and answers
    200 with that job, so that a client may repeat a request whose answer it lost.
    """
    job = build_job(registry, data.task, data.payload, data)
    if await queue.enqueue(job):
        accepted = JobAccepted(job_id=job.key, task=job.function, status="queued", created=True)
        return Response(accepted, status_code=202, headers={"Location": job_path(job.key)})
    found = await queue.find_record(job.key)
    accepted = JobAccepted(
        job_id=job.key,
        task=found.task if found else job.function,
        status=found.status if found else "queued",
        created=False,
    )
    return Response(accepted, status_code=200, headers={"Location": job_path(job.key)})


@get("/", summary="List jobs", operation_id="ListJobs", responses=documented(422))
async def read_jobs(
    *,
    request: Request[Any, Any, Any],
    queue: NamedDependency[JobQueue],
    status: Annotated[StatusName | None, QueryParameter(description="Only these")] = None,
    task: Task = None,
    of_queue: OfQueue = None,
    worker: Worker = None,
    since: Since = None,
    until: Until = None,
    error_text: ErrorText = None,
    key: Key = None,
    payload: PayloadFields = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> JobPage:
    """Every job in the history, newest first, also those that have ended; filters combine.

    Follow `next_cursor` until it is null, also from a page with few or no items: where it looks for
    what has no index it looks at ten thousand jobs and no more, and `searched_until` is the time
    of creation of the last of them.
    """
    refuse_others(request, {*FILTERS, "cursor", "limit"}, several={"payload"})
    given = (status, task, of_queue, worker, since, until, error_text, key, payload)
    words = {name: value for name, value in zip(FILTERS, given, strict=True) if value is not None}
    page = await queue.search_records(
        read_filter(words),
        before=position(cursor),
        limit=limit,
    )
    return JobPage(
        items=[JobSummary(**_summary(record)) for record in page.records],
        next_cursor=None if page.before is None else str(page.before),
        searched_until=page.searched_until,
    )


@get("/causes", summary="Why jobs failed", operation_id="ListCauses", responses=documented(422))
async def read_causes(
    *, request: Request[Any, Any, Any], queue: NamedDependency[JobQueue], task: Task = None
) -> CauseList:
    """The newest 5,000 failed and aborted jobs, grouped by task and error."""
    refuse_others(request, {"task"})
    found = await queue.causes(task=task)
    items = [
        CauseView(
            task=each.task, status="failed" if each.status == "failed" else "aborted",
            cause=each.cause, jobs=each.jobs, first_at=each.first_at, last_at=each.last_at,
            last_job_id=each.last_key, error=each.text,
        )
        for each in found.items
    ]  # fmt: skip
    return CauseList(items, found.looked_at, found.is_whole)


@delete(
    "/",
    status_code=200,
    summary="Clear failed jobs",
    operation_id="ClearJobs",
    responses=documented(403, 404, 422),
)
async def clear_jobs(
    *,
    request: Request[Any, Any, Any],
    registry: NamedDependency[Registry],
    queue: NamedDependency[JobQueue],
    status: Annotated[BadStatusName, QueryParameter(description="Which of them")],
    task: Task = None,
) -> JobsCleared:
    """Remove jobs that failed or were cancelled from the queue, a thousand at most.

    Their history stays and they are listed as before, without payload: they cannot be retried.
    404 where neither the code nor the history knows the task.
    """
    refuse_others(request, {"status", "task"})
    cleared = 0
    for each in queue.all:
        if cleared < BULK_JOBS:
            cleared += await each.clear(Status(status), task=task)
    if not cleared:
        await _refuse_unknown(task, registry, queue)
    return JobsCleared(cleared, is_more=cleared >= BULK_JOBS)


@post(
    "/retry",
    status_code=202,
    summary="Run failed jobs again",
    operation_id="RetryJobs",
    responses=documented(403, 404, 413, 415, 422),
)
async def retry_jobs(
    data: Annotated[FailedJobs, Body()],
    registry: NamedDependency[Registry],
    queue: NamedDependency[JobQueue],
) -> JobsRetried:
    """Queue failed jobs again with all their attempts, of one `task` or all; a thousand at most.

    Those whose payload is no longer kept stay as they are. 404 where neither the code nor the
    history knows the task.
    """
    retried = 0
    for each in queue.all:
        if retried < BULK_JOBS:
            retried += await each.retry_failed(task=data.task)
    if not retried:
        await _refuse_unknown(data.task, registry, queue)
    return JobsRetried(retried, is_more=retried >= BULK_JOBS)


@get("/{key:str}", summary="One job", operation_id="GetJob", responses=documented(404))
async def read_job(key: FromPath[str], queue: NamedDependency[JobQueue]) -> JobDetail:
    """The newest job with this key; slashes and the like in a key are percent-encoded."""
    record = await _find(queue, key)
    job = await queue.job(record.key)
    waiting = await queue.why_waiting(record)
    relatives = await queue.relatives(record)
    meta = redacted(job.meta) if job else {}
    return JobDetail(
        **_summary(record),
        is_kept=job is not None,
        payload=redacted(job.kwargs or {}) if job and LARGE_PAYLOAD not in job.meta else None,
        payload_object=job.meta.get(LARGE_PAYLOAD) if job else None,
        result=redacted(job.result) if job else None,
        progress=round(job.progress * 100, 2) if job else None,
        message=redacted(job.meta.get(MESSAGE)) if job else None,
        request_id=meta.get(REQUEST_ID),
        request=meta.get(REQUEST),
        parent_job_id=relatives.parent,
        children=[JobSummary(**_summary(each)) for each in relatives.children],
        has_more_children=relatives.has_more,
        attempts_made=[
            AttemptView(**asdict(each) | {"error": redacted(each.error)})
            for each in await queue.attempts(record)
        ],
        waiting_for=WaitingFor(waiting.code, waiting.message, waiting.job_id) if waiting else None,
    )


@post(
    "/{key:str}/cancel",
    status_code=202,
    summary="Cancel a job",
    operation_id="CancelJob",
    responses=documented(403, 404, 409),
)
async def cancel_job(key: FromPath[str], queue: NamedDependency[JobQueue]) -> JobChanged:
    """A waiting job ends at once; a running one is `aborting` until its worker has stopped it."""
    record = await _find(queue, key)
    job = await queue.job(record.key)
    if job is None:
        why = "only a live job can be cancelled"
        if record.status not in ENDED:
            why = "its row is gone from the queue, and a worker closes its history within minutes"
        raise JobStateError(record.key, record.status, why)
    await queue.abort(job, "cancelled through the API")
    return JobChanged(record.key, job.status.value)


@post(
    "/{key:str}/retry",
    status_code=202,
    summary="Run an ended job again",
    operation_id="RetryJob",
    responses=documented(403, 404, 409),
)
async def retry_job(key: FromPath[str], queue: NamedDependency[JobQueue]) -> JobChanged:
    """The same job with the same payload and all its attempts; 409 unless it has ended."""
    record = await _find(queue, key)
    job = await queue.job(record.key)
    if job is None:
        raise JobStateError(
            record.key, record.status, "its payload is no longer kept; enqueue it again instead"
        )
    await queue.retry(job, "retried through the API")
    return JobChanged(record.key, job.status.value)


@get(
    "/{key:str}/events",
    summary="Follow a job",
    operation_id="FollowJob",
    responses=documented(404, 503),
    media_type="text/event-stream",
)
async def follow_job(
    key: FromPath[str],
    queue: NamedDependency[JobQueue],
    watch: NamedDependency[Watch],
    last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID")] = None,
) -> ServerSentEvent:
    """Server-sent events: the state now and at each change, until the job has ended.

    An event is named by the status; its data is `{"status", "attempts", "progress", "message",
    "error"}`. A client that reconnects with `Last-Event-ID` does not get that state again.
    """
    record = await _find(queue, key)
    if (place := watch.take(record.key)) is None:
        raise ServiceUnavailableException(
            "This process follows as many jobs as it may.", headers={"Retry-After": "5"}
        )
    return ServerSentEvent(stream(watch, place, last_event_id))


async def _find(queue: JobQueue, sent_key: str) -> JobRecord:
    key = unquote(sent_key)  # `auth.py` routes these paths before they are decoded
    record = await queue.find_record(key)
    if record is None:
        raise JobNotFoundError(key)
    return record


async def _refuse_unknown(task: str | None, registry: Registry, queue: JobQueue) -> None:
    """Raises `UnknownTaskError` where neither the code nor the history knows the task."""
    try:
        if task is not None:
            registry.get(task)
    except UnknownTaskError:
        if not await queue.list_records(JobFilter(task=task), limit=1):
            raise


def _summary(record: JobRecord) -> dict[str, Any]:
    fields = asdict(record)
    fields["error"] = redacted(record.error)
    del fields["id"]
    return {"job_id": fields.pop("key"), **fields}


router = Router(
    JOBS_PATH,
    route_handlers=[
        create_job,
        read_jobs,
        read_causes,
        clear_jobs,
        retry_jobs,
        read_job,
        follow_job,
        cancel_job,
        retry_job,
    ],
    tags=["Jobs"],
    exception_handlers=ENQUEUE_HANDLERS,
)
