"""`moor secrets`: values go in, and never come out."""

import io
import json
import os
import pty
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from scripts.aws import Aws
from scripts.cli import main
from scripts.commands import keys, rollback, scale
from scripts.commands.scale import Wanted
from scripts.commands.sleep import run_sleep, run_wake
from scripts.ecs.autoscaling import Bounds
from scripts.errors import OperatorError
from scripts.host.local_secrets import LocalSecrets
from scripts.secrets.kept import State, check_start
from scripts.secrets.store import AwsStore, Row
from scripts.target import Target
from scripts.terminal.options import SERVICES
from service.contract import LOCAL_STAGE, ProcessName
from stacks.config.read_stage import read_stage
from stacks.config.secrets import Secret
from tests.conftest import ROOT
from tests.scripts.world import ACCOUNT, REGION, World, deployed, refuse, release

CANARY = "canary5f3c1e"
ARN = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:"
LISTED = (
    Secret("STRIPE_KEY"),
    Secret("MAPS_KEY", "secretsmanager:shared/maps#key"),
    Secret("SMTP", "ssm:/shared/smtp", ProcessName.WORKER),
)
WORKER = ProcessName.WORKER


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with deployed() as found:
        yield found


@pytest.fixture
def store(world: World) -> AwsStore:
    """Stage `dev`, for which stages.toml lists three."""
    return AwsStore(Aws(Target(replace(world.stage, secrets=LISTED), region=REGION)))


def rows(store: AwsStore) -> dict[str, Row]:
    return {row.name: row for row in store.rows()}


def own(store: AwsStore, name: str) -> dict[str, Any]:
    id = store.stage.names.secret(name)
    return dict(boto3.client("secretsmanager").describe_secret(SecretId=id))


def value(store: AwsStore, name: str) -> str:
    id = store.stage.names.secret(name)
    return str(boto3.client("secretsmanager").get_secret_value(SecretId=id)["SecretString"])


def test_a_value_is_kept_where_it_is_found_and_can_be_changed(store: AwsStore) -> None:
    assert rows(store)["STRIPE_KEY"].state is State.MISSING
    store.put("STRIPE_KEY", CANARY)
    store.put("STRIPE_KEY", "another")
    assert value(store, "STRIPE_KEY") == "another"
    made = own(store, "STRIPE_KEY")
    assert {each["Key"]: each["Value"] for each in made["Tags"]} == {
        "app": store.stage.app_name, "stage": "dev",
    }  # fmt: skip
    assert "KmsKeyId" not in made  # AWS's own, which is there before and after the stage
    row = rows(store)["STRIPE_KEY"]
    assert (row.state, row.is_right, row.processes) == (State.SET, True, "api, worker")
    assert row.changed


def test_what_was_deleted_is_taken_back_within_the_window(store: AwsStore) -> None:
    store.put("STRIPE_KEY", CANARY)
    store.delete("STRIPE_KEY")
    days = own(store, "STRIPE_KEY")["DeletedDate"] - own(store, "STRIPE_KEY")["LastChangedDate"]
    assert days.days in (29, 30)
    assert rows(store)["STRIPE_KEY"].state is State.DELETED
    store.put("STRIPE_KEY", "again")
    assert value(store, "STRIPE_KEY") == "again"


def test_each_place_is_looked_at_and_what_is_not_listed_is_shown(store: AwsStore) -> None:
    secrets, ssm = boto3.client("secretsmanager"), boto3.client("ssm")
    assert {name: row.state for name, row in rows(store).items()} == {
        name: State.MISSING for name in ("STRIPE_KEY", "MAPS_KEY", "SMTP")
    }
    secrets.create_secret(Name="shared/maps", SecretString='{"key": "x"}')
    ssm.put_parameter(Name="/shared/smtp", Value="x", Type="SecureString")
    secrets.create_secret(Name=store.stage.names.secret("STRIPE_KEY"))  # without a value
    secrets.create_secret(Name=store.stage.names.secret("OLD"), SecretString="x")
    other = replace(store.stage.names, stage="dev2")
    secrets.create_secret(Name=other.secret("OTHER"), SecretString="x")
    found = rows(store)
    assert {name: row.state for name, row in found.items()} == {
        "STRIPE_KEY": State.EMPTY, "MAPS_KEY": State.SET, "SMTP": State.SET, "OLD": State.SET,
    }  # fmt: skip
    assert found["OLD"].processes == ""
    assert [row.name for row in store.rows() if not row.is_right] == ["STRIPE_KEY", "OLD"]
    assert (found["SMTP"].processes, found["SMTP"].place) == ("worker", "ssm:/shared/smtp")


