"""`moor up`: deploy the local stage to the local twin, with the real CDK."""

import os
import signal
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from scripts.host.pid_lock import take_up_lock
from scripts.jobs.first_job import suggestion
from scripts.local.bring_up import bring_up
from scripts.target import HOME
from scripts.terminal.interrupt import heed, was_interrupted
from scripts.terminal.options import HomeOption
from scripts.terminal.render import Screen
from scripts.twin.client.permissions import is_off, switch
from scripts.twin.client.shell import env_file
from scripts.twin.client.state import Twin
from service.contract import EnvVar


def up(
    iam: Annotated[
        bool | None,
        typer.Option(
            "--iam/--no-iam",
            help="Refuse what roles may not do, from now on (the default), or let it through.",
        ),
    ] = None,
    home: HomeOption = HOME,
) -> None:
    """Start the local twin and deploy the current code to it.

    The twin plays AWS on this machine: moto, an embedded Postgres and local processes. `cdk deploy`
    of stage local goes there; nothing leaves the machine and nothing costs money.
    """
    os.umask(0o077)  # only this user may read the files
    screen = Screen(os.environ)
    home = home.absolute()
    if iam is not None:
        switch(home, is_on=iam)
    began = time.monotonic()
    lock = take_up_lock(home)
    heed(signal.SIGTERM, signal.SIGHUP)  # they end the child processes, as Ctrl-C does
    try:
        twin, tasks, console = bring_up(home, os.environ, screen)
    except BaseException:
        if not was_interrupted():
            raise
        running = Twin.load(home) is not None
        screen.say()
        screen.say(
            "Interrupted. The twin runs on: `moor up` goes on from here, `moor down` ends it."
            if running
            else "Interrupted. `moor down` ends what has been started."
        )
        raise KeyboardInterrupt from None
    finally:
        lock.release()
    show(twin, tasks, console, screen, time.monotonic() - began)


def show(
    twin: Twin, tasks: list[dict[str, Any]], console: str, screen: Screen, seconds: float
) -> None:
    """Print where everything is, and what to try next."""
    file = env_file(twin.home)
    if file.is_relative_to(Path.cwd()):
        file = file.relative_to(Path.cwd())
    screen.say()
    screen.title(f"Up in {seconds:.1f} s. `moor down` ends it.")
    screen.say(f"  API      {twin.url}")
    screen.say(f"  Schema   {twin.url}/schema")
    screen.say(f"  Console  {console}")
    screen.say("           opens signed in: once, within a minute; then `moor open`")
    if is_off(twin.home):
        screen.say("  IAM      off: what roles may not do is let through (`moor up --iam`)")
    screen.title("Try:")
    for command, what in (
        (f". {file}", "moor, aws and cdk in this terminal, for the twin; $API_KEY"),
        (suggestion(twin.url, tasks, header=f'"X-API-Key: ${EnvVar.API_KEY}"'), ""),
        ("moor open", "the console, in the browser"),
        ("moor status", ""),
        ("moor logs worker --follow", ""),
        ("moor scale worker 3", ""),
        ("moor exec worker", ""),
        ("moor up", "deploys the code as it is then"),
        ("moor down", ""),
    ):
        screen.say(f"  {command}{f'   # {what}' if what else ''}")
