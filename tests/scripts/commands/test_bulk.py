"""`moor bulk` against a real API, found and opened as a deployed stage's."""

import json
import re

import pytest

from tests.scripts.deployed import Moor
from tests.service.api.api_process import Api
from tests.service.api.test_api_bulk import count, plant_failed

pytest_plugins = ["tests.service.api.conftest_api", "tests.scripts.conftest_deployed"]

DEV = ("--stage", "dev")


def test_many_jobs_are_retried_shown_and_undone(
    deployed: Api, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    plant_failed(deployed, "moor-bulk", 3)
    words = ("--task", "moor-bulk", "--error", "no", "--payload", "n=2")
    assert moor("bulk", "start", "retry", *words, *DEV) == 0
    out = capsys.readouterr().out
    said = re.fullmatch(r"(\d+): retry \((.*)\) is done: 1 job changed\n", out)
    assert said, out
    number, jobs = said.groups()
    assert jobs == "status=failed, task=moor-bulk, error=no, payload=n=2"
    assert count(deployed, "moor-bulk", "queued") == 1

    assert moor("bulk", "undo", number, "--json", *DEV) == 0
    undone = json.loads(capsys.readouterr().out)
    assert (undone["action"], undone["undoes"], undone["changed"]) == ("undo", int(number), 1)
    assert undone["who"]
    assert count(deployed, "moor-bulk", "failed") == 3

    assert moor("bulk", "list", *DEV) == 0
    out = capsys.readouterr().out
    assert re.search(rf"(?m)^{number} +retry +status=failed, .* done, undone +100 % +1$", out)
    assert moor("bulk", "show", number, *DEV) == 0
    assert capsys.readouterr().out.endswith(f"undone by {undone['id']}\n")


def test_chosen_jobs_are_deleted(
    deployed: Api, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    plant_failed(deployed, "moor-chosen", 3)
    chosen = ("--job", "moor-chosen:1", "--job", "moor-chosen:3")
    assert moor("bulk", "start", "delete", *chosen, *DEV) == 0
    out = capsys.readouterr().out
    assert "delete (moor-chosen:1, moor-chosen:3) is done: 2 jobs changed" in out
    assert count(deployed, "moor-chosen", "failed") == 1
    assert moor("bulk", "undo", out.partition(":")[0], *DEV) == 1
    assert "(delete) cannot be undone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (("start", "retry"), (2, "--status failed, or --job")),
        (("start", "retry", "--task", "a", "--job", "b"), (2, "and not both")),
        (("start", "retri", "--task", "a"), (2, "did you mean retry?")),
        (("start", "priority", "--task", "a"), (1, "priority")),
        (("start", "retry", "--status", "queued"), (1, "status: must be failed")),
        (("start", "retry", "--since", "soon"), (2, "neither how long ago")),
        (("show", "999999"), (7, "no bulk action 999999")),
        (("stop", "0"), (2, "NUMBER")),
    ],
)
def test_what_is_wrong_is_said(
    deployed: Api,
    moor: Moor,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    refusal: tuple[int, str],
) -> None:
    code, sentence = refusal
    assert moor("bulk", *words, *DEV) == code
    assert sentence in capsys.readouterr().err


def test_it_need_not_be_waited_for(
    deployed: Api, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    plant_failed(deployed, "moor-later", 2)
    assert moor("bulk", "start", "retry", "--task", "moor-later", "--detach", *DEV) == 0
    number = capsys.readouterr().out.partition(":")[0]
    assert moor("bulk", "show", number, *DEV) == 0
    while "is running" in capsys.readouterr().out:
        assert moor("bulk", "show", number, *DEV) == 0
    assert moor("bulk", "stop", number, *DEV) == 1
    assert "has ended" in capsys.readouterr().err
