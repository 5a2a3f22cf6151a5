"""A worker that asks for the password at every connect: `python -m tests.faults.rotating`.

FAULT_PASSWORD names the file that a secrets service would be.
"""

import asyncio
import os
from pathlib import Path

import tests.faults.tasks  # noqa: F401 - registers
from service.contract import ProcessName
from service.processes.worker_process import create_worker
from service.queue import PostgresQueue, discover
from service.settings import load_settings


async def main() -> None:
    password = Path(os.environ["FAULT_PASSWORD"])  # noqa: TID251 - no setting of the service
    settings, registry = load_settings(ProcessName.WORKER), discover()
    queue = PostgresQueue(settings.queue_url, registry, password=password.read_text)
    await create_worker(settings, registry, queue).start()
    await queue.disconnect()


if __name__ == "__main__":
    asyncio.run(main())
