"""`moor schedules`: recurring jobs, through the API."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Annotated, Any

import typer

from scripts.api import Api
from scripts.aws import connect
from scripts.errors import OperatorError
from scripts.jobs.job import describe
from scripts.jobs.job_payload import read_payload, refused, task_schema
from scripts.terminal.answer import print_json, print_line, print_table, say
from scripts.terminal.options import DEFAULT_STAGE, JsonOption, StageOption, YesOption, confirm

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="A name from `moor schedules list`.")
]

app = typer.Typer(
    name="schedules", help="Recurring jobs: list, show, create, enable, disable, delete, run.",
    no_args_is_help=True, rich_markup_mode=None,
)  # fmt: skip


@dataclass(frozen=True)
class Schedule:
    """A recurring job; times are UTC. `next_run_at` is None while it is disabled."""

    name: str
    task: str
    cron: str | None
    every: str | None
    tz: str
    declared: bool
    enabled: bool
    next_run_at: datetime | None
    last_run_at: datetime | None
    last_status: str | None
    last_error: str | None

    @property
    def when(self) -> str:
        """The interval or the cron line."""
        return f"every {self.every}" if self.every else f"{self.cron} {self.tz}"


def read_schedule(item: dict[str, Any]) -> Schedule:
    """A schedule from an item of `GET /api/v1/schedules`."""
    values = {field.name: item[field.name] for field in fields(Schedule)}
    for name in ("next_run_at", "last_run_at"):
        values[name] = values[name] and datetime.fromisoformat(values[name])
    return Schedule(**values)


@app.command("list")
def list_(stage: StageOption = DEFAULT_STAGE, as_json: JsonOption = False) -> None:
    """All schedules, by name."""
    items = Api(connect(stage)).get("schedules")["items"]
    found = [read_schedule(item) for item in items]
    if as_json:
        return print_json(found)
    print_table(
        ("name", "when", "task", "next (UTC)", "last (UTC)", "status", "from", "error"),
        [
            (each.name, each.when, each.task,
             _time(each.next_run_at) if each.enabled else "disabled", _time(each.last_run_at),
             each.last_status, "code" if each.declared else "API",
             (each.last_error or "").strip().rpartition("\n")[2])
            for each in found
        ],
    )  # fmt: skip
    return None


@app.command()
def show(
    name: NameArgument, stage: StageOption = DEFAULT_STAGE, as_json: JsonOption = False
) -> None:
    """One schedule: when it runs, its payload, and the result of its last job."""
    found = Api(connect(stage)).get("schedules", name)
    if as_json:
        return print_json(found)
    print_line(describe(found, error_field="last_error"))
    return None


@app.command()
def create(  # noqa: PLR0917 - Typer calls it by name
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name, unique in the stage.")],
    task: Annotated[str, typer.Argument(metavar="TASK", help="`moor tasks` lists them.")],
    payload: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE|JSON]…", help="As for `moor jobs enqueue`."),
    ] = None,
    cron: Annotated[
        str | None, typer.Option(help="Five fields: '0 7 * * 1-5'.", metavar="LINE")
    ] = None,
    every: Annotated[
        str | None, typer.Option(help="'30 minutes', '1 day'.", metavar="SPAN")
    ] = None,
    tz: Annotated[str, typer.Option(help="The zone of a cron line.", metavar="ZONE")] = "UTC",
    unique: Annotated[
        bool, typer.Option("--unique", help="Skip a tick while the last job waits or runs.")
    ] = False,
    stage: StageOption = DEFAULT_STAGE,
    yes: YesOption = False,
) -> None:
    """A new schedule.

    Example: `moor schedules create report send_report days=1 --every "1 day"`.
    """
    read_payload(payload or [])  # fail on a wrong argument before any question and call
    aws = connect(stage)
    confirm(aws.target, f"run {task} again and again", yes)
    times = {key: value for key, value in (("cron", cron), ("every", every)) if value is not None}
    api = Api(aws)
    fields_ = read_payload(payload, task_schema(api, task)) if payload else {}
    try:
        made = api.post(
            "schedules", name=name, task=task, payload=fields_, tz=tz, unique=unique, **times
        )
    except OperatorError as error:
        raise refused(error) from None
    found = read_schedule(made)
    print_line(f"{found.name} runs first at {_time(found.next_run_at)} UTC")


@app.command()
def enable(name: NameArgument, stage: StageOption = DEFAULT_STAGE, yes: YesOption = False) -> None:
    """Run the schedule again, from its next tick on."""
    aws = connect(stage)
    confirm(aws.target, f"enable {name}", yes)
    found = read_schedule(Api(aws).post("schedules", name, "enable"))
    print_line(f"{found.name} runs next at {_time(found.next_run_at)} UTC")


@app.command()
def disable(name: NameArgument, stage: StageOption = DEFAULT_STAGE, yes: YesOption = False) -> None:
    """Stop the schedule until it is enabled again; a deploy does not enable it."""
    aws = connect(stage)
    confirm(aws.target, f"disable {name}", yes)
    Api(aws).post("schedules", name, "disable")
    print_line(f"{name} is disabled")
    say("A job that is running goes on.")


@app.command()
def delete(name: NameArgument, stage: StageOption = DEFAULT_STAGE, yes: YesOption = False) -> None:
    """Delete a schedule that was created here. One that the code declares is deleted there."""
    aws = connect(stage)
    confirm(aws.target, f"delete {name}", yes)
    Api(aws).delete("schedules", name)
    print_line(f"{name} is deleted")


@app.command()
def run(name: NameArgument, stage: StageOption = DEFAULT_STAGE, yes: YesOption = False) -> None:
    """Enqueue one job of the schedule now, besides its ticks; prints the job's key."""
    aws = connect(stage)
    confirm(aws.target, f"run {name} now", yes)
    print_line(Api(aws).post("schedules", name, "run")["job_id"])


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else ""
