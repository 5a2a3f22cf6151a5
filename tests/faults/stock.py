"""Stock SAQ with its own PostgresQueue: the negative control, as well set up as it can be.

`python -m saq tests.faults.stock.settings` runs the same functions; a job gets the same timeout and
number of attempts as with ours, and the worker the same time to drain.
"""

import os
from typing import Any

from saq.queue.postgres import PostgresQueue

from tests.faults import tasks


def settings() -> dict[str, Any]:
    """What SAQ's command line asks for."""
    environment = os.environ  # noqa: TID251 - a process of its own
    return {
        "queue": PostgresQueue.from_url(environment["DATABASE_URL"]),
        "functions": [tasks.work, tasks.block, tasks.ignore_cancel, tasks.poison],
        "concurrency": int(environment["WORKER_CONCURRENCY"]),
        "timers": {"sweep": int(environment.get("STOCK_SWEEP_SECONDS", "60"))},
        "startup": [tasks.ready],
        "shutdown_grace_period_s": int(environment["DRAIN_SECONDS"]),
    }
