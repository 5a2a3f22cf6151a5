"""Declaring tasks: what is registered, and what is refused with its file and line."""

import subprocess
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.contract import LARGE_PAYLOAD_MAX_BYTES
from service.queue.errors import (
    InvalidPayloadError,
    PayloadTooLargeError,
    RegistrationError,
    UnknownTaskError,
)
from service.queue.tasks.discovery import discover
from service.queue.tasks.registry import Registry
from service.queue.worker.context import Context
from tests.sample import PACKAGE

HERE = "tests/service/queue/tasks/test_registry.py:"


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_decorating_is_enough_and_leaves_the_function_callable(registry: Registry) -> None:
    @registry.task
    def double(ctx: Context, *, number: int) -> int:
        return 2 * number

    assert registry.get("double").function is double
    assert double(Context(), number=4) == 8


def test_queues_are_listed_with_their_tasks(registry: Registry) -> None:
    @registry.task(queue="mail")
    def send(ctx: Context) -> None: ...

    @registry.scheduled_task(every="1 hour", queue="mail")
    def clean(ctx: Context) -> None: ...

    assert registry.queues() == {
        "default": [], "mail": [registry.get("send"), registry.get("clean")],
    }  # fmt: skip


@pytest.mark.parametrize("queue", ["Mail", "", "1mail", "m" * 32, "a b"])
def test_queue_needs_a_plain_name(registry: Registry, queue: str) -> None:
    def send(ctx: Context) -> None: ...

    with pytest.raises(RegistrationError, match=f"{HERE}.*queue='{queue}': must be"):
        registry.task(queue=queue)(send)


def test_defaults_are_safe(registry: Registry) -> None:
    @registry.task
    def plain(ctx: Context) -> None: ...

    task = registry.get("plain")
    assert task.retries >= 3
    assert 0 < task.timeout <= 3600
    assert task.ttl >= 3600


def test_taken_name_is_refused_with_both_places(registry: Registry) -> None:
    @registry.task(name="mail.send")
    def first(ctx: Context) -> None: ...

    with pytest.raises(RegistrationError) as raised:

        @registry.task(name="mail.send")
        def second(ctx: Context) -> None: ...

    assert str(raised.value).count(HERE) == 2
    assert "'mail.send' is taken" in str(raised.value)


def test_renamed_task_still_takes_jobs_of_its_old_name(registry: Registry) -> None:
    @registry.task(name="mail.send", aliases=("send_mail",))
    def send(ctx: Context) -> None: ...

    assert registry.get("send_mail").name == "mail.send"
    with pytest.raises(RegistrationError):

        @registry.task(name="send_mail")
        def other(ctx: Context) -> None: ...


@pytest.mark.parametrize(
    ("cron", "tz", "reason"),
    [
        ("every tuesday", "UTC", "is not a cron line"),
        ("61 * * * *", "UTC", "is not a cron line"),
        ("0 0 30 2 *", "UTC", "is not a cron line"),
        ("* * * * * *", "UTC", "is not a cron line"),
        ("0 2 * * *", "Europe/Atlantis", "is not a time zone"),
        ("0 2 * * *", "../../etc/passwd", "is not a time zone"),
    ],
)
def test_bad_schedule_is_refused_with_file_and_line(
    registry: Registry, cron: str, tz: str, reason: str
) -> None:
    with pytest.raises(RegistrationError) as raised:

        @registry.scheduled_task(cron=cron, tz=tz)
        def report(ctx: Context) -> None: ...

    assert str(raised.value).startswith(HERE)
    assert reason in str(raised.value)


def test_scheduled_task_whose_payload_has_no_default_is_refused(registry: Registry) -> None:
    with pytest.raises(RegistrationError, match="day has no default"):

        @registry.scheduled_task(cron="0 2 * * *")
        def report(ctx: Context, *, day: str) -> None: ...

    with pytest.raises(UnknownTaskError):
        registry.get("report")


def no_payload(ctx: Context) -> None: ...
def no_context(*, number: int) -> None: ...
def other_first(number: int) -> None: ...
def any_payload(ctx: Context, **payload: int) -> None: ...
def untyped(ctx: Context, *, number) -> None: ...  # type: ignore[no-untyped-def] # the case
def no_json_form(ctx: Context, *, file: Registry) -> None: ...


@pytest.mark.parametrize("function", [no_context, other_first, any_payload, untyped, no_json_form])
def test_signature_that_cannot_be_a_payload_is_refused(registry: Registry, function: Any) -> None:
    with pytest.raises(RegistrationError) as raised:
        registry.task(function)
    assert str(raised.value).startswith(HERE)


@pytest.mark.parametrize(("option", "least"), [("timeout", 0), ("retries", 0), ("ttl", -1)])
def test_option_that_would_never_work_is_refused(
    registry: Registry, option: str, least: int
) -> None:
    options: dict[str, Any] = {option: least - 1}
    with pytest.raises(RegistrationError, match=f"{option}={least - 1}: must be at least {least}"):
        registry.task(**options)(no_payload)


@dataclass
class Address:
    street: str
    city: str = "Bern"


