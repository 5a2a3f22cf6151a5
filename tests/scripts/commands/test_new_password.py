"""`moor new-password`: which version of the secret is where after each step."""

import json
from typing import Any

import pytest

from scripts.aws import Aws
from scripts.clock import Clock
from scripts.commands.new_password import make_current, pending_version, run, versions
from scripts.errors import OperatorError, RefusedError
from scripts.session.database_access import read_database
from service.contract import ProcessName
from tests.scripts.cloud import aws, client
from tests.scripts.stage import USER_SECRET, definition, make_stage

__all__ = ["aws"]

USER = read_database(definition(ProcessName.WORKER))
CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"


def held(label: str) -> dict[str, str]:
    answer = client("secretsmanager").get_secret_value(SecretId=USER_SECRET, VersionStage=label)
    found: dict[str, str] = json.loads(answer["SecretString"])
    return found


def labels(aws: Aws) -> dict[str, str]:
    """Version by label."""
    return {label: id for id, found in versions(aws, USER).items() for label in found}


def test_a_new_password_waits_beside_the_one_in_use_and_then_takes_its_place(aws: Aws) -> None:
    make_stage()
    version = pending_version(aws, USER)
    assert held(CURRENT)["password"] == "s3cret"
    new = held(PENDING)
    assert new["username"] == "moorage_app"
    assert len(new["password"]) == 40
    assert new["password"].isalnum()
    make_current(aws, USER, version)
    assert held(CURRENT) == new
    assert held(PREVIOUS)["password"] == "s3cret"
    assert PENDING not in labels(aws)


def test_what_was_interrupted_goes_on_with_the_version_that_postgres_may_have(
    aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    make_stage()
    version = pending_version(aws, USER)
    assert pending_version(aws, USER) == version
    assert "an interrupted rotation goes on" in capsys.readouterr().err
    make_current(aws, USER, version)
    assert pending_version(aws, USER) != version


def test_a_label_that_another_rotation_left_on_the_current_version_is_no_rotation(
    aws: Aws,
) -> None:
    make_stage()
    current = labels(aws)[CURRENT]
    client("secretsmanager").update_secret_version_stage(
        SecretId=USER_SECRET, VersionStage=PENDING, MoveToVersionId=current
    )
    version = pending_version(aws, USER)
    assert version != current
    make_current(aws, USER, version)
    assert labels(aws)[CURRENT] == version


def test_a_stage_whose_processes_are_the_owner_is_told_how_to_get_a_user(aws: Aws) -> None:
    make_stage()
    given: dict[str, Any] = definition(ProcessName.WORKER, has_one_user=True)
    made = client("ecs").register_task_definition(**given)["taskDefinition"]
    assert made["revision"] == 2
    client("cloudformation").update_stack(
        StackName=aws.names.service_stack,
        TemplateBody=json.dumps(
            {
                "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
                "Outputs": {"WorkerTaskDefinition": {"Value": made["taskDefinitionArn"]}},
            }
        ),
    )
    with pytest.raises(RefusedError, match="as the database's owner") as refused:
        run(aws, Clock())
    assert "cdk deploy" in refused.value.hint
    assert list(versions(aws, USER).values()) == [[CURRENT]]


def test_no_password_is_made_where_the_migrations_could_not_start(aws: Aws) -> None:
    make_stage()
    given: dict[str, Any] = definition(ProcessName.WORKER)
    missing = f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{aws.names.secret('SMTP')}"
    given["containerDefinitions"][0]["secrets"] = [{"name": "SMTP", "valueFrom": missing}]
    made = client("ecs").register_task_definition(**given)["taskDefinition"]
    client("ecs").update_service(
        cluster=aws.names.cluster,
        service=aws.names.service(ProcessName.WORKER),
        taskDefinition=made["taskDefinitionArn"],
    )
    with pytest.raises(OperatorError, match="no value for SMTP: no worker would start"):
        run(aws, Clock())
    assert list(versions(aws, USER).values()) == [[CURRENT]]