def test_what_the_caller_may_not_see_is_no_difference(world: World, store: AwsStore) -> None:
    for service, call in (("secretsmanager", "describe_secret"), ("ssm", "describe_parameters")):
        refuse(store._aws, service, call, "AccessDeniedException")
    assert {row.state for row in store.rows()} == {State.UNKNOWN}
    assert all(row.is_right for row in store.rows())


def register(world: World, secrets: dict[str, str], process: str = WORKER) -> str:
    """A revision of the process that is given these; its ARN."""
    definition = boto3.client("ecs").register_task_definition(
        family=f"{world.stage.names.prefix}-{process}",
        containerDefinitions=[
            {
                "name": process, "image": "x", "memory": 128,
                "secrets": [{"name": k, "valueFrom": v} for k, v in secrets.items()],
            }
        ],
    )["taskDefinition"]  # fmt: skip
    return str(definition["taskDefinitionArn"])


def test_a_start_without_a_value_is_refused_by_name(world: World, store: AwsStore) -> None:
    arn = register(world, {
        "STRIPE_KEY": ARN + store.stage.names.secret("STRIPE_KEY"),
        "MAPS_KEY": f"{ARN}shared/maps:key::",
        "SMTP": f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/shared/smtp",
        "API_KEY": f"{ARN}of-moorage-itself",
    })  # fmt: skip
    with pytest.raises(OperatorError, match="no value for STRIPE_KEY, MAPS_KEY, SMTP: no worker"):
        check_start(world.aws, {WORKER: arn})
    store.put("STRIPE_KEY", CANARY)
    boto3.client("secretsmanager").create_secret(Name="shared/maps", SecretString='{"key": "x"}')
    with pytest.raises(OperatorError, match="SMTP: no worker and no worker-reports would start"):
        check_start(world.aws, {WORKER: arn, "worker-reports": arn})
    boto3.client("ssm").put_parameter(Name="/shared/smtp", Value="x", Type="String")
    check_start(world.aws, {WORKER: arn})


def needing_a_secret(world: World, process: str = WORKER) -> None:
    """The process's revision of the next deployment, for whose secret there is no value."""
    arn = register(world, {"STRIPE_KEY": ARN + world.stage.names.secret("STRIPE_KEY")}, process)
    names = world.stage.names
    boto3.client("ecs").update_service(
        cluster=names.cluster, service=names.service(process), taskDefinition=arn
    )


NONE_STARTS = "no value for STRIPE_KEY: no worker would start"


