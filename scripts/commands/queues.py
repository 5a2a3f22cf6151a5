"""`moor queues`: the state of each queue; pause and resume one."""

from typing import Annotated

import typer

from scripts.api import Api
from scripts.aws import connect
from scripts.jobs.queue_counts import read_queue, read_queues
from scripts.terminal.answer import print_json, print_line, print_table, say
from scripts.terminal.options import DEFAULT_STAGE, JsonOption, StageOption, YesOption, confirm

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A name from `moor queues`.")]

app = typer.Typer(name="queues", add_completion=False, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def queues(
    context: typer.Context, stage: StageOption = DEFAULT_STAGE, as_json: JsonOption = False
) -> None:
    """Backlog, running jobs and workers of each queue; pause and resume one.

    Example: `moor queues pause reports --stage prod`.
    """
    if context.invoked_subcommand:
        return None
    found = read_queues(Api(connect(stage)).get("queues"))
    if as_json:
        return print_json(found)
    print_table(
        ("queue", "backlog", "scheduled", "running", "failed", "workers", "oldest", "paused"),
        [
            (q.name, q.queued, q.scheduled, q.active, q.failed, q.workers,
             f"{q.oldest_due_seconds:.0f} s", "paused" if q.paused else "")
            for q in found
        ],
    )  # fmt: skip
    return None


@app.command()
def pause(
    name: NameArgument,
    stage: StageOption = DEFAULT_STAGE,
    as_json: JsonOption = False,
    yes: YesOption = False,
) -> None:
    """Let no worker fetch from the queue until it is resumed; a deploy does not resume it.

    Jobs can be enqueued, and wait. Example: `moor queues pause reports`.
    """
    aws = connect(stage)
    confirm(aws.target, f"pause the queue {name}", yes)
    found = read_queue(Api(aws).post("queues", name, "pause"))
    if as_json:
        return print_json(found)
    print_line(f"{found.name} is paused")
    say(f"{found.active} running jobs go on; {found.queued} wait.")
    return None


@app.command()
def resume(
    name: NameArgument,
    stage: StageOption = DEFAULT_STAGE,
    as_json: JsonOption = False,
    yes: YesOption = False,
) -> None:
    """Let workers fetch from the queue again. Example: `moor queues resume reports`."""
    aws = connect(stage)
    confirm(aws.target, f"resume the queue {name}", yes)
    found = read_queue(Api(aws).post("queues", name, "resume"))
    if as_json:
        return print_json(found)
    print_line(f"{found.name} is resumed; {found.queued} jobs wait")
    return None
