"""`python -m service api`: the API in one process, on uvicorn."""

import signal
import sys

import structlog
import uvicorn

from service import contract
from service.api.app import create_app
from service.api.protocol import BoundedProtocol
from service.queue.registry import discover
from service.settings import Settings
from service.worker import create_queue

MAX_CONNECTIONS = 1000  # more are answered 503; idle ones that a balancer keeps count too
IN_PROCESS_REQUEST_SECONDS = 5  # then the drain time belongs to the jobs of the in-process worker

log = structlog.stdlib.get_logger("api")


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are answered, then the process is done."""
    registry = discover()
    queue = create_queue(settings, registry)
    is_alone = settings.worker_mode == "standalone"
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings, registry, queue),
            host=settings.api_host,
            port=settings.api_port,
            loop="uvloop",
            http=BoundedProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,  # `envelope.py` writes one line with the request id
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=contract.KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=(
                settings.drain_seconds if is_alone else IN_PROCESS_REQUEST_SECONDS
            ),
        )
    )
    # uvicorn raises the signal again when it is done; the default handler would then end a clean
    # stop as killed (143). Before it listens, the same handler makes it stop before it starts.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    server.run()
    if not server.started and not server.should_exit:
        sys.exit(1)
