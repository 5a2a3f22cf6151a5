"""`make db`, `make api`, `make worker`: one part of the service, in the foreground, without AWS."""

import argparse
import os
import sys
import time
from pathlib import Path

from scripts.errors import OperatorError
from scripts.host.environment import Environment
from scripts.host.local_secrets import LocalSecrets
from scripts.host.postgres_user import make_private
from scripts.jobs.first_job import suggestion
from scripts.local.parts import Local, Stopped
from scripts.local.served import served
from scripts.target import find_stage
from scripts.terminal.render import Screen
from service.contract import CONSOLE_PATH, LOCAL_STAGE, EnvVar, ProcessName

PARTS = {
    "db": [],
    "api": [ProcessName.API],
    "worker": [ProcessName.WORKER],
}


def main(arguments: list[str]) -> int:
    """Run until a signal; returns 0 after a signal, 1 if something failed or ended by itself."""
    parser = argparse.ArgumentParser(prog="python -m scripts.local", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument(
        "--pool", help="of `worker`: a pool of stage local, whose queues it serves (else all)"
    )
    parser.add_argument(
        "--data", type=Path, default=Path(".moorage"), help="folder of the local data (.moorage)"
    )
    options = parser.parse_args(arguments)
    os.umask(0o077)  # only this user may read the files
    screen = Screen(os.environ)
    environment = Environment(os.environ, options.data.absolute())
    try:
        return run(options.part, environment, screen, pool=options.pool)
    except OperatorError as error:
        screen.fail(error)
        return error.exit_code
    except PermissionError as error:
        screen.fail(
            OperatorError(
                f"{error.filename}: {error.strerror}",
                f"{options.data} may be another user's: root's, after a `sudo make db`.",
            )
        )
        return 1


def run(part: str, environment: Environment, screen: Screen, *, pool: str | None = None) -> int:
    """Start `part`, say how to use it, wait for a signal and stop it; returns the exit status."""
    started = time.monotonic()
    names = PARTS[part]
    stage = find_stage(LOCAL_STAGE)
    secrets, of = LocalSecrets(environment.home, environment.given), served(stage, pool)
    told = {name: of.told(name) | secrets.values(stage, name, of.name) for name in names}
    local = Local(names, environment, screen, told=told)
    if part == "db" and local.postgres is None:
        raise OperatorError(
            "DATABASE_URL names another server, so there is none to start here",
            "Unset it for the embedded Postgres.",
        )
    make_private(environment.home)
    local.heed_signals()
    if ProcessName.API in names:
        environment.address.check_free()
    status = 0
    try:
        local.start()
        show(local, time.monotonic() - started)
        local.stay()
    except Stopped:
        pass
    except OperatorError as error:
        screen.fail(error)
        status = error.exit_code
    stopping = time.monotonic()
    screen.say("Stopping; another Ctrl-C kills at once")
    local.stop()
    screen.step("Stopped", time.monotonic() - stopping)
    return status


def show(local: Local, seconds: float) -> None:
    """Print what runs where, and what to try."""
    screen, environment = local.screen, local.environment
    url = environment.address.url
    screen.say()
    screen.title(f"Up in {seconds:.1f} s. Ctrl-C stops it.")
    if ProcessName.API in local.names:
        screen.say(f"  API      {url}")
        screen.say(f"  Schema   {url}/schema")
        screen.say(f"  Console  {url}{CONSOLE_PATH}")
    if local.postgres:
        if not local.names:
            screen.say(f"  DATABASE_URL='{local.postgres.url}'")
        screen.say(f"  psql     {local.postgres.psql}")
    if ProcessName.API in local.names:
        if ProcessName.WORKER not in local.names and not environment.is_worker_in_api:
            screen.say("No worker runs yet, so jobs wait: `make worker` starts one.")
        # The key itself is never shown, so the other terminal must have the variable too.
        header = f'"X-API-Key: ${EnvVar.API_KEY}"' if environment.needs_key else ""
        key = f" -H {header}" if header else ""
        tasks = environment.address.tasks(environment.api_key)
        screen.title(f"Try, in another terminal{f' with {EnvVar.API_KEY} set' if key else ''}:")
        screen.say(f"  {suggestion(url, tasks, header=header)}")
        screen.say(f"  curl -s {url}/api/v1/jobs/<job_id>{key}")
    screen.say()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
