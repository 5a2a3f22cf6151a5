"""`moor` as it is typed: exit codes, where words go, and how long its help takes."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.cli import main
from scripts.commands import COMMANDS
from service.contract import ProcessName
from tests.scripts.world import REGION, World, deployed, release

ROOT = Path(__file__).parents[2]
WORKER = ProcessName.WORKER


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with deployed() as found:
        yield found


@pytest.mark.parametrize(
    "arguments",
    [
        ["scale", "migrate", "2"],
        ["scale", "worker", "many"],
        ["scale", "worker", "-1"],
        ["scale", "worker", "2", "--for", "soon"],
        ["restart", "everything"],
        ["status", "--colour"],
        ["no-such-command"],
    ],
)
def test_a_wrong_word_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert "--help" in err


def test_version_is_the_newest_release_of_the_changelog(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--version"]) == 0
    said = capsys.readouterr().out
    changelog = (ROOT / "CHANGELOG.md").read_text()
    newest = next(line for line in changelog.splitlines() if line.startswith("## "))
    assert said == f"moor {newest.removeprefix('## ')}\n"


def test_a_wrong_stage_is_said_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--stage", "production"]) == 2
    assert "'production' is not one of dev, prod," in capsys.readouterr().err


def test_scale_is_typed_as_in_the_help(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["scale", "worker", "4", "--max", "8", "--for", "2h", "--no-wait", "--stage", "dev"]
    assert main(command) == 0
    assert world.service(WORKER).desired_count == 4
    (action,) = world.reverts()
    assert action["ScalableTargetAction"] == {"MinCapacity": 1, "MaxCapacity": 4}
    out, err = capsys.readouterr()
    assert out == ""
    assert "worker from 3, bounds 1..4 to 4, bounds 4..8" in err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["status", "--stage", "prod"], 3),
        (["scale", "worker", "2", "--stage", "prod", "--yes"], 3),
        (["scale", "worker", "--stage", "dev"], 2),
        (["scale", "worker", "--min", "5", "--max", "2", "--stage", "dev"], 2),
        (["sleep", "--stage", "prod"], 3),
        (["rollback", "--stage", "prod"], 3),
        (["rollback", "--stage", "dev"], 8),
        (["rollback", "7", "--stage", "dev"], 7),
        (["wake", "--stage", "dev"], 0),
        (["deployments", "--stage", "dev"], 0),
    ],
)
def test_each_kind_of_end_has_its_exit_code(world: World, arguments: list[str], code: int) -> None:
    assert main(arguments) == code


def test_logs_without_a_line_say_so_and_how_to_look_further_back(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    for process in (ProcessName.API, WORKER):
        world.aws.call("logs", "create_log_group", logGroupName=world.aws.names.log_group(process))
    assert main(["logs", "--job", "nobody", "--since", "90m", "--stage", "dev"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "No such line in the last 1 h 30 min; --since 2h goes further back.\n"


def test_deployments_is_a_table_on_standard_output(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    release(world, "two")
    assert main(["deployments", "--stage", "dev"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    header, second, first = (line.split() for line in out.splitlines())
    assert header[:2] == ["release", "image"]
    assert second[:2] + second[4:] == [
        "2", "two", "2", "2", "SUCCESSFUL", "runs,", "in", "the", "stack's", "template",
    ]  # fmt: skip
    assert first[:2] + first[4:] == ["1", "one", "1", "1", "SUCCESSFUL"]


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    script = (
        "import sys; from scripts.cli import main; main(['--help']); "
        "print([m for m in ('boto3', 'botocore', 'httpx', 'rich', 'moto', 'psutil', 'aws_cdk') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    for name, (_, line) in COMMANDS.items():
        (found,) = (each for each in done.stdout.splitlines() if each.startswith(f"  {name} "))
        assert found.endswith(line)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: moor {name} ")
    assert "-h, --help" in out
    assert "healthcheck" not in out  # a process, and nothing to be named here


def test_a_word_that_is_nearly_a_command_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stauts"]) == 2
    assert "Did you mean 'status'" in capsys.readouterr().err


def test_help_is_there_at_once() -> None:
    """In 0.3 s of the processor, the best of some runs: other processes share the machine."""
    best = min(_seconds([sys.executable, "-m", "scripts.cli", "--help"]) for _ in range(5))
    assert best < 0.3


def _seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
