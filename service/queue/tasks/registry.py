"""The registry of tasks. Decorating a function in `service/domain/*/jobs/` registers it."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, overload

import msgspec

from service.contract import QUEUE_NAME, QUEUE_NAME_PATTERN
from service.queue.cron import Timing, TimingError
from service.queue.errors import RegistrationError, UnknownTaskError
from service.queue.tasks.payload import SignatureError, payload_type, required_fields
from service.queue.tasks.task import (
    ATTEMPTS,
    BACKOFF_BASE_SECONDS,
    BACKOFF_MAX_SECONDS,
    TIMEOUT_SECONDS,
    TTL_SECONDS,
    Schedule,
    Task,
    TaskFunction,
)

F = TypeVar("F", bound=TaskFunction)


@dataclass
class Registry:
    """Every task of a process by name, and its hooks.

    Registering raises `RegistrationError` for a name that is taken, a wrong cron line or time zone,
    and a signature that cannot be a payload.
    """

    tasks: dict[str, Task] = field(default_factory=dict)
    startup: list[TaskFunction] = field(default_factory=list)
    shutdown: list[TaskFunction] = field(default_factory=list)
    before: list[TaskFunction] = field(default_factory=list)
    after: list[TaskFunction] = field(default_factory=list)
    _names: dict[str, Task] = field(default_factory=dict)  # aliases included

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def get(self, name: str) -> Task:
        """The task with that name or alias. Raises `UnknownTaskError`."""
        try:
            return self._names[name]
        except KeyError:
            raise UnknownTaskError(name) from None

    def queue_of(self, name: str) -> str:
        """The queue of the task with that name or alias; `default` where there is none."""
        found = self._names.get(name)
        return found.queue if found else QUEUE_NAME

    def queues(self) -> dict[str, list[Task]]:
        """The queues that tasks name, in the order of their names, with the tasks of each.

        The queue `default` is there without a task, too.
        """
        found: dict[str, list[Task]] = {QUEUE_NAME: []}
        for each in self.tasks.values():
            found.setdefault(each.queue, []).append(each)
        return dict(sorted(found.items()))

    def without_schedules(self) -> "Registry":
        """The same tasks without their schedules."""
        tasks = {name: replace(task, schedule=None) for name, task in self.tasks.items()}
        names = {name: tasks[task.name] for name, task in self._names.items()}
        return replace(self, tasks=tasks, _names=names)

    @overload
    def task(self, function: F) -> F: ...

    @overload
    def task(
        self,
        *,
        name: str | None = None,
        queue: str = QUEUE_NAME,
        aliases: tuple[str, ...] = (),
        timeout: int = TIMEOUT_SECONDS,
        retries: int = ATTEMPTS,
        retry_delay: float = BACKOFF_BASE_SECONDS,
        backoff: bool | float = BACKOFF_MAX_SECONDS,
        heartbeat: int = 0,
        ttl: int = TTL_SECONDS,
        priority: int = 0,
        schedule: Schedule | None = None,
    ) -> Callable[[F], F]: ...

    def task(
        self,
        function: F | None = None,
        *,
        name: str | None = None,
        queue: str = QUEUE_NAME,
        aliases: tuple[str, ...] = (),
        timeout: int = TIMEOUT_SECONDS,
        retries: int = ATTEMPTS,
        retry_delay: float = BACKOFF_BASE_SECONDS,
        backoff: bool | float = BACKOFF_MAX_SECONDS,
        heartbeat: int = 0,
        ttl: int = TTL_SECONDS,
        priority: int = 0,
        schedule: Schedule | None = None,
    ) -> F | Callable[[F], F]:
        """Register a function as a task, under its own name unless `name` is given.

        The function is called with the context and the payload's fields as keyword arguments. The
        decorator returns it unchanged. After a crash a job may run twice: a second run must be
        harmless. Its jobs go to `queue`.

            @task(name="invoice.send", queue="mail", timeout=30, retries=5)
            async def send_invoice(ctx: Context, *, invoice_id: int) -> None: ...
        """

        def register(function: F) -> F:
            source = _source(function)
            for option, value, low in (
                ("timeout", timeout, 0),
                ("retries", retries, 0),
                ("retry_delay", retry_delay, 0),
                ("heartbeat", heartbeat, 0),
                ("ttl", ttl, -1),
            ):
                if value < low:
                    raise RegistrationError(f"{source}: {option}={value}: must be at least {low}")
            if not 0 <= priority <= 32767:
                raise RegistrationError(f"{source}: priority={priority}: must be 0 to 32767")
            if not re.fullmatch(QUEUE_NAME_PATTERN, queue):
                raise RegistrationError(
                    f"{source}: queue={queue!r}: must be 1 to 31 of a-z, 0-9 and hyphens, first a "
                    "letter"
                )
            task_name = name or function.__name__
            self._add(
                Task(
                    name=task_name,
                    function=function,
                    payload_type=_payload_type(function, task_name, source),
                    queue=queue,
                    aliases=aliases,
                    timeout=timeout,
                    retries=retries,
                    retry_delay=retry_delay,
                    backoff=backoff,
                    heartbeat=heartbeat,
                    ttl=ttl,
                    priority=priority,
                    schedule=schedule,
                    source=source,
                    is_async=inspect.iscoroutinefunction(function),
                )
            )
            return function

        return register if function is None else register(function)

    def scheduled_task(
        self,
        *,
        cron: str | None = None,
        every: str | None = None,
        tz: str = "UTC",
        unique: bool = False,
        **options: Any,
    ) -> Callable[[F], F]:
        """Register a task that also runs on a schedule: `cron`, read in the zone `tz`, or `every`.

        With `unique` a tick is skipped while the job of the tick before waits or runs. `options`
        are those of `task`. All payload fields need defaults.

            @scheduled_task(cron="0 2 * * *", tz="Europe/Berlin", timeout=600)
            async def rebuild_index(ctx: Context) -> None: ...

            @scheduled_task(every="30 minutes", unique=True)
            async def remind_everybody(ctx: Context) -> None: ...
        """

        def register(function: F) -> F:
            source = _source(function)
            try:
                timing = Timing.parse(cron=cron, every=every, tz=tz)
            except TimingError as error:
                given = {"cron": cron, "every": every, "tz": tz}[error.field]
                raise RegistrationError(
                    f"{source}: {error.field}={given!r} {error.problem}"
                ) from None
            self.task(schedule=Schedule(timing, unique), **options)(function)
            added = self.get(options.get("name") or function.__name__)
            if required := required_fields(added.payload_type):
                del self.tasks[added.name], self._names[added.name]
                raise RegistrationError(
                    f"{source}: a scheduled task is called without a payload, "
                    f"but {', '.join(required)} has no default"
                )
            return function

        return register

    def on_startup(self, function: F) -> F:
        """Run `function(ctx)` once when a worker starts, before its first job."""
        self.startup.append(function)
        return function

    def on_shutdown(self, function: F) -> F:
        """Run `function(ctx)` once when a worker stops, after its last job.

        All shutdown hooks together have five seconds.
        """
        self.shutdown.append(function)
        return function

    def before_process(self, function: F) -> F:
        """Run `function(ctx)` before each job; an error in it fails the attempt."""
        self.before.append(function)
        return function

    def after_process(self, function: F) -> F:
        """Run `function(ctx)` after each job; `ctx["exception"]` is set where the job failed.

        The outcome is written before: an error in the hook is logged and changes nothing.
        """
        self.after.append(function)
        return function

    def _add(self, added: Task) -> None:
        for name in (added.name, *added.aliases):
            if taken := self._names.get(name):
                raise RegistrationError(
                    f"{added.source}: the task name {name!r} is taken by {taken.source}"
                )
        self.tasks[added.name] = added
        self._names.update(dict.fromkeys((added.name, *added.aliases), added))


registry = Registry()
"""The process's registry, filled by the decorators below as modules are imported."""

task = registry.task
scheduled_task = registry.scheduled_task
on_startup = registry.on_startup
on_shutdown = registry.on_shutdown
before_process = registry.before_process
after_process = registry.after_process


def _source(function: TaskFunction) -> str:
    code = inspect.unwrap(function).__code__
    return f"{shown_path(Path(code.co_filename))}:{code.co_firstlineno}"


def shown_path(path: Path) -> str:
    """The path relative to the working directory, if it is inside."""
    root = Path.cwd()
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _payload_type(function: TaskFunction, name: str, source: str) -> type[msgspec.Struct]:
    try:
        return payload_type(function, name)
    except SignatureError as error:
        raise RegistrationError(f"{source}: {error}") from None
