"""`moor schedules` against a real API, found and opened as a deployed stage's."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from scripts.commands.schedules import Schedule, read_schedule
from tests.scripts.deployed import Moor, deploy
from tests.service.api.api_process import API_KEY, Api

pytest_plugins = ["tests.service.api.conftest_api", "tests.scripts.conftest_deployed"]

DEV = ("--stage", "dev")
ITEM: dict[str, Any] = {
    "name": "a", "task": "t", "cron": None, "every": None, "tz": "UTC", "payload": {},
    "unique": False, "declared": False, "enabled": True, "next_run_at": "2026-11-22T04:00:00Z",
    "last_run_at": None, "last_job_id": None, "last_status": None, "last_error": None,
}  # fmt: skip


@pytest.fixture
def name(deployed: Api) -> Iterator[str]:
    """Of a schedule of this test; it is gone afterwards."""
    chosen = f"moor-{uuid.uuid4().hex}"
    yield chosen
    deployed.sql("DELETE FROM recurring_jobs WHERE name = $1", chosen)


@pytest.fixture
def declared(deployed: Api) -> Iterator[str]:
    """The name of a schedule that some worker's code declares."""
    chosen = f"declared-{uuid.uuid4().hex}"
    deployed.sql(
        "INSERT INTO recurring_jobs (queue, name, task, cron, tz, payload, is_unique, is_declared,"
        " next_run_at) VALUES ('default', $1, 'keep_note', '0 3 * * *', 'Europe/Berlin', '{}',"
        " FALSE, TRUE, now() + interval '1 day')",
        chosen,
    )
    yield chosen
    deployed.sql("DELETE FROM recurring_jobs WHERE name = $1", chosen)


@pytest.mark.parametrize(
    ("fields", "comes"),
    [
        ({"every": "30 minutes"}, "every 30 minutes"),
        ({"cron": "0 7 * * 1-5", "tz": "Europe/Berlin"}, "0 7 * * 1-5 Europe/Berlin"),
    ],
)
def test_a_schedule_says_when_it_comes_as_it_was_written(
    fields: dict[str, str], comes: str
) -> None:
    found = read_schedule(ITEM | fields)
    assert found.when == comes
    assert found.next_run_at == datetime(2026, 11, 22, 4, tzinfo=UTC)
    assert found.last_run_at is None


