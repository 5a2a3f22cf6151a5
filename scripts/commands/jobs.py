"""`moor jobs` and `moor tasks`: list, change and enqueue jobs through the API."""

from datetime import datetime
from typing import Annotated, Any

import typer

from scripts.api import Api
from scripts.aws import Aws, connect
from scripts.clock import Clock
from scripts.errors import OperatorError
from scripts.jobs.job import describe, last_line, read_job
from scripts.jobs.job_filters import (
    ErrorOption,
    KeyOption,
    PayloadOption,
    QueueOption,
    SinceOption,
    StatusOption,
    TaskOption,
    UntilOption,
    WorkerOption,
    words,
)
from scripts.jobs.job_payload import HELP, read_payload, refused, task_schema
from scripts.jobs.job_search import search
from scripts.terminal.answer import print_json, print_line, print_table, say
from scripts.terminal.options import (
    DEFAULT_STAGE,
    JsonOption,
    StageOption,
    YesOption,
    confirm,
)

BAD_STATUSES = ("failed", "aborted")

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="The job's key.")]

app = typer.Typer(
    name="jobs", help="Jobs of a stage: list, show, retry, cancel, enqueue, clear.",
    no_args_is_help=True, rich_markup_mode=None,
)  # fmt: skip


@app.command("list")
def list_(  # noqa: PLR0917 - Typer calls it by name
    status: StatusOption = None,
    task: TaskOption = None,
    queue: QueueOption = None,
    worker: WorkerOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    error: ErrorOption = None,
    key: KeyOption = None,
    payload: PayloadOption = None,
    limit: Annotated[int, typer.Option(help="How many jobs at most.", min=1)] = 20,
    stage: StageOption = DEFAULT_STAGE,
    as_json: JsonOption = False,
) -> None:
    """Jobs, newest first, ended ones included. Options combine.

    Example: `moor jobs list --status failed --since 1d --error Timeout --payload user.id=7`.
    """
    wanted = words(
        status=status, task=task, queue=queue, worker=worker, since=since, until=until,
        error=error, key=key, payload=payload,
    )  # fmt: skip
    found = [read_job(item) for item in search(Api(connect(stage)), limit, wanted, Clock())]
    if as_json:
        return print_json(found)
    print_table(
        ("key", "task", "status", "attempts", "created (UTC)", "took", "error"),
        [
            (job.job_id, job.task, job.status, job.attempts, f"{job.created_at:%Y-%m-%d %H:%M:%S}",
             _took(job.seconds), last_line(job.error))
            for job in found
        ],
    )  # fmt: skip
    return None


@app.command()
def causes(
    task: TaskOption = None, stage: StageOption = DEFAULT_STAGE, as_json: JsonOption = False
) -> None:
    """Why the newest failed and aborted jobs ended, the most frequent cause first.

    Example: `moor jobs causes --stage prod`; `moor jobs list --status failed --error TEXT` finds
    those of one cause.
    """
    found = Api(connect(stage)).get("jobs", "causes", task=task)
    if as_json:
        return print_json(found)
    print_table(
        ("jobs", "status", "task", "cause", "first (UTC)", "last (UTC)", "last job"),
        [
            (each["jobs"], each["status"], each["task"], each["cause"],
             *(f"{datetime.fromisoformat(each[name]):%Y-%m-%d %H:%M}"
               for name in ("first_at", "last_at")),
             each["last_job_id"])
            for each in found["items"]
        ],
    )  # fmt: skip
    if not found["is_whole"]:
        say(f"Of the newest {found['looked_at']:,}: there are more.")
    return None


@app.command()
def show(key: KeyArgument, stage: StageOption = DEFAULT_STAGE, as_json: JsonOption = False) -> None:
    """One job: its times, payload, result, and the traceback of its last failure."""
    found = Api(connect(stage)).get("jobs", key)
    if as_json:
        return print_json(found)
    print_line(describe(found))
    return None


@app.command()
def retry(
    key: Annotated[
        str | None, typer.Argument(metavar="[KEY]", help="The job's key; or give --failed.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Every failed job.")] = False,
    task: TaskOption = None,
    stage: StageOption = DEFAULT_STAGE,
    yes: YesOption = False,
) -> None:
    """Run an ended job again, or all failed ones (`--failed`), with the same payload.

    A retried job has all its attempts again. `moor bulk start retry` takes filters.
    """
    if (key is None) != failed:
        raise typer.BadParameter("give the key of a job, or --failed, and not both")
    if task is not None and not failed:
        raise typer.BadParameter("--task goes with --failed")
    aws = connect(stage)
    if key is not None:
        _change(aws, key, "retry", "run the job again", yes)
        return
    which = f"every failed job{f' of {task}' if task else ''}"
    confirm(aws.target, f"run {which} again", yes)
    api, retried, is_more = Api(aws), 0, True
    while is_more:
        answer = api.post("jobs", "retry", task=task)
        retried, is_more = retried + answer["retried"], answer["is_more"]
        if is_more:
            say(f"{retried} queued again so far")
    print_line(f"{retried} failed jobs queued again")


