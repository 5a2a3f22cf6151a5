"""The `moor` command: operate a stage, on AWS or on this machine, with the same words."""

import gc
import os
import resource
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from scripts.commands import Commands
from scripts.errors import OperatorError
from scripts.release import release
from scripts.terminal.answer import fail, print_line, print_traceback
from scripts.terminal.interrupt import heed, was_interrupted

HELP = """
Operate a stage: the local twin (--stage local, the default), or one of stages.toml on AWS.

Examples: `moor up`, `moor status`, `moor scale worker 3`, `moor logs worker --follow`,
`moor exec worker`, each with --stage dev for AWS.
"""
INTERRUPTED = 130

app = typer.Typer(
    name="moor",
    cls=Commands,
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,  # rich would double the time of `moor --help`
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def print_version(is_asked: bool) -> None:
    """Print the release of Moorage in this checkout."""
    if is_asked:
        print_line(f"moor {release()}")
        raise typer.Exit


@app.callback()
def moor(
    version: Annotated[
        bool,
        typer.Option("--version", callback=print_version, is_eager=True, help="The release."),
    ] = False,
) -> None:
    """Without a command, print the help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `scripts.errors` lists the codes."""
    # Seldom: a command is short, what it imports stays, and a look for garbage looks at all of it.
    gc.set_threshold(10_000)
    sys.excepthook = print_traceback
    # What `moor secrets` is told is in its memory, and must not be dumped to a disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that is not UTF-8 cannot show every character that we write.
            stream.reconfigure(errors="backslashreplace")
    heed(signal.SIGINT)
    try:
        code = app(arguments, prog_name="moor", standalone_mode=False)
    except OperatorError as error:
        fail(error)
        return error.exit_code
    except TyperException as error:
        hint = "`moor --help` and `moor COMMAND --help` show what there is."
        fail(OperatorError(error.format_message(), hint))
        return error.exit_code
    except (Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # `moor logs | head` closes the pipe. Python would print this error again when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        if was_interrupted():
            return INTERRUPTED
        raise
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
