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
    find_database,
    find_tunnel_target,
    read_password,
    tunnel,
)
from scripts.session.plugin import terminal_for_session
from scripts.terminal.answer import say
from scripts.terminal.options import DEFAULT_STAGE, StageOption, TaskOption, YesOption, confirm

RDS_ROOTS = Path(__file__).parents[2] / "service" / "rds-ca.pem"


def psql(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGUMENTS...]", help="Arguments for psql.")
    ] = None,
    *,
    owner: OwnerOption = False,
    task: TaskOption = "",
    stage: StageOption = DEFAULT_STAGE,
    yes: YesOption = False,
) -> int:
    """SQL on the stage's database, through a running ECS task; the exit code is psql's.

    `moor psql -- -c 'SELECT 1'` runs one statement. The database accepts connections from ECS tasks
    only. You are the user of API and worker, who may change rows; `--owner` may change tables.
    """
    aws, clock = connect(stage), Clock()
    command_line = [program(needs_tls=not aws.target.is_local), *(arguments or [])]
    confirm(aws.target, "open psql on its database", yes)
    database = find_database(aws, as_owner=owner)
    if aws.target.is_local:
        return _run(command_line, environment(database, read_password(aws, database)))
    way = find_tunnel_target(aws, task, clock)
    password = read_password(aws, database)
    port = _free_port()
    heed_signals()
    with tunnel(aws, database, way, port, clock):
        say(f"through ECS task {way.ecs_task}")
        return _run(command_line, environment(database, password, tunnel_port=port))


def environment(database: Database, password: str, *, tunnel_port: int = 0) -> dict[str, str]:
    """The variables for psql: every user of this machine could read the password in arguments."""
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
        # Connect to this machine, but compare the certificate with the database's own name.
        found["PGHOSTADDR"] = LOOPBACK
        found["PGSSLROOTCERT"] = str(RDS_ROOTS)
    return found


def program(*, needs_tls: bool) -> str:
    """The path of psql on this machine, or of the embedded Postgres's own, which has no TLS.

    Raises `OperatorError` where neither can be used.
    """
    found = shutil.which("psql")
    if found is None and needs_tls:
        raise OperatorError(
            "psql is not on PATH, and the one of the embedded Postgres has no TLS",
            "Install it: `apt-get install postgresql-client`, `brew install libpq`.",
        )
    return found or str(programs() / "psql")


def _run(command_line: Sequence[str], variables: dict[str, str]) -> int:
    # A developer's own PG… variables are about another database.
    others = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environ = others | variables
    with terminal_for_session(), subprocess.Popen(command_line, env=environ) as running:
        try:
            return running.wait()
        finally:
            running.terminate()  # has no effect where it has ended


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as server:
        port: int = server.getsockname()[1]
        return port
