"""`moor tunnel`: the stage's database on a port of this machine."""

from typing import Annotated

import typer

from scripts.aws import connect
from scripts.clock import Clock
from scripts.ecs.one_off import heed_signals
from scripts.errors import OperatorError
from scripts.session.database_access import (
    LOOPBACK,
    OwnerOption,
    find_database,
    find_tunnel_target,
    tunnel,
)
from scripts.terminal.answer import print_line, say
from scripts.terminal.options import DEFAULT_STAGE, StageOption, TaskOption, YesOption, confirm

PORT = 5433


def open_tunnel(
    *,
    port: Annotated[int, typer.Option(help="A port of this machine.", min=1, max=65535)] = PORT,
    owner: OwnerOption = False,
    task: TaskOption = "",
    stage: StageOption = DEFAULT_STAGE,
    yes: YesOption = False,
) -> None:
    """The database on a port of this machine, through a running ECS task, until Ctrl-C.

    Prints its URL without the password, and the name of the secret that holds the password.
    """
    aws, clock = connect(stage), Clock()
    database = find_database(aws, as_owner=owner)
    if aws.target.is_local:
        say("the local twin's database is on this machine; it needs no tunnel")
        print_line(f"postgresql://{database.user}@{database.host}:{database.port}/{database.name}")
        return
    confirm(aws.target, "open a tunnel to its database", yes)
    way = find_tunnel_target(aws, task, clock)
    heed_signals()
    with tunnel(aws, database, way, port, clock) as plugin:
        # `verify-full` would compare the certificate with the name of this machine. psql can be
        # given address and name separately; other clients cannot, so they only encrypt. The bytes
        # travel in TLS to AWS and then in AWS's own network.
        print_line(
            f"postgresql://{database.user}@{LOOPBACK}:{port}/{database.name}?sslmode=require"
        )
        say(f"through ECS task {way.ecs_task}; the password is in {database.secret_arn}")
        say("Ctrl-C closes it.")
        code = plugin.wait()
    raise OperatorError(
        f"the tunnel has closed by itself (exit code {code})",
        "It ends with its ECS task, and after 20 minutes without a byte.",
    )
