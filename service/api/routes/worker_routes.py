"""The live workers over HTTP: what they run, and drain one."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from service.problem import Problem, documented, freeing, problem
from service.queue.errors import QueueError, WorkerNotFoundError, WorkerStateError
from service.queue.interface import JobQueue
from service.queue.job import JobRecord
from service.queue.worker_record import WorkerRecord


class WorkerView(msgspec.Struct, frozen=True, kw_only=True):
    """A live worker."""

    id: str
    pool: str
    """Empty for the default pool."""
    queues: tuple[str, ...]
    release: str | None
    """On ECS the task definition's family and revision."""
    started_at: datetime
    slots: int | None
    """How many jobs it runs at a time; null where its release does not say it."""
    running: list[str]
    """The keys of the jobs that it runs."""
    draining: bool
    """It starts no further job, and ends once it runs none."""


class WorkerList(msgspec.Struct, frozen=True):
    """The live workers, by pool and age; 500 at most, and of their jobs about a thousand."""

    items: list[WorkerView]


class WorkerAsked(msgspec.Struct, frozen=True):
    """The worker that is to drain."""

    id: str
    draining: bool


@get("/", summary="All live workers", operation_id="ListWorkers", responses=documented())
async def read_workers(queue: NamedDependency[JobQueue]) -> WorkerList:
    """Each with the jobs that it runs now. Workers of stock SAQ are not among them."""
    running = await queue.running()
    return WorkerList([_view(each, running) for each in await queue.list_workers()])


@post(
    "/{name:str}/drain",
    status_code=202,
    summary="Drain a worker",
    operation_id="DrainWorker",
    responses=documented(403, 404, 409),
)
async def drain_worker(name: FromPath[str], queue: NamedDependency[JobQueue]) -> WorkerAsked:
    """It does what it does at a deployment: starts no further job, finishes what it runs, and ends.

    What runs for longer than the stage's drain time is queued again, at no attempt. ECS starts
    another worker in its place. 409 where the worker is not a process of its own.
    """
    await queue.drain_worker(name)
    return WorkerAsked(name, draining=True)


def _view(worker: WorkerRecord, running: dict[str, list[JobRecord]]) -> WorkerView:
    return WorkerView(
        id=worker.id,
        pool=worker.pool,
        queues=worker.queues,
        release=worker.release,
        started_at=worker.started_at,
        slots=worker.slots,
        running=[job.key for job in running.get(worker.id, ())],
        draining=worker.is_draining,
    )


def _refused(request: Request[Any, Any, Any], error: QueueError) -> Response[Problem]:
    status = 404 if isinstance(error, WorkerNotFoundError) else 409
    return problem(request.scope["path"], status, f"{error}.")


router = Router(
    "/api/v1/workers",
    route_handlers=[read_workers, drain_worker],
    tags=["Workers"],
    exception_handlers=freeing({WorkerNotFoundError: _refused, WorkerStateError: _refused}),
)
