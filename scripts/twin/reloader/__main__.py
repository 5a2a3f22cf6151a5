"""`python -m scripts.twin.reloader api`: what a container of the twin runs during `moor dev`.

It imports the libraries once, and forks a process that imports the service. When the code is saved
it forks another one. Once that has started, the one of before is stopped as a deployment does it:
it answers its requests and finishes its jobs. One that does not start changes nothing.
"""

import importlib
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from scripts.host.sources import Sources
from service.contract import EnvVar, ProcessName

LOOK_SECONDS = 0.1
STARTED = {ProcessName.API: b"api started", ProcessName.WORKER: b"worker started"}
# Where its log level hides that line, and it still runs after so long, it has started.
STARTED_SECONDS = 3.0
CHUNK_BYTES = 64 * 1024
MODULES = {
    ProcessName.API: "service.api.server.http_server",
    ProcessName.WORKER: "service.processes.worker_process",
}


@dataclass
class Child:
    """A process of the service, with the pipe that its output comes from."""

    pid: int
    output: int
    began: float = field(default_factory=time.monotonic)
    has_started: bool = False
    code: int | None = None
    tail: bytes = b""

    def poll(self) -> None:
        """Note its end."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal."""
        if self.code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Reloader:
    """The running process, the one that is to follow it, and those that are ending."""

    def __init__(self, name: ProcessName, folder: Path) -> None:
        self._name = name
        self._folder = folder
        self._is_ending = False
        self._ending: list[Child] = []
        self._next: Child | None = None
        self._why = ""
        if name is ProcessName.API:
            given = os.environ  # noqa: TID251 - as the container has it
            host, port = given[EnvVar.API_HOST], int(given[EnvVar.API_PORT])
            # Of all of them: no request is refused while they change.
            listening = socket.create_server((host, port), backlog=2048)
            os.set_inheritable(listening.fileno(), True)
            self._listening = listening
            given[EnvVar.API_FD] = str(listening.fileno())
        _import_libraries(MODULES[name])
        self._sources = Sources(folder)
        self._current = self._fork()

    def run(self) -> int:
        """Until SIGTERM, or until the process ends by itself. Returns its exit code."""
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        while True:
            self._read(LOOK_SECONDS)
            for child in self._children:
                child.poll()
            self._ending = [child for child in self._ending if child.code is None]
            if self._next is not None:
                self._follow(self._next)
            if self._current.code is not None and self._next is None and not self._ending:
                self._read(0.0)
                return _exit_code(self._current.code)
            if not self._is_ending and (saved := self._sources.changed()):
                self._reload(saved)

    @property
    def _children(self) -> list[Child]:
        return [self._current, *self._ending, *([self._next] if self._next else [])]

    def _reload(self, saved: list[Path]) -> None:
        while more := self._settle():  # an editor, or git, writes several files
            saved = more
        if self._next is not None:  # it has read half of it
            self._next.stop(signal.SIGKILL)
            self._ending.append(self._next)
        names = [str(path.relative_to(self._folder.parent)) for path in saved[:3]]
        self._why = ", ".join(names) + (" …" if len(saved) > 3 else "")
        self._next = self._fork()

    def _settle(self) -> list[Path]:
        time.sleep(0.02)
        return self._sources.changed()

    def _follow(self, child: Child) -> None:
        """Let the new process take over once it has started, or forget it where it has ended."""
        seconds = time.monotonic() - child.began
        if child.code is not None:
            self._next = None
            say(f"not reloaded ({self._why}): it does not start; the code of before goes on")
        elif child.has_started or seconds > STARTED_SECONDS:
            self._current.stop()
            self._ending.append(self._current)
            self._current, self._next = child, None
            say(f"reloaded in {seconds:.2f} s ({self._why})")

    def _read(self, seconds: float) -> None:
        """Pass on what the processes say, for so long at most."""
        outputs = {child.output: child for child in self._children if child.output >= 0}
        ready, _, _ = select.select(list(outputs), [], [], seconds)
        for output in ready:
            child, said = outputs[output], os.read(output, CHUNK_BYTES)
            if not said:
                os.close(output)
                child.output = -1
                continue
            os.write(1, said)
            child.has_started |= STARTED[self._name] in child.tail + said
            child.tail = said[-64:]

    def _fork(self) -> Child:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writing)
            return Child(pid, reading)
        os.close(reading)
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        os.close(writing)
        # the interpreter's own have noted what the output was before
        sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
        _serve(self._name)

    def _end(self, *_: object) -> None:
        self._is_ending = True
        for child in self._children:
            child.stop()


def _serve(name: ProcessName) -> NoReturn:
    """In a new process: the service, as `python -m service` runs it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    code = 1
    try:
        code = importlib.import_module("service.__main__").main([name])  # as it is now
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _import_libraries(module: str) -> None:
    """Import what `module` imports of other code, but nothing of the service.

    A process of its own finds out what that is, so that no code of a domain runs here.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        before = set(sys.modules)
        with suppress(BaseException):  # the process that is forked next says what is wrong
            importlib.import_module(module)
            importlib.import_module("service.queue.tasks.discovery").discover()
        names = [name for name in sys.modules if name not in before]
        with os.fdopen(writing, "w") as pipe:
            pipe.write("\n".join(names))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        names = pipe.read().split("\n")
    os.waitpid(pid, 0)
    for name in names:
        if name and name.partition(".")[0] not in ("service", "scripts"):
            with suppress(Exception):
                importlib.import_module(name)
    for name in [each for each in sys.modules if each.partition(".")[0] == "service"]:
        del sys.modules[name]  # the contract: it may be edited too


def _exit_code(code: int) -> int:
    return code if code >= 0 else 128 - code


def say(text: str) -> None:
    """A line of this process in the log of the container."""
    os.write(1, f"{text}\n".encode())


if __name__ == "__main__":
    sys.exit(Reloader(ProcessName(sys.argv[1]), Path.cwd() / "service").run())
