"""The tasks of this code base: decorating a function in `service/domain/*/jobs/` registers it."""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, overload

import msgspec

from service import contract
from service.queue.cron import Timing, TimingError
from service.queue.errors import InvalidPayloadError, PayloadTooLargeError, UnknownTaskError
from service.queue.tasks.payload import (
    UNSTORABLE,
    SignatureError,
    not_finite,
    payload_type,
    required_fields,
    unstorable,
)
from service.validation import explain

TaskFunction = Callable[..., Any]
F = TypeVar("F", bound=TaskFunction)

TIMEOUT_SECONDS = 60
ATTEMPTS = 3
BACKOFF_BASE_SECONDS = 1.0
BACKOFF_MAX_SECONDS = 300.0
TTL_SECONDS = 24 * 3600
JOB_MODULES = ("tasks", "scheduled", "startup", "shutdown")


class RegistrationError(Exception):
    """A task, schedule or hook is declared wrongly; the message starts with where that is."""


@dataclass(frozen=True)
class Schedule:
    """When a task runs by itself, and whether a tick is left out while the one before runs."""

    timing: Timing
    is_unique: bool = False


@dataclass(frozen=True, kw_only=True)
class Task:
    """A registered Python function and how its jobs run unless a job says otherwise."""

    name: str
    function: TaskFunction
    payload_type: type[msgspec.Struct]
    aliases: tuple[str, ...] = ()  # former names, for jobs that were queued under them
    timeout: int = TIMEOUT_SECONDS  # seconds for one attempt; 0: no limit
    retries: int = ATTEMPTS  # the most attempts a job gets, as SAQ counts them; 0 is one, too
    retry_delay: float = BACKOFF_BASE_SECONDS  # seconds before the second attempt
    backoff: bool | float = BACKOFF_MAX_SECONDS  # doubling delays up to this many seconds
    heartbeat: int = 0  # seconds a job may run without reporting progress; 0: for ever
    ttl: int = TTL_SECONDS  # seconds the ended job is kept; 0: for ever, -1: not at all
    priority: int = 0  # lower runs first
    schedule: Schedule | None = None
    source: str = ""  # file:line
    is_async: bool = True

    def encode(self, payload: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
        """Check `payload` against the function's annotations and make it JSON-safe; its bytes too.

        What is let through comes out again as it was. Raises `InvalidPayloadError` with the field's
        path, `PayloadTooLargeError` over 5 MiB.
        """
        struct = self._convert(payload)
        try:
            encoded: dict[str, Any] = msgspec.to_builtins(struct, str_keys=True)
            as_json = msgspec.json.encode(encoded)
        except UNSTORABLE:
            raise self._unstorable(struct) from None
        # JSON has no NaN and no infinity: msgspec writes them as null
        if b"null" in as_json and (found := not_finite(encoded, "payload")):
            path, value = found
            raise InvalidPayloadError(self.name, path, f"is {value}, which JSON cannot hold")
        try:  # now, and not in the worker
            msgspec.json.decode(as_json, type=self.payload_type)
        except msgspec.ValidationError as error:
            raise InvalidPayloadError(
                self.name, "payload", f"does not survive JSON: {error}"
            ) from None
        size = len(as_json)
        if size > contract.LARGE_PAYLOAD_MAX_BYTES:
            raise PayloadTooLargeError(
                self.name,
                "payload",
                f"{size} bytes as JSON, the limit is {contract.LARGE_PAYLOAD_MAX_BYTES}; "
                "put large things into S3 and send their key",
            )
        return encoded, size

    def decode(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The keyword arguments for the function, of the annotated types.

        Raises `InvalidPayloadError` where an older or newer release queued something else.
        """
        struct = self._convert(payload, str_keys=True)
        return {name: getattr(struct, name) for name in struct.__struct_fields__}

    def _unstorable(self, struct: msgspec.Struct) -> InvalidPayloadError:
        """Which field has no form in JSON."""
        for name in struct.__struct_fields__:
            try:
                msgspec.json.encode(msgspec.to_builtins(getattr(struct, name), str_keys=True))
            except UNSTORABLE as error:
                return InvalidPayloadError(self.name, f"payload.{name}", unstorable(error))
        return InvalidPayloadError(self.name, "payload", "cannot be stored as JSON")

    def _convert(self, payload: Mapping[str, Any], *, str_keys: bool = False) -> msgspec.Struct:
        try:
            return msgspec.convert(payload, self.payload_type, str_keys=str_keys)
        except msgspec.ValidationError as error:
            reason, _, path = str(error).partition(" - at `$.")
            path = path.rstrip("`")
            raise InvalidPayloadError(
                self.name,
                f"payload.{path}" if path else "payload",
                explain(reason, path, self.payload_type),
            ) from None


@dataclass
class Registry:
    """Every task of a process by name, its schedules and its start and stop hooks.

    Registering raises `RegistrationError`: a taken name, a bad cron line or time zone, a signature
    that cannot be a payload.
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
        """The task of that name or former name. Raises `UnknownTaskError`."""
        try:
            return self._names[name]
        except KeyError:
            raise UnknownTaskError(name) from None

    @overload
    def task(self, function: F) -> F: ...

    @overload
    def task(
        self,
        *,
        name: str | None = None,
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

        The function gets the context and then the payload's fields as keyword arguments, and stays
        callable as it is. After a crash a job may run twice: a second run must be harmless.

            @task(name="invoice.send", timeout=30, retries=5)
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
            task_name = name or function.__name__
            self._add(
                Task(
                    name=task_name,
                    function=function,
                    payload_type=_payload_type(function, task_name, source),
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
        """Register a task that also runs by itself: by a cron line in a time zone, UTC unless
        given, or every so often.

        With `unique` a tick is left out while the job of the one before waits or runs. Takes the
        options of `task`. All payload fields need defaults.

            @scheduled_task(cron="0 2 * * *", tz="Europe/Berlin", timeout=600)
            async def rebuild_index(ctx: Context) -> None: ...

            @scheduled_task(every="30 minutes", unique=True)
            async def refresh_all_feeds(ctx: Context) -> None: ...
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

        All of these have five seconds together.
        """
        self.shutdown.append(function)
        return function

    def before_process(self, function: F) -> F:
        """Run `function(ctx)` before each job; an error in it fails the attempt."""
        self.before.append(function)
        return function

    def after_process(self, function: F) -> F:
        """Run `function(ctx)` after each job, `ctx["exception"]` set where it failed.

        The job has its outcome by then: an error in it is logged and changes nothing.
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


def discover(package_name: str = "service.domain") -> Registry:
    """Import `jobs/{tasks,scheduled,startup,shutdown}.py` of each domain; the filled registry.

    Raises what a module raises on import, and `RegistrationError` for a module that would not be
    found: a worker with half of its tasks would fail jobs that are right.
    """
    for domain in domains(package_name):
        jobs = f"{domain.__name__}.jobs"
        if (is_folder := _inside(domain, {"jobs"}).get("jobs")) is None:
            continue
        if not is_folder:
            raise RegistrationError(
                f"{_file(domain, 'jobs.py')}: jobs is a folder; move this to jobs/tasks.py, "
                "beside an empty jobs/__init__.py"
            )
        package = importlib.import_module(jobs)
        names = _inside(package, JOB_MODULES)
        for name in JOB_MODULES:
            if name in names:
                importlib.import_module(f"{jobs}.{name}")
        for name, is_folder in names.items():
            # what the modules above import is a helper of theirs
            if not name.startswith("_") and f"{jobs}.{name}" not in sys.modules:
                raise RegistrationError(
                    f"{_file(package, name if is_folder else f'{name}.py')}: jobs are found in "
                    f"{', '.join(f'{known}.py' for known in JOB_MODULES)} alone; "
                    "rename this, or import it in one of them"
                )
    return registry


def domains(package_name: str = "service.domain") -> list[ModuleType]:
    """The domain packages, by name. Raises `RegistrationError` for a folder that is none."""
    return [
        importlib.import_module(f"{package_name}.{name}")
        for name, is_folder in _inside(importlib.import_module(package_name)).items()
        if is_folder
    ]


def _inside(package: ModuleType, wanted: Collection[str] = ()) -> dict[str, bool]:
    """The modules in `package` by name: is it a folder?

    Raises `RegistrationError` for a folder without `__init__.py`: one of `wanted`, if given.
    """
    found = {one.name: one.ispkg for one in pkgutil.iter_modules(package.__path__)}
    for folder in (each for place in package.__path__ for each in Path(place).iterdir()):
        is_hidden = folder.name.startswith((".", "_")) or (wanted and folder.name not in wanted)
        if folder.name not in found and not is_hidden and any(folder.rglob("*.py")):
            raise RegistrationError(
                f"{_shown(folder)}: has no __init__.py, so nothing in it is found; "
                "add an empty one there"
            )
    return dict(sorted(found.items()))


def _file(package: ModuleType, name: str) -> str:
    return _shown(Path(package.__path__[0]) / name)


def _source(function: TaskFunction) -> str:
    code = inspect.unwrap(function).__code__
    return f"{_shown(Path(code.co_filename))}:{code.co_firstlineno}"


def _shown(path: Path) -> str:
    root = Path.cwd()
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _payload_type(function: TaskFunction, name: str, source: str) -> type[msgspec.Struct]:
    try:
        return payload_type(function, name)
    except SignatureError as error:
        raise RegistrationError(f"{source}: {error}") from None
