"""The policies of operators hold what `moor` calls, neither less nor more, of one stage alone."""

import json
import re
import textwrap
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from scripts.commands import COMMANDS
from stacks.config.naming import Output
from stacks.config.operator_rights import ANY, POLICIES, PROJECT_SECRET, RIGHTS, Level, Right
from tests.agreement.aws_calls import (
    LOCAL,
    OF_DEPLOYERS,
    Source,
    UnreadableCallError,
    source_of_today,
)
from tests.agreement.operators import differences, levels, tables
from tests.generated import COMMAND, written
from tests.stacks.templates import Templates, synthesize

# Calls for whose resource AWS has a kind, and none that ours have.
WITHOUT_OURS = {
    "ecs:ListTasks",  # a container instance: Fargate has none
    "cloudwatch:GetMetricData",  # a dataset
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
    "cloudwatch:DescribeAlarms",  # of composite alarms it wants a star
    "ecs:RegisterTaskDefinition",  # https://github.com/aws/containers-roadmap/issues/929
}
READING = re.compile(r"\w[\w-]*:(Describe|List|Get|Filter|Simulate)\w+")
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
POLICY_CHARACTERS = 6144


@pytest.fixture(scope="module")
def source() -> Source:
    return source_of_today()


@pytest.fixture(scope="module")
def templates() -> Templates:
    """The longest names that a stage may have, and a role more than elsewhere."""
    return synthesize("prod", operator_policies=True, app_name="a" * 20)


def test_policies_hold_what_commands_call_and_nothing_else(source: Source) -> None:
    assert list(differences(source.commands())) == []


def test_every_command_is_looked_at_and_most_call_something(source: Source) -> None:
    commands = source.commands()
    assert set(commands) | LOCAL | OF_DEPLOYERS == set(COMMANDS)
    assert {name for name, calls in commands.items() if not calls} == {"config", "cost"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('aws.call("ecs", "delete_service", service="x")',
         "`moor open` calls ecs:DeleteService (scripts.commands.open.planted): no policy has it"),
        ('list(aws.pages("ec2", "describe_instances", "Reservations"))',
         "`moor open` calls ec2:DescribeInstances (scripts.commands.open.planted): "
         "no policy has it"),
        ('aws.together(("sqs", "purge_queue", {"QueueUrl": "x"}))',
         "`moor open` calls sqs:PurgeQueue (scripts.commands.open.planted): no policy has it"),
        ('aws.call("secretsmanager", "get_secret_value", SecretId=aws.output(Output.UI_SECRET))',
         "`moor open` calls secretsmanager:GetSecretValue of UiSecret "
         "(scripts.commands.open.planted): no policy has it"),
    ],
)  # fmt: skip
def test_a_new_call_without_a_right_is_found(text: str, says: str) -> None:
    planted = f"def planted(aws):\n    {text}\n\ndef open_():\n    planted(connect('dev'))\n"
    source = Source(planted={"scripts/commands/open.py": planted})
    assert says in list(differences({"open": source.command("open")}))


@pytest.mark.parametrize(
    "text",
    [
        """
        def open_(service):
            connect("dev").call(service, "list_tasks")
        """,
        """
        def open_():
            connect("dev").call("ecs", "list_" + "tasks")
        """,
        """
        def open_():
            connect("dev").pages("ecs", "no_such_operation", "x")
        """,
    ],
)
def test_a_call_that_cannot_be_read_is_refused(text: str) -> None:
    source = Source(planted={"scripts/commands/open.py": textwrap.dedent(text)})
    with pytest.raises(UnreadableCallError, match="name service and operation here"):
        source.command("open")


@pytest.mark.parametrize(
    "right",
    [
        Right("Planted", Level.READ, ("s3:GetObject",)),
        Right("Planted", Level.OPERATE, ("ecs:DeleteService",), ("x",)),
        Right("Planted", Level.DEBUG, ("kms:Encrypt",), beside=("ecs:CreateService",)),
    ],
)
def test_a_right_that_no_command_uses_is_found(source: Source, right: Right) -> None:
    (action,) = right.actions
    assert list(differences(source.commands(), (*RIGHTS, right))) == [
        f"{right.level} has {action} (Planted), and no `moor` command calls it"
    ]


def test_a_right_that_is_taken_away_is_missed(source: Source) -> None:
    for right in RIGHTS:
        if not right.beside:
            rest = tuple(each for each in RIGHTS if each is not right)
            assert list(differences(source.commands(), rest)), right.sid


def test_read_only_reads() -> None:
    actions = [action for each in RIGHTS if each.level is Level.READ for action in each.actions]
    assert [action for action in actions if not READING.fullmatch(action)] == []
    assert "secretsmanager:GetSecretValue" not in actions


