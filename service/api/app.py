"""The API: `create_app` connects routes, the queue and the application's database."""

import asyncio
import importlib
import importlib.util
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
from litestar import Litestar, Response, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from service import contract, observers
from service.api.door.auth import Gate
from service.api.door.envelope import Envelope
from service.api.door.http_errors import EXCEPTION_HANDLERS
from service.api.door.json_body import JsonRequest
from service.api.door.limits import Admission
from service.api.door.methods import Methods
from service.api.routes import (
    bulk_routes,
    health_routes,
    job_routes,
    metrics_routes,
    queue_routes,
    schedule_routes,
    worker_routes,
)
from service.api.routes.job_events import Watch
from service.api.routes.metrics_routes import Scrape
from service.aws import database_password
from service.console import (
    actions,
    bulk_pages,
    dead_letter_pages,
    door,
    job_log_pages,
    pages,
    people_routes,
    queue_pages,
    suggestions,
    worker_pages,
)
from service.console.overview import Lookout
from service.console.saq_pages import JobPages, content_policy, has_pages, saq_plugin
from service.db import CONNECT_TIMEOUT_SECONDS, create_pool
from service.problem import problem
from service.processes.queue_metrics import Reporter
from service.processes.worker_process import run_in_process
from service.queue.interface import JobQueue
from service.queue.tables.bulk_runner import BulkRunner
from service.queue.tables.table_queue import TableQueue
from service.queue.tasks.discovery import domains
from service.queue.tasks.registry import Registry
from service.settings import Settings


def create_app(
    settings: Settings,
    registry: Registry,
    queue: JobQueue,
    *,
    domain_package: str = "service.domain",
) -> Litestar:
    """The API as an ASGI application. It connects when it is started.

    `task_queues`, `pool` (of the application's database), `queue`, `registry` and `settings` can be
    injected into every route, also into those of `service/domain/*/routes.py`.
    """

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.pool = await create_pool(
                settings.database_dsn,
                name="moorage api",
                max_size=settings.database_pool_size,
                password=database_password(settings),
            )
            stack.push_async_callback(_close, app.state.pool)
            await queue.connect()
            stack.push_async_callback(queue.disconnect)
            app.state.watch = Watch(queue)
            reports = asyncio.create_task(Reporter(queue, settings).run(), name="reports")
            stack.callback(reports.cancel)
            if isinstance(queue, TableQueue):
                bulk = asyncio.create_task(BulkRunner(queue).run(), name="bulk actions")
                stack.push_async_callback(_end, bulk)
            envelope.ui_policy = await content_policy(app) or envelope.ui_policy
            if settings.worker_mode == "in-process":
                app.state.worker = await stack.enter_async_context(
                    run_in_process(settings, registry, queue)
                )
            yield

    saq = saq_plugin(settings, queue)
    of_domains = domain_routes(domain_package)
    lookout = Lookout(queue)
    app = Litestar(
        route_handlers=[
            health_routes.live,
            health_routes.ready,
            job_routes.router,
            bulk_routes.router,
            schedule_routes.router,
            *queue_routes.route_handlers,
            worker_routes.router,
            door.create_link,
            people_routes.router,
            door.router,
            pages.static,
            pages.router,
            actions.router,
            dead_letter_pages.router,
            job_log_pages.router,
            queue_pages.router,
            suggestions.router,
            worker_pages.router,
            worker_pages.actions,
            bulk_pages.router,
            *metrics_routes.unless_taken(_paths(of_domains)),
            *of_domains,
        ],
        dependencies={
            "pool": Provide(_pool, sync_to_thread=False),
            "queue": Provide(lambda: queue, sync_to_thread=False),
            "registry": Provide(lambda: registry, sync_to_thread=False),
            "settings": Provide(lambda: settings, sync_to_thread=False),
            "watch": Provide(_watch, sync_to_thread=False),
            "lookout": Provide(lambda: lookout, sync_to_thread=False),
        },
        plugins=[saq],
        lifespan=[lifespan],
        state=State({"settings": settings, "lookout": lookout, "scrape": Scrape(queue, settings)}),
        request_class=JsonRequest,
        request_max_body_size=contract.BODY_MAX_BYTES,
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=_openapi(settings),
        logging_config=None,  # `service.logs` configures all logging
        debug=False,  # by default Litestar reads it from the environment
        pdb_on_exception=False,
    )
    handler = app.asgi_handler
    if has_pages(settings):
        handler = JobPages(handler, saq.config.static_files)
    # Around Litestar, because its own middleware does not see requests to unknown paths.
    app.asgi_handler = envelope = Envelope(Gate(Admission(Methods(handler)), settings))
    if observers.tracer is not None:
        app.asgi_handler = observers.tracer.answering(envelope)
    return app


def domain_routes(package_name: str) -> list[Any]:
    """The `route_handlers` of each domain's `routes.py`. Raises what such a module raises."""
    found: list[Any] = []
    for domain in domains(package_name):
        name = f"{domain.__name__}.routes"
        if importlib.util.find_spec(name) is not None:
            found += importlib.import_module(name).route_handlers
    return found


def _paths(handlers: list[Any]) -> set[str]:
    return {route.path for route in Router("/", route_handlers=handlers).routes}


def _pool(state: State) -> asyncpg.Pool:
    pool: asyncpg.Pool = state.pool
    return pool


def _watch(state: State) -> Watch:
    watch: Watch = state.watch
    return watch


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task], timeout=CONNECT_TIMEOUT_SECONDS)


async def _close(pool: asyncpg.Pool) -> None:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            await pool.close()
    except TimeoutError:
        pool.terminate()


def _schema_answer(answer: Response[Any]) -> Response[Any]:
    """A problem instead of Litestar's HTML page for an unknown path."""
    return problem("/schema", 404) if answer.status_code == 404 else answer


def _openapi(settings: Settings) -> OpenAPIConfig:
    is_open = settings.api_auth == "off" or (settings.is_local and settings.api_key is None)
    return OpenAPIConfig(
        title="Moorage",
        version="1",
        description="Enqueue tasks, follow their jobs, read how the queue stands. "
        "Errors are RFC 9457 problem+json.",
        openapi_router=Router(
            "/schema", route_handlers=[], include_in_schema=False, after_request=_schema_answer
        ),
        # Only JSON: Litestar's pages for the schema load their scripts from a CDN.
        render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
        use_handler_docstrings=True,
        security=[] if is_open else [{"key": []}, {"header": []}],
        components=Components(
            security_schemes={
                "key": SecurityScheme(type="http", scheme="bearer"),
                "header": SecurityScheme(
                    type="apiKey", name="X-API-Key", security_scheme_in="header"
                ),
            }
        ),
    )
