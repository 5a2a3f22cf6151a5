"""`moor bulk`: changes of many jobs at once, through the API."""

import difflib
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Annotated, Any

import typer

from scripts.api import Api
from scripts.aws import connect
from scripts.clock import Clock
from scripts.errors import OperatorError
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
from scripts.terminal.answer import print_json, print_line, print_table, say
from scripts.terminal.options import DEFAULT_STAGE, JsonOption, StageOption, YesOption, confirm

ACTIONS = ("retry", "cancel", "delete", "run-now", "priority")
POLL_SECONDS = 0.5
SAY_EVERY = 4  # polls

NumberArgument = Annotated[
    int, typer.Argument(metavar="NUMBER", help="A number from `moor bulk list`.", min=1)
]

app = typer.Typer(
    name="bulk", help="Change many jobs at once: start, list, show, stop, resume, undo.",
    no_args_is_help=True, rich_markup_mode=None,
)  # fmt: skip


@dataclass(frozen=True)
class Bulk:
    """A change of many jobs. `percent` of the jobs are looked at, `changed` of them changed."""

    id: int
    action: str
    priority: int | None
    filter: dict[str, Any]
    keys: list[str] | None
    undoes: int | None
    undone_by: int | None
    who: str
    state: str
    percent: float
    changed: int
    error: str | None
    created_at: datetime
    ended_at: datetime | None

    @property
    def jobs(self) -> str:
        """Which jobs are meant, in words."""
        if self.undoes is not None:
            return f"those of {self.undoes}"
        if self.keys is not None:
            return _short(self.keys)
        return _words(self.filter)


def read_bulk(item: dict[str, Any]) -> Bulk:
    """A bulk action from an answer of `/api/v1/bulk-actions`."""
    values = {field.name: item[field.name] for field in fields(Bulk)}
    for name in ("created_at", "ended_at"):
        values[name] = values[name] and datetime.fromisoformat(values[name])
    return Bulk(**values)


def known_action(value: str) -> str:
    """An argument that is an action. Raises `typer.BadParameter` for another word."""
    if value in ACTIONS:
        return value
    near = difflib.get_close_matches(value, ACTIONS, n=1)
    raise typer.BadParameter(
        f"{value!r} is not one of {', '.join(ACTIONS)}"
        + (f"; did you mean {near[0]}?" if near else "")
    )


@app.command()
def start(  # noqa: PLR0917 - Typer calls it by name
    action: Annotated[
        str,
        typer.Argument(
            parser=known_action,
            metavar="ACTION",
            help=f"{', '.join(ACTIONS)}.",
            autocompletion=lambda: ACTIONS,
        ),
    ],
    status: StatusOption = None,
    task: TaskOption = None,
    queue: QueueOption = None,
    worker: WorkerOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    error: ErrorOption = None,
    key: KeyOption = None,
    payload: PayloadOption = None,
    job: Annotated[
        list[str] | None,
        typer.Option(help="This job, instead of a filter. Repeatable.", metavar="KEY"),
    ] = None,
    to: Annotated[
        int | None, typer.Option(help="The new priority; the lower, the sooner.", metavar="NUMBER")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Do not wait until it has ended.")
    ] = False,
    stage: StageOption = DEFAULT_STAGE,
    as_json: JsonOption = False,
    yes: YesOption = False,
) -> None:
    """Change all jobs that the filters leave, in the background; it goes on without this command.

    `retry` and `delete` change failed jobs, `cancel`, `run-now` and `priority` waiting ones, unless
    --status says otherwise. `delete` removes payload and result for good; the history stays.

    Example: `moor bulk start retry --task send_welcome_email --error Timeout --since 1d`.
    """
    wanted = words(
        status=status, task=task, queue=queue, worker=worker, since=since, until=until,
        error=error, key=key, payload=payload,
    )  # fmt: skip
    if bool(job) == bool(wanted):
        raise typer.BadParameter("give filters, such as --status failed, or --job, and not both")
    aws = connect(stage)
    which = _short(job) if job else f"every job with {_words(wanted)}"
    confirm(aws.target, f"{action} {which}", yes)
    api = Api(aws)
    body = {"keys": job} if job else {"filter": wanted}
    begun = api.post("bulk-actions", action=action, priority=to, who=api.who, **body)
    _end(api, read_bulk(begun), as_json=as_json, detach=detach)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=200)] = 20,
    stage: StageOption = DEFAULT_STAGE,
    as_json: JsonOption = False,
) -> None:
    """Bulk actions, newest first."""
    found = [
        read_bulk(each) for each in Api(connect(stage)).get("bulk-actions", limit=limit)["items"]
    ]
    if as_json:
        return print_json(found)
    print_table(
        ("number", "action", "jobs", "who", "begun (UTC)", "state", "done", "changed"),
        [
            (each.id, each.action, each.jobs, each.who, f"{each.created_at:%Y-%m-%d %H:%M:%S}",
             f"{each.state}{', undone' if each.undone_by else ''}", f"{each.percent:.0f} %",
             each.changed)
            for each in found
        ],
    )  # fmt: skip
    return None


