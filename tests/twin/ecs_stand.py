"""Moto and the twin's parts, without Postgres: a process for `tests.prefork`.

It writes down where it is as the twin does, and stops at SIGTERM.
"""

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue

from scripts.host.guard import Guard
from scripts.host.pids import birth
from scripts.twin.autoscaling.autoscaler import Scaling
from scripts.twin.backends import Backends
from scripts.twin.client.state import ACCOUNT, REGION, Twin, folder
from scripts.twin.cloud.server import Cloud
from scripts.twin.cloudwatch.metrics import Metrics
from scripts.twin.daemon import Part
from scripts.twin.ecs.agent import Agent
from scripts.twin.ecs.metadata import Metadata
from scripts.twin.elb.balancer import Balancer
from scripts.twin.iam.access_keys import AccessKey
from scripts.twin.iam.judge import Judge
from tests.ports import free_port

# Of the credentials of ECS tasks; on ECS it is hours.
LIFE = timedelta(seconds=6)


def main(arguments: list[str]) -> int:
    """Run until SIGTERM."""
    home = Path(arguments[0])
    images = folder(home) / "images"
    images.mkdir(parents=True, exist_ok=True)
    guard = Guard(home, seconds=2, lock=None)
    key = AccessKey.new()
    judge = Judge(home, life=LIFE)
    cloud = Cloud(key=key, judge=judge)
    twin = Twin(
        home=home, account=ACCOUNT, region=REGION, endpoint=cloud.endpoint,
        access_key=key.id, secret_key=key.secret, url=f"http://localhost:{free_port()}",
        agent_url=f"http://127.0.0.1:{free_port()}/secret",
        images=images, python=Path(sys.executable), postgres_port=0, release="0",
        pid=os.getpid(), started=birth(os.getpid()) or "",
    )  # fmt: skip
    os.environ.update(twin.environment)  # noqa: TID251 - as the daemon does
    backends = Backends(ACCOUNT, REGION, judge)
    parts: list[Part] = [
        cloud,
        *(kind(backends, twin, guard) for kind in (Balancer, Metadata, Agent, Metrics, Scaling)),
    ]
    for part in parts:
        part.start()
    told: SimpleQueue[int] = SimpleQueue()
    signal.signal(signal.SIGTERM, lambda number, _: told.put(number))
    twin.save()
    told.get()
    for part in reversed(parts):
        part.stop()
    guard.dismiss()
    return 0
