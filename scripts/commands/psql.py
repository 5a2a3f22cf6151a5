"""`moor psql`: SQL on the stage's database."""

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from scripts.aws import connect
from scripts.clock import Clock
from scripts.ecs.one_off import heed_signals
from scripts.errors import OperatorError
from scripts.host.postgres_programs import programs
from scripts.session.database_access import (
    LOOPBACK,
    Database,
    OwnerOption,
    ask_password,
    find_database,
    find_way,
    tunnel,
)
from scripts.session.plugin import terminal_is_the_sessions
from scripts.terminal.answer import say
from scripts.terminal.options import DEFAULT_STAGE, StageOption, TaskOption, YesOption, confirm

RDS_ROOTS = Path(__file__).parents[2] / "service" / "rds-ca.pem"


def psql(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGUMENTS...]", help="psql's own.")
    ] = None,
    *,
    owner: OwnerOption = False,
    task: TaskOption = "",
    stage: StageOption = DEFAULT_STAGE,
    yes: YesOption = False,
) -> int:
    """SQL on the stage's database, through a running ECS task; the exit code is psql's.

    `moor psql -- -c 'SELECT 1'` runs one statement. The database lets nobody else in. You are the
    user of API and worker, who reads and writes rows; `--owner` makes and changes tables.
    """
    aws, clock = connect(stage), Clock()
    command_line = [program(needs_tls=not aws.target.is_local), *(arguments or [])]
    confirm(aws.target, "open psql on its database", yes)
    database = find_database(aws, as_owner=owner)
    if aws.target.is_local:
        return _run(command_line, environment(database, ask_password(aws, database)))
    way = find_way(aws, task, clock)
    password = ask_password(aws, database)
    port = _free_port()
    heed_signals()
    with tunnel(aws, database, way, port, clock):
        say(f"through ECS task {way.ecs_task}")
        return _run(command_line, environment(database, password, tunnel_port=port))


def environment(database: Database, password: str, *, tunnel_port: int = 0) -> dict[str, str]:
    """What psql is told; never by arguments, which every user of this machine can read."""
    found = {
        "PGHOST": database.host,
        "PGPORT": str(tunnel_port or database.port),
        "PGUSER": database.user,
        "PGPASSWORD": password,
        "PGDATABASE": database.name,
        "PGSSLMODE": database.sslmode,
        "PGAPPNAME": "moor psql",
    }
    if tunnel_port:
        # Connects here, and still holds the certificate against the database's own name.
        found["PGHOSTADDR"] = LOOPBACK
        found["PGSSLROOTCERT"] = str(RDS_ROOTS)
    return found


def program(*, needs_tls: bool) -> str:
    """psql of this machine, or the one that comes with the embedded Postgres, which has no TLS.

    Raises `OperatorError` where neither will do.
    """
    found = shutil.which("psql")
    if found is None and needs_tls:
        raise OperatorError(
            "psql is not on PATH, and the one of the embedded Postgres has no TLS",
            "Install it: `apt-get install postgresql-client`, `brew install libpq`.",
        )
    return found or str(programs() / "psql")


def _run(command_line: Sequence[str], told: dict[str, str]) -> int:
    # A developer's own PG… variables are about another database.
    others = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    with terminal_is_the_sessions(), subprocess.Popen(command_line, env=others | told) as running:
        try:
            return running.wait()
        finally:
            running.terminate()  # of no effect where it has ended


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as server:
        port: int = server.getsockname()[1]
        return port
