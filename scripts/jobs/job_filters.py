"""The filters of jobs as options of a command, and as the API takes them."""

from datetime import datetime
from typing import Annotated, Any

import typer

from scripts.terminal.options import time_value

STATUSES = ("queued", "active", "aborting", "complete", "failed", "aborted")

StatusOption = Annotated[
    str | None,
    typer.Option(
        help=f"Only {', '.join(STATUSES)}.", metavar="STATUS", autocompletion=lambda: STATUSES
    ),
]
TaskOption = Annotated[str | None, typer.Option(help="Only of this task.", metavar="TASK")]
QueueOption = Annotated[str | None, typer.Option(help="Only of this queue.", metavar="QUEUE")]
WorkerOption = Annotated[
    str | None, typer.Option(help="Only what this worker runs, or ran last.", metavar="ID")
]
SinceOption = Annotated[
    datetime | None,
    typer.Option(parser=time_value, metavar="2h|TIME", help="Only created since then."),
]
UntilOption = Annotated[
    datetime | None,
    typer.Option(parser=time_value, metavar="1h|TIME", help="Only created before then."),
]
ErrorOption = Annotated[
    str | None,
    typer.Option(help="Only failed or aborted with this in their error.", metavar="TEXT"),
]
KeyOption = Annotated[
    str | None, typer.Option(help="Only this key; `welcome-*`: that begin so.", metavar="KEY")
]
PayloadOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Only with this in their payload, while it is kept: user.id=7. Repeatable.",
        metavar="PATH=VALUE",
    ),
]


def words(**given: Any) -> dict[str, Any]:
    """The filters that were given, by the API's names; times as ISO 8601."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in given.items()
        if value not in (None, [])
    }
