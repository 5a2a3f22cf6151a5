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

from tests.prefork import Child, prefork


@dataclass(eq=False)
class WorkerProcess:
    """A worker of either engine, or an API."""

    process: "subprocess.Popen[bytes] | Child"
    log_path: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    @property
    def exit_status(self) -> int:
        """Of one that has ended; negative for a signal."""
        status = self.process.poll()
        assert status is not None
        return status

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

    def spawn(
        self, command: tuple[str, ...], environment: Mapping[str, str], *, is_forked: bool = False
    ) -> WorkerProcess:
        """A Python process, or a fork of one that has imported the command's module; what it says
        goes to a file."""
        number = len(self.started)
        log_path = self.folder / f"process-{number}.log"
        given = {
            "PATH": os.environ["PATH"],  # noqa: TID251
            "STAGE": "local",
            "WORKER_HEARTBEAT_FILE": str(self.folder / f"heartbeat-{number}"),
            **environment,
        }
        process: subprocess.Popen[bytes] | Child
        with log_path.open("wb") as output:
            if is_forked:
                _, module, *arguments = command
                process = prefork(self.project, module).start(arguments, given, output.fileno())
            else:
                process = subprocess.Popen(
                    [sys.executable, *command],
                    cwd=self.project, env=given, stdout=output, stderr=subprocess.STDOUT,
                )  # fmt: skip
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
