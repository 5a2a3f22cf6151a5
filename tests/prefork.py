"""Processes of a module that are forked from one that has imported everything.

Each is a process of its own, with the environment, output, signals and exit code of
`python -m MODULE …`; only the seconds are saved in which it would import what the last one did.
"""

import array
import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MESSAGE_BYTES = 64 * 1024


@dataclass
class Child:
    """A process as `subprocess.Popen` has it; `returncode` is None until its end is known."""

    pid: int
    server: "Prefork"
    returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self.server.code(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises `subprocess.TimeoutExpired` after `timeout` seconds."""
        began = time.monotonic()
        while (code := self.poll()) is None:
            if timeout is not None and time.monotonic() - began > timeout:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@dataclass
class Prefork:
    """One process of a project that forks others. All of them end with the process that made it.

    `module` has the `main` that each runs, and imports what it needs.
    """

    project: Path
    module: str
    _codes: dict[int, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)  # `wait` may be in a thread

    def __post_init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.prefork", str(theirs.fileno()), self.module],
                cwd=self.project,
                env={"PATH": os.environ["PATH"]},  # noqa: TID251
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def start(self, arguments: list[str], environment: dict[str, str], output: int) -> Child:
        """`main` with these arguments; its output goes to that file."""
        request = json.dumps([arguments, environment]).encode()
        with self._lock:
            self._socket.sendmsg(
                [request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [output]))]
            )
            while "started" not in (message := self._receive()):
                self._codes |= {message["ended"]: message["code"]}
        return Child(message["started"], self)

    def code(self, pid: int) -> int | None:
        """The exit code of that process, negative for a signal; None while it runs."""
        with self._lock:
            while pid not in self._codes and select.select([self._socket], [], [], 0)[0]:
                message = self._receive()
                self._codes |= {message["ended"]: message["code"]}
            return self._codes.get(pid)

    def close(self) -> None:
        self._socket.close()
        self._process.wait(10)

    def _receive(self) -> dict[str, int]:
        found = self._socket.recv(MESSAGE_BYTES)
        assert found, f"the process that forks others has ended: {self._process.poll()}"
        message: dict[str, int] = json.loads(found)
        return message


@functools.cache
def prefork(project: Path, module: str) -> Prefork:
    """The one of a project and a module in this test run."""
    found = Prefork(project, module)
    atexit.register(found.close)
    return found


def serve(client: socket.socket) -> list[str] | None:
    """Fork for each request. Returns its arguments in the new process; None at the end of all."""
    ends, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    running: set[int] = set()
    while True:
        readable = select.select([client.fileno(), ends], [], [])[0]
        if ends in readable:
            os.read(ends, MESSAGE_BYTES)
            running -= _report_ended(client)
        if client.fileno() in readable:
            request, files, _, _ = socket.recv_fds(client, MESSAGE_BYTES, 1)
            if not request:
                for pid in running:
                    os.kill(pid, signal.SIGKILL)
                return None
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for unused in (ends, woken, client.detach()):
                    os.close(unused)
                return _become(json.loads(request), files[0])
            running.add(pid)
            os.close(files[0])
            client.send(json.dumps({"started": pid}).encode())


def _report_ended(client: socket.socket) -> set[int]:
    """Tell the client of every process that has ended; returns their ids."""
    found: set[int] = set()
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        found.add(pid)
        code = os.waitstatus_to_exitcode(status)
        with contextlib.suppress(BrokenPipeError):  # who asked is gone, which `serve` reads next
            client.send(json.dumps({"ended": pid, "code": code}).encode())


def _become(request: Any, output: int) -> list[str]:
    arguments, environment = request
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    os.close(output)
    os.environ.clear()  # noqa: TID251
    os.environ.update(environment)  # noqa: TID251
    found: list[str] = arguments
    return found


if __name__ == "__main__":
    gc.disable()  # what is imported stays
    main = importlib.import_module(sys.argv[2]).main
    gc.freeze()  # no process writes to the memory that all of them share
    gc.enable()
    with socket.socket(fileno=int(sys.argv[1])) as client:
        mine = serve(client)
    sys.exit(0 if mine is None else main(mine))