def shown(moor: Moor, capsys: pytest.CaptureFixture[str], name: str) -> dict[str, Any]:
    capsys.readouterr()
    assert moor("schedules", "show", name, "--json", *DEV) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_schedule_is_created_stopped_started_run_and_deleted(
    deployed: Api, moor: Moor, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    create = ("create", name, "keep_note", "message=ping", "user_id=7", "--every", "6 hours")
    assert moor("schedules", *create, "--unique", *DEV) == 0
    found = shown(moor, capsys, name)
    assert (found["every"], found["unique"], found["declared"]) == ("6 hours", True, False)
    assert found["payload"] == {"message": "ping", "user_id": 7, "author": ""}
    assert datetime.fromisoformat(found["next_run_at"]).hour % 6 == 0
    assert moor("schedules", "show", name, *DEV) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert ["every", "6 hours"] in lines
    assert ["payload", json.dumps(found["payload"])] in lines

    assert moor("schedules", "disable", name, *DEV) == 0
    out, err = capsys.readouterr()
    assert out == f"{name} is disabled\n"
    assert "goes on" in err
    assert shown(moor, capsys, name)["enabled"] is False

    assert moor("schedules", "enable", name, *DEV) == 0
    assert capsys.readouterr().out.startswith(f"{name} runs next at 20")

    assert moor("schedules", "run", name, *DEV) == 0
    key = capsys.readouterr().out.strip()
    (job,) = deployed.sql("SELECT task FROM background_jobs WHERE key = $1", key)
    assert job["task"] == "keep_note"

    assert moor("schedules", "delete", name, *DEV) == 0
    assert capsys.readouterr().out == f"{name} is deleted\n"
    assert moor("schedules", "show", name, *DEV) == 7
    assert f"no schedule is named '{name}'" in capsys.readouterr().err


def test_a_cron_line_is_read_in_its_zone(
    deployed: Api, moor: Moor, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    create = (
        "create",
        name,
        "keep_note",
        "message=hi",
        "--cron",
        "0 7 * * *",
        "--tz",
        "Asia/Tokyo",
    )
    assert moor("schedules", *create, *DEV) == 0
    assert capsys.readouterr().out.endswith(" 22:00:00 UTC\n")


def test_all_are_listed_with_where_they_come_from_and_what_became_of_them(
    deployed: Api, moor: Moor, name: str, declared: str, capsys: pytest.CaptureFixture[str]
) -> None:
    moor("schedules", "create", name, "keep_note", "message=hi", "--every", "1 day", *DEV)
    deployed.sql(
        "UPDATE recurring_jobs SET is_enabled = FALSE, last_error = E'Traceback\\nno luck'"
        " WHERE name = $1",
        declared,
    )
    capsys.readouterr()
    assert moor("schedules", "list", *DEV) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert "every 1 day" in lines[name]
    assert "API" in lines[name]
    assert "0 3 * * * Europe/Berlin" in lines[declared]
    assert "disabled" in lines[declared]
    assert "code" in lines[declared]
    assert lines[declared].rstrip().endswith("no luck")
    assert "Traceback" not in lines[declared]

    assert moor("schedules", "list", "--json", *DEV) == 0
    items = json.loads(capsys.readouterr().out)
    assert {item["name"] for item in items} >= {name, declared}
    assert set(items[0]) == set(Schedule.__dataclass_fields__)


def test_what_the_code_declares_is_disabled_here_and_deleted_there(
    deployed: Api, moor: Moor, declared: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert moor("schedules", "delete", declared, *DEV) == 1
    assert "the code declares" in capsys.readouterr().err
    assert moor("schedules", "disable", declared, *DEV) == 0
    assert shown(moor, capsys, declared)["enabled"] is False


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (("create", "x", "keep_note", "message=a"), (1, "cron")),
        (
            ("create", "x", "keep_note", "message=a", "--cron", "0 7 * * *", "--every", "1 day"),
            (1, "exactly one"),
        ),
        (("create", "x", "keep_note", "message=a", "--cron", "61 * * * *"), (1, "0 to 59")),
        (("create", "x", "keep_note", "message=a", "--every", "soon"), (1, "30 minutes")),
        (
            ("create", "x", "keep_note", "message=a", "--cron", "0 7 * * *", "--tz", "Mars"),
            (1, "tz"),
        ),
        (("create", "x", "keep_note", "--every", "1 day"), (1, "payload.message")),
        (("create", "x", "no_such_task", "--every", "1 day"), (7, "no task is named")),
        (("create", "x y", "keep_note", "message=a", "--every", "1 day"), (1, "name")),
        (("create", "x", "keep_note", "message", "--every", "1 day"), (2, "neither KEY=VALUE")),
        (("show", "no-such"), (7, "no schedule is named 'no-such'")),
        (("enable", "no-such"), (7, "no schedule")),
        (("disable", "no-such"), (7, "no schedule")),
        (("run", "no-such"), (7, "no schedule")),
        (("delete", "no-such"), (7, "no schedule")),
    ],
)
def test_what_is_refused_is_said_with_the_field_and_nothing_is_written(
    deployed: Api,
    moor: Moor,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    refusal: tuple[int, str],
) -> None:
    code, says = refusal
    assert moor("schedules", *words, *DEV) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert says in err
    assert not deployed.sql("SELECT FROM recurring_jobs WHERE name IN ('x', 'x y')")


def test_a_name_is_taken_once(
    deployed: Api, moor: Moor, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("schedules", "create", name, "keep_note", "message=a", "--every", "1 day", *DEV)
    assert moor(*words) == 0
    assert moor(*words) == 1
    assert f"there is a schedule named '{name}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("create", "x", "keep_note", "--every", "1 day"),
        *((verb, "no-such") for verb in ("enable", "disable", "delete", "run")),
    ],
)
def test_a_protected_stage_is_changed_only_with_yes(
    aws: str,
    guarded_api: Api,
    moor: Moor,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
) -> None:
    deploy("prod", guarded_api.url, API_KEY)
    assert moor("schedules", *words, "--stage", "prod") == 8
    assert "--yes" in capsys.readouterr().err
    assert moor("schedules", *words, "--stage", "prod", "--yes") in {1, 7}