@app.command()
def show(
    number: NumberArgument, stage: StageOption = DEFAULT_STAGE, as_json: JsonOption = False
) -> None:
    """How far one has come."""
    found = read_bulk(Api(connect(stage)).get("bulk-actions", str(number)))
    if as_json:
        return print_json(found)
    print_line(_told(found))
    return None


@app.command()
def stop(
    number: NumberArgument, stage: StageOption = DEFAULT_STAGE, yes: YesOption = False
) -> None:
    """Stop one. What it has changed stays; `moor bulk resume` goes on, `moor bulk undo` undoes."""
    aws = connect(stage)
    confirm(aws.target, f"stop bulk action {number}", yes)
    api = Api(aws)
    stopped = api.post("bulk-actions", str(number), "stop", who=api.who)
    print_line(_told(read_bulk(stopped)))


@app.command()
def resume(
    number: NumberArgument,
    stage: StageOption = DEFAULT_STAGE,
    as_json: JsonOption = False,
    yes: YesOption = False,
) -> None:
    """Go on with one that was stopped."""
    aws = connect(stage)
    confirm(aws.target, f"resume bulk action {number}", yes)
    api = Api(aws)
    resumed = api.post("bulk-actions", str(number), "resume", who=api.who)
    _end(api, read_bulk(resumed), as_json=as_json)


@app.command()
def undo(
    number: NumberArgument,
    stage: StageOption = DEFAULT_STAGE,
    as_json: JsonOption = False,
    yes: YesOption = False,
) -> None:
    """Change jobs back to what they were: those that nothing has happened to since.

    Example: `moor bulk undo 7`. A `delete` cannot be undone.
    """
    aws = connect(stage)
    confirm(aws.target, f"undo bulk action {number}", yes)
    api = Api(aws)
    begun = api.post("bulk-actions", str(number), "undo", who=api.who)
    _end(api, read_bulk(begun), as_json=as_json)


def _end(api: Api, begun: Bulk, *, as_json: bool, detach: bool = False) -> None:
    """Wait until it has ended, and print what it did."""
    found = begun
    try:
        if not detach:
            found = _follow(api, begun, Clock())
    except KeyboardInterrupt:
        say(f"It goes on. `moor bulk show {begun.id}` shows how far it has come.")
        raise
    if as_json:
        print_json(found)
    else:
        print_line(_told(found))
    if found.state == "stopped" and found.error:
        raise OperatorError(
            f"bulk action {found.id} has stopped: {found.error}",
            f"`moor bulk resume {found.id}` goes on.",
        )


def _follow(api: Api, begun: Bulk, clock: Clock) -> Bulk:
    found, polls = begun, 0
    while found.state == "running":
        clock.sleep(POLL_SECONDS)
        found, polls = read_bulk(api.get("bulk-actions", str(begun.id))), polls + 1
        if polls % SAY_EVERY == 0 and found.state == "running":
            say(f"{found.changed} jobs changed, {found.percent:.0f} % looked at")
    return found


def _told(bulk: Bulk) -> str:
    done = "" if bulk.state == "done" else f", {bulk.percent:.0f} % looked at"
    undone = f"; undone by {bulk.undone_by}" if bulk.undone_by else ""
    jobs = "1 job" if bulk.changed == 1 else f"{bulk.changed} jobs"
    return f"{bulk.id}: {bulk.action} ({bulk.jobs}) is {bulk.state}: {jobs} changed{done}{undone}"


def _words(wanted: dict[str, Any]) -> str:
    return ", ".join(
        f"{name}={each}"
        for name, value in wanted.items()
        for each in (value if isinstance(value, list) else [value])
    )


def _short(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