def test_commands_need_the_levels_that_the_page_names(source: Source) -> None:
    asked = {name: levels(name, calls) for name, calls in source.commands().items()}
    assert asked["status"] == asked["logs"] == asked["doctor"] == [Level.READ]
    assert asked["scale"] == asked["jobs"] == [Level.READ, Level.OPERATE]
    assert asked["secrets"] == [Level.READ, Level.OPERATE]
    assert asked["exec"] == asked["psql"] == asked["run"] == [Level.READ, Level.DEBUG]


def test_star_stands_only_where_aws_knows_no_resource() -> None:
    """By AWS's service authorization reference, as cfn-lint ships it."""
    package = find_spec("cfnlint")  # importing it takes seconds
    assert package
    assert package.origin
    file = Path(package.origin).parent / "data/AdditionalSpecs/Policies.json"
    reference: dict[str, Any] = json.loads(file.read_text("utf-8"))
    for right in RIGHTS:
        for action in right.actions:
            service, _, name = action.partition(":")
            kinds = reference[service]["Actions"][name.lower()].get("Resources", [])
            if right.on == ANY:
                assert not kinds or action in WITHOUT_OURS, action
            else:
                assert kinds, f"{action} knows no resource"


def statements(templates: Templates, level: Level) -> list[dict[str, Any]]:
    policy = templates.one("AWS::IAM::ManagedPolicy", f"Operators{level.capitalize()}")
    found: list[dict[str, Any]] = policy.get("PolicyDocument")["Statement"]
    return found


@pytest.mark.parametrize("level", Level)
def test_policies_are_made_of_the_table(templates: Templates, level: Level) -> None:
    made = {each["Sid"]: each for each in statements(templates, level)}
    wanted = {each.sid: each for each in RIGHTS if each.level is level}
    assert made.keys() == wanted.keys()
    for sid, right in wanted.items():
        found = made[sid]["Action"]
        assert {found} if isinstance(found, str) else set(found) == set(right.actions)
        assert made[sid].get("Condition", {}).keys() == right.conditions.keys()
        assert made[sid]["Effect"] == "Allow"
        assert re.findall(r"\{[a-z_]+\}", json.dumps(made[sid])) == []  # every word is filled in


@pytest.mark.parametrize("level", Level)
def test_a_policy_ends_at_its_stage(templates: Templates, level: Level) -> None:
    """By its name or its own resources; what no stage has is named here."""
    wide = {"SeeWhatHasNoResource", "SeeOneself", "CopyTaskDefinition", "MoveBounds"}
    for each in statements(templates, level):
        if each["Sid"] in wide | {"KeepOwnSession"}:
            continue
        given = each["Resource"] if isinstance(each["Resource"], list) else [each["Resource"]]
        for resource in given:
            text = json.dumps(resource if resource != "*" else each["Condition"])
            own = (
                f"{'a' * 20}-prod" in text
                or '"Ref"' in text.replace("AWS::", "")
                or ("Fn::GetAtt" in text or "AWS-StartPortForwarding" in text)
            )
            assert own, (each["Sid"], resource)


@pytest.mark.parametrize("level", Level)
def test_a_policy_is_not_longer_than_iam_takes(templates: Templates, level: Level) -> None:
    """With CloudFormation's words, which are longer than what stands for them in the end."""
    text = json.dumps(statements(templates, level), separators=(",", ":"))
    assert len(text) < POLICY_CHARACTERS


def test_policies_are_outputs_attached_to_nobody(templates: Templates) -> None:
    outputs = templates.outputs()
    for level, output in POLICIES.items():
        policy = templates.one("AWS::IAM::ManagedPolicy", f"Operators{level.capitalize()}")
        assert outputs[output]["Value"] == {"Ref": policy.id}
        assert not policy.properties.keys() & {"Roles", "Users", "Groups"}
    assert POLICIES.keys() == set(Level)


def test_sids_are_unique_in_a_policy() -> None:
    names = [(each.level, each.sid) for each in RIGHTS]
    assert len(names) == len(set(names))


def test_page_has_the_tables_of_today(source: Source) -> None:
    assert written("docs/operators.md") == tables(source), COMMAND


def test_a_secret_is_told_from_another() -> None:
    """Who operates may not read the database's password, and who debugs not the API's key."""
    levels_by_secret = {(each.output, each.level) for each in RIGHTS if each.output}
    assert levels_by_secret == {
        (Output.API_KEY_SECRET, Level.OPERATE), (Output.DATABASE_SECRET, Level.DEBUG),
        (PROJECT_SECRET, Level.READ), (PROJECT_SECRET, Level.OPERATE),
    }  # fmt: skip
