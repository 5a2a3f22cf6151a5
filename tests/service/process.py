"""`python -m service …` with everything imported, for `tests.prefork`."""

import service.api.server.http_server
import service.processes.worker_process  # noqa: F401
import tests.service.tasks  # noqa: F401 - registers
from service.__main__ import main

__all__ = ["main"]
