"""`python -m service api|worker|migrate|healthcheck|run`: the one way into the image."""

import os
import sys
from typing import TYPE_CHECKING

from service.contract import HEARTBEAT_FILE, RUN, EnvVar, ProcessName

if TYPE_CHECKING:  # the health check must not pay for it
    from service.settings import Settings

USAGE = f"usage: python -m service {'|'.join(ProcessName)} | {RUN} PROGRAM..."
CANNOT_RUN, NOT_FOUND = 126, 127  # a shell's exit codes for these


def main(arguments: list[str]) -> int:
    """Run one process; its exit status: 0 done, 1 failed, 2 used wrongly.

    With `run` this process becomes another program, and does not return.
    """
    if arguments[:1] == [RUN] and len(arguments) > 1:
        return _become(arguments[1:])
    if len(arguments) != 1 or arguments[0] not in list(ProcessName):
        return _say(USAGE, 2)
    process = ProcessName(arguments[0])
    if process is ProcessName.HEALTHCHECK:
        from service import healthcheck  # noqa: PLC0415 - before anything heavy

        path = os.environ.get(EnvVar.WORKER_HEARTBEAT_FILE, HEARTBEAT_FILE)  # noqa: TID251
        return _say(problem, 1) if (problem := healthcheck.check(path)) else 0

    from service import logs  # noqa: PLC0415 - the health check must not pay for these
    from service.settings import SettingsError, load_settings  # noqa: PLC0415

    try:
        settings = load_settings(process)
    except SettingsError as error:
        return _say(f"{process} cannot start: {error}", 2)
    logs.configure(settings, process)
    return _migrate(settings) if process is ProcessName.MIGRATE else _serve(process, settings)


def _serve(process: ProcessName, settings: "Settings") -> int:
    if process is ProcessName.WORKER:
        from service.worker import run  # noqa: PLC0415
    else:
        from service.api.server import run  # noqa: PLC0415
    from service.queue.registry import RegistrationError  # noqa: PLC0415
    from service.settings import SettingsError  # noqa: PLC0415

    try:
        run(settings)
    except (RegistrationError, SettingsError) as error:
        return _say(f"{process} cannot start: {error}", 1 + isinstance(error, SettingsError))
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
    from service.db import UNAVAILABLE  # noqa: PLC0415
    from service.migrate import MigrationError, migrate  # noqa: PLC0415
    from service.settings import POSTGRES_SCHEMES  # noqa: PLC0415

    databases = {settings.database_dsn: database_password(settings)}
    if settings.queue_url.startswith(POSTGRES_SCHEMES):
        databases.setdefault(settings.queue_url, None)  # the queue's may be another one
    try:
        for dsn, password in databases.items():
            for name in asyncio.run(migrate(dsn, password=password)):
                _say(f"applied {name}", 0)
    except MigrationError as error:
        return _say(f"migrate failed: {error}", 1)
    except UNAVAILABLE as error:
        return _say(
            f"migrate failed: cannot reach the database: {type(error).__name__}: {error}", 1
        )
    return 0


def _say(message: str, status: int) -> int:
    print(message, file=sys.stderr if status else sys.stdout, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
