"""What AWS refuses ends in one sentence: which right, which policy has it, what to do."""

from collections.abc import Callable, Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from scripts.cli import main
from scripts.errors import DeniedError
from scripts.terminal.options import SERVICES
from service.contract import ProcessName
from stacks.config.naming import Output
from stacks.config.operator_rights import RIGHTS, Level
from tests.agreement.aws_calls import Source, source_of_today
from tests.scripts.deployed import one_command
from tests.scripts.gate import Gate, gate
from tests.scripts.world import REGION, World, deployed, put_stack

Moor = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def source() -> Source:
    return source_of_today()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }.items():
            patch.setenv(name, value)
        with deployed(counts=(1, 1)) as found:
            secrets = boto3.client("secretsmanager")
            made = [secrets.create_secret(Name=name, SecretString="s") for name in "ab"]
            outputs = (Output.API_KEY_SECRET, Output.DATABASE_SECRET)
            arns = [each["ARN"] for each in made]
            for process in SERVICES:
                name = found.stage.names.log_group(process)
                boto3.client("logs").create_log_group(logGroupName=name)
            put_stack(found.stage.names.data_stack, dict(zip(outputs, arns, strict=True)))
            yield found


@pytest.fixture(scope="module")
def aws(world: World) -> Iterator[Gate]:
    """The stage dev at moto, with a gate before it."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        with gate(f"http://localhost:{server.get_host_and_port()[1]}") as found:
            yield found
    finally:
        server.stop()


@pytest.fixture
def moor(aws: Gate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Moor:
    """Runs `moor` at the gate; its exit code, and what it says."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    aws.allowed, aws.refused, aws.answers = None, set(), {}
    aws.asked.clear()

    def run(*words: str) -> tuple[int, str]:
        with one_command():
            code = main([words[0], "--stage", "dev", *words[1:]])
        return code, capsys.readouterr().err

    return run


def actions(*levels: Level) -> set[str]:
    return {action for each in RIGHTS if each.level in levels for action in each.actions}


@pytest.mark.parametrize(
    ("words", "refused", "says"),
    [
        (["status"], "ecs:DescribeServices", "the policy read of stage dev"),
        (["status"], "cloudwatch:GetMetricData", "the policy read of stage dev"),
        (["scale", "worker", "2"], "application-autoscaling:RegisterScalableTarget",
         "the policy operate of stage dev"),
        (["sleep"], "ecs:TagResource", "the policy operate of stage dev"),
        (["run", "--", "true"], "ecs:RunTask", "the policy debug of stage dev"),
        (["tasks"], "secretsmanager:GetSecretValue", "the policy operate of stage dev"),
    ],
)  # fmt: skip
def test_a_refused_call_is_named_with_the_policy_that_allows_it(
    moor: Moor, aws: Gate, words: list[str], refused: str, says: str
) -> None:
    aws.refused = {refused}
    code, said = moor(*words)
    assert code == DeniedError.exit_code, said
    (sentence,) = (line for line in said.splitlines() if line.startswith("error:"))
    assert sentence.startswith(f"error: these credentials may not call {refused}, which the polic")
    assert says in sentence
    assert "docs/operators.md" in sentence
    assert "is not authorized to perform" in said  # AWS's own words, below
    assert "sts get-caller-identity" in said


@pytest.mark.parametrize(
    "words",
    [["status"], ["deployments"], ["logs", "--since", "1m"]],
    ids=lambda words: str(words[0]),
)
def test_who_may_read_sees_a_stage(moor: Moor, aws: Gate, source: Source, words: list[str]) -> None:
    aws.allowed = actions(Level.READ)
    code, said = moor(*words)
    assert code == 0, said
    assert aws.asked
    assert set(aws.asked) <= {call.right for call in source.command(words[0])}


@pytest.mark.parametrize(
    "words",
    [["scale", "--yes", "worker", "2"], ["sleep", "--yes"], ["run", "--yes", "--", "true"]],
    ids=lambda words: str(words[0]),
)  # fmt: skip
def test_who_may_read_changes_nothing_whatever_he_types(
    moor: Moor, aws: Gate, world: World, words: list[str]
) -> None:
    aws.allowed = actions(Level.READ)
    code, said = moor(*words)
    assert code == DeniedError.exit_code, said
    assert world.service(ProcessName.WORKER).desired_count == 1
    assert set(aws.asked) - aws.allowed  # it was AWS that said no


def test_who_may_operate_scales(moor: Moor, aws: Gate, world: World, source: Source) -> None:
    aws.allowed = actions(Level.READ, Level.OPERATE)
    code, said = moor("scale", "--no-wait", "worker", "2")
    assert code == 0, said
    assert world.service(ProcessName.WORKER).desired_count == 2
    assert moor("scale", "--no-wait", "worker", "1")[0] == 0
    assert set(aws.asked) <= {call.right for call in source.command("scale")}
    assert moor("run", "--", "true")[0] == DeniedError.exit_code
