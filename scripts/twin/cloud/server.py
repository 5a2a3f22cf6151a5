"""moto with our additions as a server in this process, which can then reach into its state."""

import logging
import os
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from scripts.host.loopback import addresses, free_port
from scripts.twin.cloudformation import aurora, fixes, removal, resource_types
from scripts.twin.cloudformation.aurora import Server
from scripts.twin.iam.access_keys import AccessKey, Keys
from scripts.twin.iam.gate import Gate, Handler


class Cloud:
    """AWS's APIs on a port of this machine (0: any that is free), for who has `key`.

    `database` stands behind the cluster of a template; without one its address leads nowhere. So
    does that of load balancers without `balancer` (host:port). Our additions call these APIs as
    anybody does, so the process itself is pointed at them.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        key: AccessKey,
        database: Server | None = None,
        balancer: str | None = None,
    ) -> None:
        fixes.apply()
        removal.apply()
        if balancer:
            fixes.balancers_are_at(balancer)
        resource_types.register()
        aurora.register(database)
        logging.getLogger("werkzeug").setLevel(logging.WARNING)  # not a line for each request
        port = port or free_port()
        moto = DomainDispatcherApplication(create_backend_app)
        gate = Gate(moto, Keys(key), port)
        self._servers = [
            make_server(each, port, gate, threaded=True, request_handler=Handler)
            for each in addresses(port)
        ]
        # by name: moto takes the first part of an address for the name of a bucket
        self.endpoint = f"http://localhost:{port}"
        os.environ |= {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": key.id,
            "AWS_SECRET_ACCESS_KEY": key.secret,
        }
        self._threads = [
            threading.Thread(target=each.serve_forever, name="cloud", daemon=True)
            for each in self._servers
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            thread.join()
