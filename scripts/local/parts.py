"""The parts of the local stage that one command runs, from their start to their end."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from types import FrameType

from scripts.errors import OperatorError, UsageError
from scripts.host.environment import Environment
from scripts.host.guard import Guard
from scripts.host.postgres import Postgres
from scripts.local.processes import Child, Ended, stop
from scripts.terminal.render import Screen
from service.contract import ProcessName

READY_SECONDS = 60
CLOSE_SECONDS = 5  # what a process may need after its jobs are drained
POLL_SECONDS = 0.1
CHECK_SECONDS = 2.0
SEE_ABOVE = "Its lines above say why."


class Stopped(Exception):
    """The operator has sent a signal to stop."""


class Local:
    """Postgres, unless DATABASE_URL names a server, and the processes `names` on it.

    `told` are the project's own variables and secrets for each of them.
    """

    def __init__(
        self,
        names: list[ProcessName],
        environment: Environment,
        screen: Screen,
        *,
        told: Mapping[ProcessName, Mapping[str, str]],
    ) -> None:
        self._told = told
        self.names = names
        self.environment = environment
        self.screen = screen
        self.postgres = None if environment.database_url else Postgres(environment.home)
        self.stop_seconds = environment.drain_seconds + CLOSE_SECONDS
        self._guard: Guard | None = None
        self._children: list[Child] = []
        # A SimpleQueue, because a signal handler may put into it at any moment.
        self._events: SimpleQueue[Ended | Stopped] = SimpleQueue()
        self._is_told_to_stop = False

    def heed_signals(self) -> None:
        """Make the first Ctrl-C or SIGTERM raise `Stopped` at the next step."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def start(self) -> None:
        """Start every part. Raises `OperatorError` with the step that failed."""
        self._guard = Guard(self.environment.home, seconds=self.stop_seconds, lock=None)
        self._start_postgres()
        if self.names:
            self._migrate()
            self._start_processes()

    def stay(self) -> None:
        """Wait for a signal, which raises `Stopped`; raises `OperatorError` if a part ends by
        itself."""
        while True:
            self._fail_if_any_ended(CHECK_SECONDS)
            if self.postgres and not self.postgres.is_running:
                raise OperatorError("Postgres has ended", f"Its log is {self.postgres.log}.")

    def stop(self) -> None:
        """Stop what was started; a second Ctrl-C meanwhile kills it."""
        for child in stop(self._children, self.stop_seconds):
            self.screen.say(f"{child.name} did not end within {self.stop_seconds} s: killed")
        self.environment.heartbeat_file.unlink(missing_ok=True)
        try:
            if self.postgres and not self.postgres.stop():
                self.screen.say("Postgres runs on for another command that uses it")
        finally:
            if self._guard:
                self._guard.dismiss()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self._is_told_to_stop:
            self._is_told_to_stop = True
            self._events.put(Stopped())
        elif number == signal.SIGINT:
            for child in self._children:
                if child.is_running:
                    child.kill()
            os._exit(130)  # the guard gets no farewell and stops Postgres

    def _start_postgres(self) -> None:
        if self.postgres is None:
            self.screen.say(f"Using {self.environment.database}, as DATABASE_URL says")
            return
        started = time.monotonic()
        if not self.postgres.exists:
            self.screen.say(f"Creating an empty database in {self.postgres.data}")
        if opened := self.postgres.start():
            folders = ", ".join(map(str, opened))
            self.screen.say(
                f"Postgres does not run as root; its user may now pass through {folders}"
            )
        self.screen.step("Postgres is running", time.monotonic() - started)

    def _migrate(self) -> None:
        started = time.monotonic()
        self._start_process(ProcessName.MIGRATE)
        ended = self._next_end(None)
        if ended and ended.code:
            failure = UsageError if ended.code == UsageError.exit_code else OperatorError
            raise failure(f"the database could not be migrated: {ended}", SEE_ABOVE)
        self.screen.step("The database is migrated", time.monotonic() - started)

    def _start_processes(self) -> None:
        started, begun = time.monotonic(), time.time()
        for name in self.names:
            self._start_process(name)
        if ProcessName.API in self.names:
            self._await_ready(ProcessName.API, self.environment.address.why_not_ready)
        if ProcessName.WORKER in self.names:
            self._await_ready(ProcessName.WORKER, lambda: self._why_no_heartbeat(begun))
        self.screen.step(f"Ready: {' and '.join(self.names)}", time.monotonic() - started)

    def _start_process(self, name: ProcessName) -> None:
        url = self.postgres.url if self.postgres else self.environment.database_url
        assert url is not None
        self._next_end(0)
        told = self.environment.for_service(url, self._told.get(name, {}))
        child = Child(name, told, self.screen, self._events.put)
        self._children.append(child)
        if self._guard:
            self._guard.watch(child.pid)

    def _why_no_heartbeat(self, begun: float) -> str | None:
        file = self.environment.heartbeat_file
        is_fresh = file.exists() and file.stat().st_mtime >= begun
        return None if is_fresh else f"no heartbeat in {file}"

    def _await_ready(self, name: ProcessName, why_not: Callable[[], str | None]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while (reason := why_not()) is not None:
            if time.monotonic() > deadline:
                raise OperatorError(
                    f"{name} was not ready after {READY_SECONDS} s: {reason}", SEE_ABOVE
                )
            self._fail_if_any_ended(POLL_SECONDS)

    def _fail_if_any_ended(self, seconds: float) -> None:
        if ended := self._next_end(seconds):
            raise OperatorError(f"{ended} by itself", SEE_ABOVE)

    def _next_end(self, seconds: float | None) -> Ended | None:
        """The next process that ends, or None if none does in time. Raises `Stopped` after a
        signal."""
        try:
            event = self._events.get(block=seconds != 0, timeout=seconds)
        except Empty:
            return None
        if isinstance(event, Stopped):
            raise event
        return event
