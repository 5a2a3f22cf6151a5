"""What really happened, written where no fault of the database or the network reaches it.

Jobs append a line when they start and one when they end; the client keeps what was acknowledged.
"""

import json
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Ledger:
    """A file that many processes append to. A line is one write, so a SIGKILL leaves it whole.

    Times are of the system's monotonic clock: one for all processes, and no fault moves it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, event: str, **facts: Any) -> None:
        line = json.dumps({"event": event, "pid": os.getpid(), "at": time.monotonic(), **facts})
        with self.path.open("ab", buffering=0) as file:
            file.write(line.encode() + b"\n")

    def start(self, key: str, attempt: int) -> str:
        """A job starts; the name of this run."""
        run = uuid.uuid4().hex
        self.write("start", key=key, attempt=attempt, run=run)
        return run

    def end(self, run: str) -> None:
        self.write("end", run=run)

    def events(self, event: str) -> list[dict[str, Any]]:
        """Every line of that event, oldest first."""
        if not self.path.exists():
            return []
        lines = [json.loads(line) for line in self.path.read_bytes().splitlines()]
        return [line for line in lines if line["event"] == event]

    def runs(self) -> list["Run"]:
        """Every run of every job, oldest first."""
        ends = {line["run"]: line["at"] for line in self.events("end")}
        return [
            Run(line["key"], line["attempt"], line["pid"], line["at"], ends.get(line["run"]))
            for line in self.events("start")
        ]


@dataclass(frozen=True)
class Run:
    """One execution of a job."""

    key: str
    attempt: int
    pid: int
    started_at: float
    ended_at: float | None  # None: killed, cancelled or still at it
