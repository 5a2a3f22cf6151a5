"""moto with our additions as a server in this process, which can then read and change its state."""

import logging
import os
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from scripts.host.loopback import addresses, free_port
from scripts.twin.cloudformation import aurora, fixes, policy_updates, removal, resource_types
from scripts.twin.cloudformation.aurora import Server
from scripts.twin.iam.access_keys import AccessKey, Keys
from scripts.twin.iam.gate import Gate, Handler
from scripts.twin.iam.judge import Judge


class Cloud:
    """AWS's APIs on a port of this machine (0: any free one), for callers with `key`.

    `database` answers at the address of a template's database cluster, and `balancer` (host:port)
    at that of a load balancer; without them nothing answers there. `judge` refuses what roles may
    not do. Our additions call these APIs
    over HTTP too, so this process's own AWS variables point at them.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        key: AccessKey,
        database: Server | None = None,
        balancer: str | None = None,
        judge: Judge | None = None,
    ) -> None:
        fixes.apply()
        policy_updates.apply()
        removal.apply()
        if balancer:
            fixes.set_balancer_address(balancer)
        resource_types.register()
        aurora.register(database)
        logging.getLogger("werkzeug").setLevel(logging.WARNING)  # no line for each request
        port = port or free_port()
        moto = DomainDispatcherApplication(create_backend_app)
        gate = Gate(moto, Keys(key), port, judge)
        self._servers = [
            make_server(each, port, gate, threaded=True, request_handler=Handler)
            for each in addresses(port)
        ]
        # By name: moto would read the first part of an IP address as a bucket's name.
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