@pytest.mark.parametrize(
    "words",
    [
        ["restart"],
        ["restart", "worker"],
        ["run", "--", "true"],
        ["debug"],
        ["scale", "worker", "9", "--no-wait"],
        ["scale", "worker", "--min", "4", "--no-wait"],
    ],
    ids=" ".join,
)
def test_commands_that_start_ecs_tasks_refuse_it(
    words: list[str], world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    plugin = tmp_path / "session-manager-plugin"
    plugin.write_text("#!/bin/sh\n")
    plugin.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for stream in (sys.stdin, sys.stdout):  # `debug` wants a terminal before anything else
        monkeypatch.setattr(stream, "isatty", lambda: True)
    needing_a_secret(world)
    before = len(world.tasks(WORKER))
    assert main([words[0], "--stage", "dev", *words[1:]]) == 1
    said = capsys.readouterr().err
    assert f"stage dev has {NONE_STARTS}" in said
    assert "`moor secrets set STRIPE_KEY --stage dev`" in said
    world.settle()
    assert len(world.tasks(WORKER)) == before
    assert world.bounds(WORKER) == Bounds(1, 4)


@pytest.mark.parametrize("count", [0, 2, 3])
def test_fewer_ecs_tasks_need_no_value(world: World, count: int) -> None:
    needing_a_secret(world)
    world.settle()
    scale.run(world.aws, WORKER, Wanted(count=count), world.clock)
    assert len(world.tasks(WORKER)) == count


def test_a_stage_sleeps_on_until_each_secret_has_a_value(world: World, store: AwsStore) -> None:
    run_sleep(world.aws, world.clock)
    needing_a_secret(world)
    with pytest.raises(OperatorError, match=NONE_STARTS):
        run_wake(world.aws, world.clock)
    assert [world.service(each).desired_count for each in SERVICES] == [0, 0]
    assert world.bounds(WORKER) == Bounds(0, 0)
    store.put("STRIPE_KEY", CANARY)
    run_wake(world.aws, world.clock)
    assert [len(world.tasks(each)) for each in SERVICES] == [2, 3]


def test_a_release_whose_secret_is_gone_does_not_come_back(world: World, store: AwsStore) -> None:
    needing_a_secret(world)
    needing_a_secret(world, ProcessName.API)
    world.settle()
    release(world, "three")
    with pytest.raises(OperatorError, match="no value for STRIPE_KEY: no api and no worker would"):
        rollback.run(world.aws, "2", world.clock)
    world.settle()
    assert [world.service(p).task_definition[-2:] for p in SERVICES] == [":3", ":3"]
    store.put("STRIPE_KEY", CANARY)
    rollback.run(world.aws, "2", world.clock)
    assert [world.service(p).task_definition[-2:] for p in SERVICES] == [":2", ":2"]


def test_keys_and_passwords_stay_where_nothing_could_start_with_new_ones(world: World) -> None:
    """No secret of theirs is there: either would end with another error if it went on."""
    needing_a_secret(world, ProcessName.API)
    for change in (keys.rotate, keys.finish):
        with pytest.raises(OperatorError, match="no value for STRIPE_KEY: no api would start"):
            change(world.aws, world.clock)


# From here on of stage local, whose values are in a file.


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "data"


def moor(*words: object) -> int:
    return main(["secrets", *map(str, words)])


def kept(home: Path) -> dict[str, str]:
    return LocalSecrets(home, {}).kept()


def typed(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))


def test_standard_input_is_taken_as_it_is_but_for_its_last_newline(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, f"-----\n{CANARY} \n-----\n\n".encode())
    assert moor("set", "PEM", "--stdin", "--home", home) == 0
    assert kept(home) == {"PEM": f"-----\n{CANARY} \n-----\n"}
    said = "".join(capsys.readouterr())
    assert CANARY not in said
    assert 'add "PEM" to `secrets = [...]`' in said
    assert stat.S_IMODE((home / "secrets.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("given", "says"),
    [(b"", "is empty"), (b"\n", "is empty"), (b"a\0b", "holds NUL"), (b"\xff", "not UTF-8"),
     (b"x" * 65_537, "65537 bytes")],
)  # fmt: skip
def test_what_can_be_no_value_is_refused(
    given: bytes, says: str, home: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    typed(monkeypatch, given)
    assert moor("set", "A", "--stdin", "--home", home) == 1
    assert says in capsys.readouterr().err
    assert kept(home) == {}


@pytest.mark.parametrize("words", [("A", CANARY), (f"A={CANARY}",), ("A", "B", "--stdin")])
def test_a_value_as_an_argument_is_refused_and_not_repeated(
    words: tuple[str, ...], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in ("set", "unset"):
        assert moor(verb, *words[: len(words) if verb == "set" else 2], "--home", home) == 2
    said = "".join(capsys.readouterr())
    assert CANARY not in said
    assert "give one name, and no value" in said


@pytest.mark.parametrize("name", ["stripe", "API_KEY", "AWS_PROFILE", "A-B"])
def test_a_name_that_can_be_none_is_refused(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, b"x")
    assert moor("set", name, "--stdin", "--home", home) == 2
    assert kept(home) == {}


def test_without_a_terminal_nobody_is_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, b"x")
    assert moor("set", "A", "--home", home) == 8
    LocalSecrets(home, {}).put("A", "x")
    assert moor("unset", "A", "--home", home) == 8
    assert kept(home) == {"A": "x"}
    assert moor("unset", "A", "--yes", "--home", home) == 0
    assert kept(home) == {}
    assert moor("unset", "A", "--yes", "--home", home) == 7


@pytest.mark.parametrize(("second", "code"), [(CANARY, 0), ("other", None)])
def test_a_terminal_is_asked_twice_and_shows_nothing(
    second: str, code: int | None, home: Path
) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        command = ["-m", "scripts.cli", "secrets", "set", "A", "--home", str(home)]
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, *command])
    said = b""
    for prompt, answer in ((b"A: ", CANARY), (b"Again: ", second)):
        while not said.endswith(prompt):
            said += os.read(terminal, 1024)
        os.write(terminal, f"{answer}\n".encode())
    with suppress(OSError):
        while code is not None and (more := os.read(terminal, 1024)):
            said += more
        while code is None and b"Error" not in said:
            said += os.read(terminal, 1024)
    os.close(terminal)
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert CANARY.encode() not in said
    assert kept(home) == ({"A": CANARY} if code == 0 else {})
    assert (ended == 0) == (code == 0)


