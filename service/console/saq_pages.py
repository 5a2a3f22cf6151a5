"""SAQ's web pages at `/saq`, from litestar-saq: where they exist, and their content policy."""

import base64
import hashlib
import re
from functools import partial
from pathlib import Path
from typing import Any

import click
from litestar import Litestar, Response, Router
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send
from litestar_saq import SAQConfig, SAQPlugin, TaskQueues
from saq import Job
from saq.queue.base import Queue

from service.contract import READY_PATH, UI_PATH
from service.problem import problem, send_response
from service.queue.interface import JobQueue
from service.queue.job import shown_fields
from service.settings import Settings, is_loopback

STATIC_PATH = f"{UI_PATH}/static/"
ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True}
INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def has_pages(settings: Settings) -> bool:
    """Do the pages exist? Without a password only in stage local, and only on this machine."""
    is_private = settings.is_local and is_loopback(settings.api_host)
    return is_private or settings.ui_password is not None


class ShownJob:
    """A job as litestar-saq's routes use it, without passwords, tokens and keys in its fields."""

    def __init__(self, job: Job) -> None:
        self.retry = job.retry
        self.abort = job.abort
        self.to_dict = partial(shown_fields, job)


class ShownQueue:
    """A queue as litestar-saq's routes use it; its jobs are `ShownJob`s."""

    def __init__(self, queue: Queue) -> None:
        self.info = queue.info  # which hides them too
        self._queue = queue

    async def job(self, key: str) -> ShownJob | None:
        job = await self._queue.job(key)
        return ShownJob(job) if job else None


class Pages(SAQPlugin):
    """litestar-saq without its workers, which are processes of their own, and without secrets."""

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        queues = self.config.get_queues().queues
        shown = TaskQueues({name: ShownQueue(queue) for name, queue in queues.items()})  # type: ignore[misc] # all that those routes use of a queue
        app_config = super().on_app_init(app_config)
        if self.config.web_enabled:
            pages = app_config.route_handlers.pop()  # it is added last
            of_theirs = {"task_queues": Provide(lambda: shown, sync_to_thread=False)}
            app_config.route_handlers.append(
                Router("/", route_handlers=[pages], dependencies=of_theirs)
            )
        return app_config

    def on_cli_init(self, cli: click.Group) -> None:
        @cli.command("workers", context_settings=ANYTHING, help="Says what runs the jobs.")
        def workers() -> None:
            raise click.ClickException(
                "This application's workers are not litestar-saq's: `python -m service worker` "
                "runs one, `make worker` one with its database."
            )


def saq_plugin(settings: Settings, queue: JobQueue) -> SAQPlugin:
    """The plugin that serves the pages and gives `task_queues` to every route."""
    return Pages(
        SAQConfig(
            queue_instances={each.name: each for each in queue.all},
            queue_configs=[],
            web_enabled=has_pages(settings),
            web_path=UI_PATH,
        )
    )


async def content_policy(app: Litestar) -> str | None:
    """The strictest policy under which the pages work: their own files and their inline script.

    The hash is that of the script in the installed litestar-saq, so that a new version of it does
    not leave the pages blank.
    """
    if (index := app.get_handler_index_by_name("worker:index")) is None:
        return None
    page: str = await index["handler"].fn(None)
    hashes = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for script in INLINE_SCRIPT.findall(page)
    ]
    scripts = " ".join(["'self'", *(f"'sha256-{found}'" for found in hashes)])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class JobPages:
    """Corrects some answers of litestar-saq's routes; other requests pass through."""

    def __init__(self, app: ASGIApp, static: Path) -> None:
        self.app = app
        self.static = {STATIC_PATH + found.name for found in static.iterdir()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: Response[Any] | None = None
        if scope["type"] == ScopeType.HTTP:
            if scope["raw_path"] == UI_PATH.encode() and scope["method"] == "GET":
                # The page's script only works under /saq/; here it would show "not found".
                answer = Response(None, status_code=307, headers={"Location": f"{UI_PATH}/"})
            elif scope["path"] == f"{UI_PATH}/health" and scope["method"] == "GET":
                # It would answer 500 while the database is away.
                answer = Response(None, status_code=307, headers={"Location": READY_PATH})
            elif scope["path"].startswith(STATIC_PATH) and scope["path"] not in self.static:
                # Litestar would look for any name in the file system, and fail on a long one.
                answer = problem(scope["path"], 404)
            if answer:
                await send_response(answer, scope, receive, send)
                return
        await self.app(scope, receive, send)