def test_payload_survives_the_way_to_the_worker_with_its_types(registry: Registry) -> None:
    @registry.task
    def ship(
        ctx: Context,
        *,
        to: Address,
        order: uuid.UUID,
        due: datetime,
        tags: list[str] = [],  # noqa: B006
    ) -> None: ...

    order, due = uuid.uuid4(), datetime.now(UTC)
    task = registry.get("ship")
    sent, _ = task.encode({"to": Address("Main"), "order": order, "due": due})
    assert sent["to"] == {"street": "Main", "city": "Bern"}
    got = task.decode(sent)
    assert got == {"to": Address("Main"), "order": order, "due": due, "tags": []}
    got["tags"].append("changed")
    assert task.decode(sent)["tags"] == []


@pytest.mark.parametrize(
    ("payload", "field", "reason"),
    [
        ({"to": {"street": 5}, "count": 1}, "payload.to.street", "Expected `str`"),
        ({"to": {"street": "x"}, "count": "1"}, "payload.count", "Expected `int`"),
        ({"to": {"street": "x"}}, "payload", "missing required field `count`"),
        ({"to": {"street": "x"}, "count": 1, "more": 2}, "payload", "unknown field `more`"),
    ],
)
def test_wrong_payload_is_refused_with_the_field(
    registry: Registry, payload: dict[str, Any], field: str, reason: str
) -> None:
    @registry.task
    def ship(ctx: Context, *, to: Address, count: int) -> None: ...

    for check in (registry.get("ship").encode, registry.get("ship").decode):
        with pytest.raises(InvalidPayloadError) as raised:
            check(payload)
        assert raised.value.field == field
        assert reason in raised.value.reason


def test_payload_over_the_limit_is_refused(registry: Registry) -> None:
    @registry.task
    def store(ctx: Context, *, text: str) -> None: ...

    _, size = registry.get("store").encode({"text": "x" * (LARGE_PAYLOAD_MAX_BYTES - 20)})
    assert size == LARGE_PAYLOAD_MAX_BYTES - 20 + len('{"text":""}')
    with pytest.raises(PayloadTooLargeError, match="S3"):
        registry.get("store").encode({"text": "x" * LARGE_PAYLOAD_MAX_BYTES})


def test_domains_are_found_by_themselves() -> None:
    tasks = discover(PACKAGE).tasks
    assert {"keep_note", "count_notes"} <= tasks.keys()
    assert tasks["count_notes"].schedule


@dataclass
class Shop:
    """A package of domains, discovered by a process of its own."""

    folder: Path

    def write(self, name: str, text: str = "") -> None:
        path = self.folder / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def start(self) -> "subprocess.CompletedProcess[str]":
        code = "from service.queue import discover; print(*discover('shop').tasks)"
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False,
            env={"PYTHONPATH": f"{self.folder}:{Path.cwd()}"},
        )  # fmt: skip

    def refusal(self) -> str:
        """The last line of a start that fails."""
        failed = self.start()
        assert failed.returncode == 1
        return failed.stderr.splitlines()[-1].partition("RegistrationError: ")[2]


TASK = "from service.queue import task\n@task\ndef bill(ctx): ...\n"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """One domain, orders, with nothing in it yet."""
    shop = Shop(tmp_path)
    shop.write("__init__.py")
    shop.write("orders/__init__.py")
    return shop


def test_new_domain_is_found_and_a_broken_one_stops_the_start(shop: Shop) -> None:
    shop.write("orders/jobs/__init__.py")
    shop.write("orders/jobs/tasks.py", TASK)
    assert shop.start().stdout.split() == ["bill"]
    shop.write(
        "orders/jobs/scheduled.py",
        "from service.queue import scheduled_task\n"
        "@scheduled_task(cron='never')\ndef remind(ctx): ...\n",
    )
    assert "shop/orders/jobs/scheduled.py:2: cron='never' is not a cron line" in shop.refusal()


@pytest.mark.parametrize("folder", ["orders/jobs", "billing"])
def test_folder_without_init_is_refused_with_its_path(shop: Shop, folder: str) -> None:
    shop.write(f"{folder}/tasks.py", TASK)
    assert shop.refusal() == (
        f"{shop.folder}/shop/{folder}: has no __init__.py, so nothing in it is found; "
        "add an empty one there"
    )


@pytest.mark.parametrize(
    ("module", "hint"),
    [
        ("orders/jobs/task.py", "tasks.py, scheduled.py, startup.py, shutdown.py"),
        ("orders/jobs.py", "jobs/tasks.py"),
    ],
)
def test_module_that_would_not_be_found_is_refused_with_its_path(
    shop: Shop, module: str, hint: str
) -> None:
    if "/jobs/" in module:
        shop.write("orders/jobs/__init__.py")
    shop.write(module, TASK)
    refusal = shop.refusal()
    assert refusal.startswith(f"{shop.folder}/shop/{module}: ")
    assert hint in refusal


def test_helpers_and_leftovers_beside_the_job_modules_are_left_alone(shop: Shop) -> None:
    shop.write("orders/jobs/__init__.py")
    shop.write("orders/jobs/tasks.py", "from shop.orders.jobs import prices\n" + TASK)
    shop.write("orders/jobs/prices.py")
    shop.write("orders/jobs/_later.py", "1 / 0")
    shop.write("orders/texts/bill.py")
    shop.write("mail_templates/bill.txt")
    shop.write("removed/__pycache__/tasks.cpython-311.pyc")
    assert shop.start().stdout.split() == ["bill"]