DOTENV = f"""\
# of the old laptop
export STRIPE_KEY='{CANARY} $HOME "#x"'
SMTP="two\\nlines"
PORT=8000
EMPTY=
API_KEY={CANARY}
"""


def test_a_dotenv_file_is_read_name_by_name(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """In a project whose stages.toml lists two of them."""
    project = tmp_path / "project"
    project.mkdir()
    for name in ("scripts", "stacks", "service"):
        (project / name).symlink_to(ROOT / name)
    (project / ".env").write_text("\ufeff" + DOTENV)
    stages = 'secrets = ["STRIPE_KEY"]\n[local.worker.secrets]\nSMTP = "ssm:/smtp"\n'
    (project / "stages.toml").write_text(stages)

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "scripts.cli", "secrets", *words, "--home", str(home)],
            cwd=project, env={"PATH": "/bin", "PYTHONPATH": str(project)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert [row["state"] for row in json.loads(run("diff", "--json").stdout)] == ["missing"] * 2
    done = run("import", ".env", "--json")
    assert json.loads(done.stdout) == {
        "STRIPE_KEY": "set",
        "SMTP": "set",
        "PORT": "left out: stages.toml does not list it for stage local",
        "API_KEY": "left out: is set by Moorage or AWS; call yours otherwise",
    }
    assert kept(home) == {"STRIPE_KEY": f'{CANARY} $HOME "#x"', "SMTP": "two\nlines"}
    diff = run("diff")
    assert (diff.returncode, diff.stdout) == (0, "")
    listed = run("list")
    for each in (done, diff, listed):
        assert CANARY not in each.stdout + each.stderr
    names = [line.split()[0] for line in listed.stdout.splitlines()[1:]]
    assert names == ["STRIPE_KEY", "SMTP"]
    LocalSecrets(home, {}).put("OLD", "x")
    assert run("diff").returncode == 1
    assert "`moor restart` replaces them" in done.stderr


def test_a_file_that_is_none_is_named(home: Path, tmp_path: Path) -> None:
    assert moor("import", tmp_path / "none", "--home", home) == 2
    (tmp_path / "env").write_bytes(b"A=\xff")
    assert moor("import", tmp_path / "env", "--home", home) == 2


def test_a_process_is_given_its_own_and_the_terminal_counts_more(home: Path) -> None:
    stage = replace(read_stage(LOCAL_STAGE), secrets=LISTED)
    secrets = LocalSecrets(home, {"MAPS_KEY": "of the terminal", "OTHER": "x"})
    secrets.put("STRIPE_KEY", "kept")
    secrets.put("MAPS_KEY", "kept")
    both = {"STRIPE_KEY": "kept", "MAPS_KEY": "of the terminal"}
    assert secrets.values(stage, ProcessName.API) == both
    with pytest.raises(OperatorError, match=r"no value for SMTP$"):
        secrets.values(stage, WORKER)
    secrets.put("SMTP", "kept")
    assert secrets.values(stage) == both | {"SMTP": "kept"}


def test_a_broken_file_is_named_and_not_shown(home: Path) -> None:
    secrets = LocalSecrets(home, {})
    secrets.put("A", "x")
    secrets.file.write_text(f'{{"A": "{CANARY}')
    with pytest.raises(OperatorError) as refused:
        secrets.kept()
    assert CANARY not in str(refused.value)
    assert str(secrets.file) in str(refused.value)
