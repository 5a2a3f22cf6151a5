"""Worker processes, as the operating system sees them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(eq=False)
class WorkerProcess:
    """A worker of either engine, or an API."""

    process: "subprocess.Popen[bytes]"
    log_path: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def log_lines(self) -> int:
        return self.log_path.read_bytes().count(b"\n")

    def send(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    async def exit(self, seconds: float) -> int | None:
        """Its exit status; None where it still runs after that time."""
        deadline = time.monotonic() + seconds
        while self.is_alive and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return self.process.poll()


@dataclass
class Fleet:
    """Starts processes, and ends whatever is left."""

    project: Path
    folder: Path
    started: list[WorkerProcess] = field(default_factory=list)

    def spawn(self, command: tuple[str, ...], environment: Mapping[str, str]) -> WorkerProcess:
        """A Python process; what it says goes to a file."""
        number = len(self.started)
        log_path = self.folder / f"process-{number}.log"
        with log_path.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=self.project,
                env={
                    "PATH": os.environ["PATH"],  # noqa: TID251
                    "STAGE": "local",
                    "WORKER_HEARTBEAT_FILE": str(self.folder / f"heartbeat-{number}"),
                    **environment,
                },
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.started.append(WorkerProcess(process, log_path))
        return self.started[-1]

    @property
    def alive(self) -> list[WorkerProcess]:
        return [worker for worker in self.started if worker.is_alive]

    def end(self) -> None:
        for worker in self.alive:
            worker.send(signal.SIGCONT)
            worker.process.kill()
        for worker in self.started:
            worker.process.wait(10)
