"""`moor secrets`: the values of the secrets that stages.toml names.

A value comes from a question without an echo, from standard input or from a file. It is never an
argument, which every user of the machine sees in `ps`, and no command shows one.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from scripts.errors import NotFoundError, OperatorError, RefusedError, UsageError
from scripts.secrets.dotenv import read_dotenv
from scripts.secrets.kept import State
from scripts.secrets.store import BOTH, Store, find_store
from scripts.secrets.writing import RECOVERY_DAYS, check_value
from scripts.target import HOME, Target
from scripts.terminal.answer import print_json, print_table, say
from scripts.terminal.options import (
    DEFAULT_STAGE,
    HomeOption,
    JsonOption,
    StageOption,
    YesOption,
    confirm,
)
from service.contract import LOCAL_STAGE, ProcessName
from stacks.config.stage import Stage
from stacks.config.variables import FREE_SECRETS, name_problem

NameArgument = Annotated[list[str], typer.Argument(metavar="NAME", show_default=False)]
StdinOption = Annotated[
    bool, typer.Option("--stdin", help="Read the value from standard input; one newline ends it.")
]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A .env file; - reads it from"
                                              " standard input.")]  # fmt: skip

app = typer.Typer(
    help="Set, list and compare the secrets of a stage. No command shows a value.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command("list")
def secrets_list(
    as_json: JsonOption = False, stage: StageOption = DEFAULT_STAGE, home: HomeOption = HOME
) -> None:
    """Each secret, which processes are given it, where it is kept and whether it has a value.

    Example: `moor secrets list --stage prod`. One that stages.toml does not list is shown too.
    """
    rows = _store(stage, home).rows()
    if as_json:
        return print_json(rows)
    if not rows:
        say(f"stages.toml lists no secret for stage {stage}: docs/stages.md#secrets")
        return None
    print_table(
        ("name", "of", "kept as", "state", "changed"),
        [
            (
                row.name, row.processes or "nobody", row.place, row.state,
                row.changed and row.changed.isoformat(" ", "minutes"),
            )
            for row in rows
        ],
    )  # fmt: skip
    return None


@app.command("diff")
def secrets_diff(
    as_json: JsonOption = False, stage: StageOption = DEFAULT_STAGE, home: HomeOption = HOME
) -> int:
    """Which secrets of stages.toml have no value, and which are kept and not listed there.

    Example: `moor secrets diff --stage prod` before a deploy. The exit code is 1 where they differ.
    """
    rows = [row for row in _store(stage, home).rows() if not row.is_right]
    if as_json:
        print_json(rows)
    elif rows:
        print_table(
            ("name", "kept as", "difference"),
            [
                (row.name, row.place, row.state if row.processes else "not in stages.toml")
                for row in rows
            ],
        )
    else:
        say(f"Every secret that stages.toml lists for stage {stage} has a value; no other is kept")
    return int(bool(rows))


@app.command("set")
def secrets_set(
    name: NameArgument,
    from_stdin: StdinOption = False,
    yes: YesOption = False,
    stage: StageOption = DEFAULT_STAGE,
    home: HomeOption = HOME,
) -> None:
    """Give a secret its value, which is asked for without an echo.

    Examples: `moor secrets set STRIPE_KEY --stage prod`,
    `moor secrets set TLS_KEY --stdin <key.pem`. For stage local it is kept on this machine.
    """
    wanted, store = _only(name), _store(stage, home)
    if problem := _why_not(store.stage, wanted):
        raise UsageError(f"{wanted}: {problem}")
    confirm(Target(store.stage), f"change the secret {wanted}", yes)
    value = _read(wanted, from_stdin)
    check_value(wanted, value)
    store.put(wanted, value)
    say(f"{wanted} of stage {stage} is set")
    _say_what_follows(store.stage, [wanted])


@app.command("unset")
def secrets_unset(
    name: NameArgument,
    yes: YesOption = False,
    stage: StageOption = DEFAULT_STAGE,
    home: HomeOption = HOME,
) -> None:
    """Delete a secret, after a question. AWS keeps it for 30 days: `set` takes it back.

    Example: `moor secrets unset STRIPE_KEY --stage staging`.
    """
    wanted, store = _only(name), _store(stage, home)
    rows = [row for row in store.rows() if row.name == wanted]
    if (problem := _why_not(store.stage, wanted)) and rows:
        raise UsageError(f"{wanted}: {problem}")
    if all(row.state in (State.MISSING, State.DELETED) for row in rows):
        raise NotFoundError(
            f"stage {stage} keeps no secret {wanted}", "`moor secrets list` shows what is kept."
        )
    if any(row.processes for row in rows):
        say(f"stages.toml lists {wanted}: without a value no new ECS task of stage {stage} starts")
    if not yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise RefusedError(
                "nothing was deleted: there is no terminal to ask on", "--yes deletes it."
            )
        if not typer.confirm(f"Delete {wanted} of stage {stage}?", err=True):
            raise RefusedError("nothing was deleted")
    store.delete(wanted)
    until = (
        "" if stage == LOCAL_STAGE else f"; for {RECOVERY_DAYS} days `moor secrets set` undoes it"
    )
    say(f"{wanted} of stage {stage} is deleted{until}")


@app.command("import")
def secrets_import(
    file: FileArgument,
    yes: YesOption = False,
    as_json: JsonOption = False,
    stage: StageOption = DEFAULT_STAGE,
    home: HomeOption = HOME,
) -> int:
    """Set the secrets that a .env file has, of those that stages.toml lists for the stage.

    Example: `moor secrets import .env --stage prod`. It says for each name what it did.
    """
    store, found = _store(stage, home), read_dotenv(file)
    confirm(Target(store.stage), f"change the secrets that {file} has", yes)
    listed = {each.name for each in store.stage.secrets}
    done: dict[str, str] = {}
    for name, value in found.items():
        if problem := _why_not(store.stage, name):
            done[name] = f"left out: {problem}"
        elif name not in listed:
            done[name] = f"left out: stages.toml does not list it for stage {stage}"
        else:
            try:
                check_value(name, value)
                store.put(name, value)
                done[name] = "set"
            except OperatorError as error:
                done[name] = f"failed: {error}"
    if as_json:
        print_json(done)
    elif done:
        print_table(("name", "what was done"), done.items())
    else:
        say(f"{file} has no variable with a value")
    written = [name for name, what in done.items() if what == "set"]
    if written:
        _say_what_follows(store.stage, written)
    return int(any(what.startswith("failed") for what in done.values()))


def _store(stage: str, home: Path) -> Store:
    return find_store(stage, home.absolute(), os.environ)


def _only(words: list[str]) -> str:
    """The name. Raises `UsageError` for more than that, without what may be a value."""
    if len(words) != 1 or "=" in words[0]:
        raise UsageError(
            "give one name, and no value: everybody who sees the processes of this machine would "
            "see it, and the shell keeps it in its history",
            "`moor secrets set NAME` asks for the value; `--stdin` reads it from a pipe or file.",
        )
    return words[0]


def _why_not(stage: Stage, name: str) -> str | None:
    """Why Moor does not write a secret of this name."""
    if problem := name_problem(name, free=FREE_SECRETS):
        return problem
    if name in {variable.name for variable in stage.variables}:
        return "is a variable, in a table env of stages.toml"
    listed = [secret for secret in stage.secrets if secret.name == name]
    if listed and stage.stage != LOCAL_STAGE and not any(secret.is_own for secret in listed):
        return (
            f"is kept as {listed[0].place(stage.names)}, which is not Moor's; change it where it "
            "was made"
        )
    return None


def _read(name: str, from_stdin: bool) -> str:
    if from_stdin:
        data = sys.stdin.buffer.read()
        return data.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")
    if not sys.stdin.isatty():
        raise RefusedError("there is no terminal to ask on", "--stdin reads the value.")
    found: str = typer.prompt(name, hide_input=True, confirmation_prompt="Again", err=True)
    return found


def _say_what_follows(stage: Stage, names: list[str]) -> None:
    target = Target(stage)
    listed = [secret for secret in stage.secrets if secret.name in names]
    for name in names:
        if name not in {secret.name for secret in listed}:
            say(
                f"stages.toml does not list {name} for stage {stage.stage}, so no process is given "
                f'it: add "{name}" to `secrets = [...]` at its top, or in [{stage.stage}]'
            )
    if listed:
        several = (BOTH, ProcessName.WORKER) if stage.pools else (BOTH,)
        processes = {secret.given_to or BOTH for secret in listed}
        only = f" {processes.pop()}" if len(processes) == 1 and not processes & {*several} else ""
        say(
            "ECS tasks that run keep the value they were started with: "
            f"`{target.command(f'restart{only}')}` replaces them. A name that is new in "
            f"stages.toml comes with `{'moor up' if stage.stage == LOCAL_STAGE else 'cdk deploy'}`."
        )