@app.command()
def cancel(key: KeyArgument, stage: StageOption = DEFAULT_STAGE, yes: YesOption = False) -> None:
    """Cancel a job: at once while it waits, by its worker while it runs."""
    _change(connect(stage), key, "cancel", "cancel the job", yes)


@app.command()
def enqueue(  # noqa: PLR0917 - Typer calls it by name
    task: Annotated[str, typer.Argument(metavar="TASK", help="Its name: `moor tasks` lists them.")],
    payload: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE|JSON]…",
            help=HELP,
        ),
    ] = None,
    delay: Annotated[
        float | None,
        typer.Option(help="Run the job after this many seconds.", metavar="SECONDS", min=0),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="The job's key, unique while it waits or runs.")
    ] = None,
    stage: StageOption = DEFAULT_STAGE,
    as_json: JsonOption = False,
    yes: YesOption = False,
) -> None:
    """Put a job in the queue; prints its key."""
    read_payload(payload or [])  # fail on a wrong argument before any question and call
    aws = connect(stage)
    confirm(aws.target, f"enqueue {task}", yes)
    options = {name: value for name, value in (("delay", delay), ("key", key)) if value is not None}
    api = Api(aws)
    fields_ = read_payload(payload, task_schema(api, task)) if payload else {}
    try:
        found = api.post("jobs", task=task, payload=fields_, **options)
    except OperatorError as error:
        raise refused(error) from None
    if as_json:
        return print_json(found)
    print_line(found["job_id"])
    if not found["created"]:
        say(f"A job with this key is already there ({found['status']}): nothing was enqueued.")
    say(f"`moor jobs show {found['job_id']}{_stage_option(aws)}` shows what becomes of it.")
    return None


@app.command()
def clear(
    status: Annotated[
        str,
        typer.Option(
            help=f"Which: {' or '.join(BAD_STATUSES)}.",
            metavar="STATUS",
            autocompletion=lambda: BAD_STATUSES,
        ),
    ] = "failed",
    task: TaskOption = None,
    stage: StageOption = DEFAULT_STAGE,
    as_json: JsonOption = False,
    yes: YesOption = False,
) -> None:
    """Remove failed jobs from the queue. Their history stays; they cannot be retried any more."""
    aws = connect(stage)
    which = f"every {status} job{f' of {task}' if task else ''}"
    confirm(aws.target, f"remove {which}, with its payload, for good", yes)
    api, cleared, is_more = Api(aws), 0, True
    given = {"task": task} if task else {}
    while is_more:
        answer = api.delete("jobs", status=status, **given)
        cleared, is_more = cleared + answer["cleared"], answer["is_more"]
        if is_more:
            say(f"{cleared} removed so far")
    if as_json:
        return print_json({"cleared": cleared})
    print_line(f"{cleared} {status} jobs removed")
    return None


def tasks(stage: StageOption = DEFAULT_STAGE, as_json: JsonOption = False) -> None:
    """The tasks that can be enqueued, and their schedules."""
    found = Api(connect(stage)).get("tasks")["items"]
    if as_json:
        return print_json(found)
    print_table(
        ("task", "payload", "timeout", "attempts", "schedule", "does"),
        [
            (each["name"], " ".join(_field_names(each["payload_schema"])), f"{each['timeout']} s",
             each["retries"], _schedule(each["schedule"]),
             each["description"])
            for each in found
        ],
    )  # fmt: skip
    return None


def _schedule(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    return f"every {found['every']}" if found["every"] else f"{found['cron']} {found['tz']}"


def _change(aws: Aws, key: str, verb: str, action: str, yes: bool) -> None:
    confirm(aws.target, f"{action} {key}", yes)
    found = Api(aws).post("jobs", key, verb)
    print_line(f"{found['job_id']} is {found['status']}")
    say(f"`moor jobs show {key}{_stage_option(aws)}` shows what becomes of it.")


def _field_names(schema: dict[str, Any]) -> list[str]:
    """The names of a payload's fields, optional ones in brackets."""
    required = schema.get("required", [])
    return [name if name in required else f"[{name}]" for name in schema.get("properties", {})]


def _stage_option(aws: Aws) -> str:
    stage = aws.target.stage.stage
    return "" if stage == DEFAULT_STAGE else f" --stage {stage}"


def _took(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f} s"
