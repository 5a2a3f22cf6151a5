"""`python -m service api|worker|migrate|healthcheck|queues|run`: all that the image can do."""

import gc
import json
import os
import resource
import sys
from typing import TYPE_CHECKING

from service.contract import HEARTBEAT_FILE, QUEUES, RUN, EnvVar, ProcessName, pool_process
from service.escape import escape

if TYPE_CHECKING:  # the health check must not import it
    from service.db import Password
    from service.settings import Settings

USAGE = f"usage: python -m service {'|'.join((*ProcessName, QUEUES))} | {RUN} PROGRAM..."
CANNOT_RUN, NOT_FOUND = 126, 127  # a shell's exit codes for these


def main(arguments: list[str]) -> int:
    """Run one process. Returns its exit status: 0 done, 1 failed, 2 wrong usage or settings.

    With `run` the process becomes another program and does not return.
    """
    # A dump of the memory would hold credentials, on a disk that nobody watches.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if arguments[:1] == [RUN] and len(arguments) > 1:
        return _become(arguments[1:])
    if len(arguments) != 1 or arguments[0] not in (*ProcessName, QUEUES):
        return _say(USAGE, 2)
    return _print_queues() if arguments == [QUEUES] else _run(ProcessName(arguments[0]))


def _run(process: ProcessName) -> int:
    if process is ProcessName.HEALTHCHECK:
        from service.processes import healthcheck  # noqa: PLC0415 - before anything heavy

        path = os.environ.get(EnvVar.WORKER_HEARTBEAT_FILE, HEARTBEAT_FILE)  # noqa: TID251
        return _say(problem, 1) if (problem := healthcheck.check(path)) else 0

    gc.disable()  # what a start makes stays: looking for garbage is a sixth of its time
    from service import logs, redact  # noqa: PLC0415 - the health check must not import these
    from service.settings import SettingsError, load_settings  # noqa: PLC0415

    try:
        settings = load_settings(process, also=_domain_problems(process))
    except SettingsError as error:
        return _say(f"{process} cannot start: {error}", 2)
    redact.configure(settings.redact_names)
    is_of_pool = process is ProcessName.WORKER and settings.worker_pool
    name = pool_process(settings.worker_pool) if is_of_pool else process
    watches = process is not ProcessName.MIGRATE and (
        settings.sends_telemetry or settings.sentry_dsn
    )
    lacking = _watch(settings, name) if watches else []
    logs.configure(settings, name)
    for line in lacking:
        logs.log.error(line)
    if problem := _unfit(settings):
        return _say(f"{process} cannot start: {problem}", 2)
    return _migrate(settings) if process is ProcessName.MIGRATE else _serve(process, settings)


def _watch(settings: "Settings", name: str) -> list[str]:
    from service.telemetry.start import start  # noqa: PLC0415 - where it is off, nothing imports it

    return start(settings, name)


def _print_queues() -> int:
    from service.queue.errors import RegistrationError  # noqa: PLC0415
    from service.queue.tasks.discovery import discover  # noqa: PLC0415

    try:
        queues = discover().queues()
    except RegistrationError as error:
        return _say(f"{QUEUES}: {error}", 1)
    found = {
        name: {
            "tasks": sorted(task.name for task in tasks),
            "schedules": sorted(task.name for task in tasks if task.schedule),
        }
        for name, tasks in queues.items()
    }
    return _say(json.dumps(found, indent=2), 0)


def _domain_problems(process: ProcessName) -> list[str]:
    """What is missing or wrong in the environment for the domains."""
    if process is ProcessName.MIGRATE:
        return []
    from service.domain_settings import domain_problems  # noqa: PLC0415
    from service.queue.errors import RegistrationError  # noqa: PLC0415

    try:
        return domain_problems(process)
    except RegistrationError:
        return []  # the process reports it at its start


def _databases(settings: "Settings") -> "dict[str, tuple[EnvVar, Password | None]]":
    """Each address, with the variable that it came from and the source of its password."""
    from service.aws import database_password  # noqa: PLC0415
    from service.database_url import SCHEMES  # noqa: PLC0415

    found: dict[str, tuple[EnvVar, Password | None]] = {
        settings.database_dsn: (EnvVar.DATABASE_URL, database_password(settings))
    }
    if settings.owner_dsn:
        found[settings.owner_dsn] = (EnvVar.DATABASE_OWNER_URL, None)
    if settings.queue_url.startswith(SCHEMES):
        found.setdefault(settings.queue_url, (EnvVar.QUEUE_DSN, None))  # it may be another one
    return found


def _unfit(settings: "Settings") -> str | None:
    """Why one of the databases can never be used; None if each may be."""
    import asyncio  # noqa: PLC0415

    from service.db import (  # noqa: PLC0415
        QUEUE_SESSION,
        UnfitDatabaseError,
        check_database,
    )

    for dsn, (variable, password) in _databases(settings).items():
        try:
            asyncio.run(check_database(dsn, password, QUEUE_SESSION))
        except UnfitDatabaseError as error:
            return f"{variable}: {error}"
    return None


def _serve(process: ProcessName, settings: "Settings") -> int:
    if process is ProcessName.WORKER:
        from service.processes.worker_process import run  # noqa: PLC0415
    else:
        from service.api.server.http_server import run  # noqa: PLC0415
    from service import observers  # noqa: PLC0415
    from service.queue.errors import RegistrationError  # noqa: PLC0415
    from service.settings import SettingsError  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    try:
        run(settings)
    except (RegistrationError, SettingsError) as error:
        return _say(f"{process} cannot start: {error}", 1 + isinstance(error, SettingsError))
    finally:
        observers.close()
    return 0


def _become(command: list[str]) -> int:
    try:
        # No shell and no child: the program is PID 1 and gets SIGTERM.
        os.execvp(command[0], command)  # noqa: S606
    except FileNotFoundError:
        return _say(f"run: there is no program {command[0]!r} in this image", NOT_FOUND)
    except OSError as error:
        return _say(f"run: {command[0]}: {error.strerror}", CANNOT_RUN)


def _migrate(settings: "Settings") -> int:
    import asyncio  # noqa: PLC0415

    from service.aws import database_password  # noqa: PLC0415
    from service.database_user import DatabaseUser, DatabaseUserError  # noqa: PLC0415
    from service.db import UNAVAILABLE  # noqa: PLC0415
    from service.migrate import migrate  # noqa: PLC0415
    from service.migration_files import MigrationError  # noqa: PLC0415

    databases, owned = _databases(settings), {}
    if settings.owner_dsn:
        del databases[settings.database_dsn]  # migrated by its owner, who also creates its user
        secret = database_password(settings)
        user = DatabaseUser(settings.database_dsn, secret.newest if secret else None)
        owned = {settings.owner_dsn: user}
    try:
        for dsn, (_, password) in databases.items():
            for name in asyncio.run(migrate(dsn, password=password, user=owned.get(dsn))):
                _say(f"applied {name}", 0)
    except (MigrationError, DatabaseUserError) as error:
        return _say(f"migrate failed: {error}", 1)
    except UNAVAILABLE as error:
        return _say(
            f"migrate failed: cannot reach the database: {type(error).__name__}: {error}", 1
        )
    return 0


def _say(message: str, status: int) -> int:
    text = escape(message, keep="\n\t")
    print(text, file=sys.stderr if status else sys.stdout, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
