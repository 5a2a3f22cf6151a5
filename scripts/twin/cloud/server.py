"""moto with our additions as a server in this process, which can then reach into its state."""

import logging
import os
import threading

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from scripts.twin.cloud import aurora, fixes, recipes, removal
from scripts.twin.cloud.aurora import Server

HOST = "127.0.0.1"  # nobody else's machine may deploy here


class Cloud:
    """AWS's APIs on a port of this machine (0: any that is free).

    `database` stands behind the cluster of a template; without one its address leads nowhere. So
    does that of load balancers without `balancer` (host:port). Our additions call these APIs as
    anybody does, so the process itself is pointed at them.
    """

    def __init__(
        self, port: int = 0, *, database: Server | None = None, balancer: str | None = None
    ) -> None:
        fixes.apply()
        removal.apply()
        if balancer:
            fixes.balancers_are_at(balancer)
        recipes.register()
        aurora.register(database)
        logging.getLogger("werkzeug").setLevel(logging.WARNING)  # not a line for each request
        application = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            HOST, port, application, threaded=True, request_handler=MotoRequestHandler
        )
        # by name: moto takes the first part of an address for the name of a bucket
        self.endpoint = f"http://localhost:{self._server.server_port}"
        os.environ["AWS_ENDPOINT_URL"] = self.endpoint
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="cloud", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
