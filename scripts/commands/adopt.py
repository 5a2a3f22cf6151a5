"""`moor adopt`: a project's stages from what another tool has."""

from pathlib import Path
from typing import Annotated

import typer

from scripts.adopt.adoption import Adoption, adopt
from scripts.adopt.rules import Kind
from scripts.adopt.workspace import read_workspace
from scripts.errors import RefusedError
from scripts.terminal.answer import print_json, print_line, say
from scripts.terminal.options import JsonOption

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="""
Write a stages.toml from what another tool has, and say what has no counterpart.

Example: `moor adopt copilot ../shop --write new-stages.toml`.
""",
)


@app.callback()
def what() -> None:
    """From which tool."""


@app.command("copilot")
def adopt_copilot(
    folder: Annotated[Path, typer.Argument(help="The folder that has copilot/ in it.")],
    write: Annotated[
        Path | None,
        typer.Option(help="Where stages.toml is written; a file that is there stays."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read a workspace of AWS Copilot: each service, job, environment and pipeline.

    Prints stages.toml, or writes it with --write, and says of each field that is not in it why,
    with its file and line.
    """
    found = adopt(read_workspace(folder))
    if write is not None:
        try:
            with write.open("x", encoding="utf-8") as file:
                file.write(found.text)
        except FileExistsError:
            raise RefusedError(f"{write} is there already", "Name another file.") from None
        except OSError as error:
            raise RefusedError(f"{write} cannot be written: {error}", "") from None
    if as_json:
        return print_json(
            {
                "stages_toml": found.text,
                "fields": [
                    {
                        "file": each.field.file, "line": each.field.line, "field": each.field.name,
                        "becomes": each.kind, "here": each.here,
                    }
                    for each in found.findings
                ],
                "left": found.left,
            }
        )  # fmt: skip
    if write is None:
        for line in found.text.splitlines():
            print_line(line)
    _say_rest(found)
    return None


def _say_rest(found: Adoption) -> None:
    """What is not in the file: what is done in another place, then what has no counterpart."""
    titles = {
        Kind.OTHERWISE: "Not needed, or done in another place:",
        Kind.NONE: "Without a counterpart:",
    }
    for kind, title in titles.items():
        if lines := [each for each in found.findings if each.kind is kind]:
            say("")
            say(title)
        for each in lines:
            say(f"  {each.field.file}:{each.field.line}: {each.field.name}: {each.here}")
    if found.left:
        say("")
        say("To be looked at:")
    for line in found.left:
        say(f"  {line}")
    counts = ", ".join(
        f"{found.count(kind)} {words}"
        for kind, words in (
            (Kind.TRANSLATED, "translated"),
            (Kind.OTHERWISE, "not needed or done in another place"),
            (Kind.NONE, "without a counterpart"),
        )
    )
    say("")
    say(f"{len(found.findings)} fields: {counts}. docs/from-copilot.md says more.")
