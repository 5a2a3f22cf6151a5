"""docs/coming-from-saq.md says of each public name of SAQ what it does here."""

import dataclasses
import inspect
import re
from typing import Any

import pytest
from litestar_saq import QueueConfig, SAQConfig
from saq import CronJob, Job
from saq.queue.base import Queue
from saq.queue.http import HttpQueue
from saq.queue.postgres import PostgresQueue
from saq.worker import Worker

from service.queue import MemoryQueue, Registry
from service.queue import Worker as OurWorker
from service.queue.worker.worker import INSTEAD
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "coming-from-saq.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
NAME = re.compile(r"`(\w+)`")


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def options(kind: type) -> set[str]:
    return set(inspect.signature(kind).parameters)


def attributes(made: Any) -> set[str]:
    return {name for name in vars(made) if not name.startswith("_")}


def named(section: str) -> set[str]:
    """In the first column of the section's table."""
    cells = re.findall(r"^\| (`.*?) \|", SECTIONS[section], re.MULTILINE)
    return {name for cell in cells for name in NAME.findall(cell)}


def base_attributes() -> set[str]:
    http = attributes(HttpQueue("http://nowhere"))
    own = set(inspect.signature(HttpQueue.__init__).parameters)
    return http - own - {"session", "session_kwargs"} | {"name"}


QUEUE = public(Queue) | base_attributes() | (options(Queue)) | {"get_job_status"}
WORKER = (
    public(Worker)
    | options(Worker)
    | attributes(Worker(MemoryQueue(Registry()), []))
)  # fmt: skip


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("`saq.Queue`", QUEUE),
        ("`saq.Job`", public(Job) | options(Job)),
        ("`saq.Worker`", WORKER),
        ("litestar-saq", {found.name for found in dataclasses.fields(QueueConfig)}),
    ],
)
def test_page_names_what_saq_has_and_nothing_else(section: str, expected: set[str]) -> None:
    assert named(section) == expected


def test_page_names_the_fields_of_cron_jobs_and_of_the_plugin() -> None:
    for kind, section in ((CronJob, "`saq.Job`"), (SAQConfig, "litestar-saq")):
        fields = {found.name for found in dataclasses.fields(kind)}
        assert fields <= set(NAME.findall(SECTIONS[section]))


def test_postgres_queue_of_saq_has_no_public_method_that_ours_lacks() -> None:
    own = {name for name in vars(PostgresQueue) if not name.startswith("_")}
    internal = {"init_db", "nullcontext"}
    assert {name for name in own - internal if not hasattr(MemoryQueue, name)} == set()


@pytest.mark.parametrize("option", sorted(options(Worker)))
async def test_option_of_saqs_worker_is_one_of_ours_or_says_what_is(option: str) -> None:
    ours = options(OurWorker) - {"saq"}
    assert (option in ours) != (option in INSTEAD)
    if option in INSTEAD:
        given: dict[str, Any] = {option: 1}
        with pytest.raises(TypeError, match=f"^{option}: ") as raised:
            OurWorker(MemoryQueue(Registry()), Registry(), concurrency=1, drain_seconds=1, **given)
        assert INSTEAD[option] in str(raised.value)


def test_queue_from_an_address_says_where_ours_come_from() -> None:
    with pytest.raises(TypeError, match="create_queue"):
        MemoryQueue.from_url("redis://localhost")
