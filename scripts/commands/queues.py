"""`moor queues`: the state of each queue."""

from scripts.api import Api
from scripts.aws import connect
from scripts.jobs.queue_counts import read_queues
from scripts.terminal.answer import print_json, print_table
from scripts.terminal.options import DEFAULT_STAGE, JsonOption, StageOption


def queues(stage: StageOption = DEFAULT_STAGE, as_json: JsonOption = False) -> None:
    """Backlog, running jobs and workers of each queue."""
    found = read_queues(Api(connect(stage)).get("queues"))
    if as_json:
        return print_json(found)
    print_table(
        ("queue", "backlog", "scheduled", "running", "failed", "workers", "oldest"),
        [
            (q.name, q.queued, q.scheduled, q.active, q.failed, q.workers,
             f"{q.oldest_due_seconds:.0f} s")
            for q in found
        ],
    )  # fmt: skip
    return None
