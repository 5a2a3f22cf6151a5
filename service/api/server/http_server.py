"""`python -m service api`: the API in one process, on uvicorn."""

import asyncio
import functools
import resource
import signal
import socket
import sys
from types import FrameType

import structlog
import uvicorn
from litestar import Litestar

from service import contract
from service.api.app import create_app
from service.api.server.load import Load
from service.api.server.protocol import MAX_CONNECTIONS, BoundedProtocol
from service.processes.worker_process import end_if_stuck
from service.queue.factory import create_queue
from service.queue.tasks.discovery import discover
from service.settings import Settings

log = structlog.stdlib.get_logger("api")

OPEN_FILES = 4096  # enough for all connections; the default is often 1024
# For requests in flight at the end, if jobs need the drain time, or if it is shorter.
REQUEST_SECONDS = 5
HANDOVER_SECONDS = 0.2  # in which a connection that was just opened sends its request


class Server(uvicorn.Server):
    """uvicorn's server. A signal also stops the worker in this process, so that no job starts."""

    def __init__(self, app: Litestar, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            log.info("api started", host=self.config.host, port=self.config.port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if sockets:  # others go on listening there: what this process has taken is still answered
            for server in self.servers:
                server.close()
            await asyncio.sleep(HANDOVER_SECONDS)
        if watch := self.app.state.get("watch"):
            await watch.close()  # else the shutdown waits for its streams until the timeout
            self.app.state.lookout.close()
        await super().shutdown(sockets)
        log.info("api stopped")
        if worker := self.app.state.get("worker"):
            end_if_stuck(worker, int(self.lifespan.should_exit))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if worker := self.app.state.get("worker"):
            worker.event.set()


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are still answered."""
    registry = discover()
    app = create_app(settings, registry, create_queue(settings, registry))
    is_alone = settings.worker_mode == "standalone"
    drain_seconds = max(settings.drain_seconds, REQUEST_SECONDS) if is_alone else REQUEST_SECONDS
    server = Server(
        app,
        uvicorn.Config(
            app,
            host=settings.api_host,
            port=settings.api_port,
            loop="uvloop",
            http=functools.partial(BoundedProtocol, load=Load()),  # type: ignore[arg-type]
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,  # `envelope.py` writes one line with the request id
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS + 1,  # uvicorn counts the new request too
            timeout_keep_alive=contract.KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=drain_seconds,
        ),
    )
    _allow_open_files()
    # uvicorn raises the signal again at its end; with the default handler a clean stop would exit
    # with 143. A signal before uvicorn listens also reaches this handler, and it does not start.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    # Not uvicorn's own `fd`, which takes each socket for a Unix one.
    listening = None if settings.api_fd is None else [socket.socket(fileno=settings.api_fd)]
    server.run(listening)
    if server.lifespan.should_exit:  # the start or stop has failed
        sys.exit(1)


def _allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < OPEN_FILES:
        wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
