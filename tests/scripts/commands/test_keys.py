"""`moor keys`: from one key to another, step by step, whatever interrupts it."""

import json
from collections.abc import Iterator

import boto3
import pytest

from scripts.aws import Aws
from scripts.commands.keys import LENGTH, finish, is_accepted, read_keys, rotate
from scripts.errors import OperatorError, RefusedError
from service.contract import ProcessName
from stacks.config.naming import Output
from tests.conftest import Processes
from tests.scripts.deployed import Moor
from tests.scripts.world import REGION, World, deployed, put_stack
from tests.service.api.api_process import API_KEY, Api, start_api

pytest_plugins = ["tests.service.api.conftest_api", "tests.scripts.conftest_deployed"]

API = ProcessName.API


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """With a secret that has one key."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with deployed() as found:
        secret = boto3.client("secretsmanager").create_secret(Name="key", SecretString=API_KEY)
        names = found.stage.names
        put_stack(names.data_stack, {Output.API_KEY_SECRET: secret["ARN"]})
        yield found


def anew(world: World, url: str = "http://127.0.0.1:9") -> Aws:
    """As the next command sees the stage, with its API at `url`."""
    put_stack(world.stage.names.service_stack, {Output.URL: url})
    return Aws(world.aws.target)


def test_a_key_is_changed_in_two_steps_each_with_a_restart_of_the_api(
    world: World, processes: Processes, capfd: pytest.CaptureFixture[str]
) -> None:
    workers = {task.id for task in world.tasks(ProcessName.WORKER)}
    old = {task.id for task in world.tasks(API)}
    rotate(anew(world), world.clock)
    world.settle()
    keys = read_keys(anew(world))
    assert (keys[0], len(keys), len(keys[1])) == (API_KEY, 2, LENGTH)
    between = {task.id for task in world.tasks(API)}
    assert not old & between
    api = start_api(processes, STAGE="dev", API_KEY=" ".join(keys))
    aws = anew(world, api.url)
    assert is_accepted(aws, keys[0])
    assert is_accepted(aws, keys[1])
    finish(aws, world.clock)
    world.settle()
    assert read_keys(aws) == keys[1:]
    assert not between & {task.id for task in world.tasks(API)}
    assert workers == {task.id for task in world.tasks(ProcessName.WORKER)}
    said = "".join(capfd.readouterr())
    assert "moor keys finish" in said
    assert not any(key in said for key in keys)


def test_an_interrupted_rotation_goes_on_with_the_same_key(world: World) -> None:
    world.interrupt_after = 0
    with pytest.raises(KeyboardInterrupt):
        rotate(anew(world), world.clock)
    keys = read_keys(anew(world))
    world.interrupt_after = None
    rotate(anew(world), world.clock)
    assert read_keys(anew(world)) == keys


def test_the_old_key_stays_while_the_api_does_not_know_the_new_one(
    world: World, guarded_api: Api
) -> None:
    world.interrupt_after = 0
    with pytest.raises(KeyboardInterrupt):
        rotate(anew(world), world.clock)
    with pytest.raises(RefusedError, match="not every ECS task of the API accepts the new key"):
        finish(anew(world, guarded_api.url), world.clock)
    assert len(read_keys(anew(world))) == 2


def test_finish_with_one_key_changes_nothing(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    finish(anew(world), world.clock)
    assert read_keys(anew(world)) == [API_KEY]
    assert "there is one key" in capfd.readouterr().err


@pytest.mark.parametrize("content", ["a b c", " "])
def test_a_secret_that_is_no_key_is_refused_without_a_part_of_it(
    world: World, content: str
) -> None:
    boto3.client("secretsmanager").put_secret_value(SecretId="key", SecretString=content)
    with pytest.raises(OperatorError, match=r"has [03] words") as caught:
        rotate(anew(world), world.clock)
    assert content.strip() not in str(caught.value) or not content.strip()


def test_status_says_which_keys_the_api_takes_and_shows_none(
    deployed: Api, moor: Moor, capfd: pytest.CaptureFixture[str]
) -> None:
    new = "n" * LENGTH
    boto3.client("secretsmanager").put_secret_value(
        SecretId="dev-key", SecretString=f"{API_KEY} {new}"
    )
    assert moor("keys", "status", "--stage", "dev", "--json") == 0
    shown = capfd.readouterr().out
    assert json.loads(shown) == [
        {"key": "old", "is_accepted": True},
        {"key": "new", "is_accepted": False},
    ]
    assert moor("keys", "status", "--stage", "dev") == 0
    shown += "".join(capfd.readouterr())
    assert "not everywhere" in shown
    assert API_KEY not in shown
    assert new not in shown
    assert moor("tasks", "--stage", "dev") == 0  # with the old key, which is the first
