"""`moor workers`: the live workers and what they run; drain one."""

from datetime import datetime
from typing import Annotated, Any

import typer

from scripts.api import Api
from scripts.aws import connect
from scripts.terminal.answer import print_json, print_line, print_table, say
from scripts.terminal.options import DEFAULT_STAGE, JsonOption, StageOption, YesOption, confirm
from service.contract import pool_process

app = typer.Typer(name="workers", add_completion=False, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def workers(
    context: typer.Context, stage: StageOption = DEFAULT_STAGE, as_json: JsonOption = False
) -> None:
    """The live workers: pool, release, queues, and the jobs that each runs.

    Example: `moor workers --stage prod`.
    """
    if context.invoked_subcommand:
        return None
    found = Api(connect(stage)).get("workers")["items"]
    if as_json:
        return print_json(found)
    print_table(
        ("worker", "process", "queues", "release", "since (UTC)", "runs", "state"),
        [
            (each["id"], pool_process(each["pool"]), ", ".join(each["queues"]),
             each["release"] or "", f"{datetime.fromisoformat(each['started_at']):%Y-%m-%d %H:%M}",
             _runs(each), "drains" if each["draining"] else "")
            for each in found
        ],
    )  # fmt: skip
    return None


@app.command()
def drain(
    name: Annotated[str, typer.Argument(metavar="ID", help="A worker from `moor workers`.")],
    stage: StageOption = DEFAULT_STAGE,
    as_json: JsonOption = False,
    yes: YesOption = False,
) -> None:
    """Let a worker start no further job, finish what it runs, and end, as at a deployment.

    ECS starts another one in its place. Example: `moor workers drain ip-10-0-1-7-1-3fa2c1`.
    """
    aws = connect(stage)
    confirm(aws.target, f"drain the worker {name}", yes)
    found = Api(aws).post("workers", name, "drain")
    if as_json:
        return print_json(found)
    print_line(f"{found['id']} drains")
    say("It ends once its jobs have; what runs for longer than the drain time is queued again.")
    return None


def _runs(worker: dict[str, Any]) -> str:
    count = len(worker["running"])
    return f"{count} of {worker['slots']}" if worker["slots"] else str(count)
