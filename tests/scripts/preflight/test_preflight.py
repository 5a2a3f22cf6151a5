"""`moor preflight` and `moor leftovers` as an operator runs them, on moto for AWS."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import boto3
import pytest

from tests.scripts.deployed import Moor
from tests.scripts.prefixes import DEV_PREFIX, PROD_PREFIX
from tests.stacks.templates import of_stage

pytest_plugins = ["tests.scripts.conftest_deployed", "tests.service.api.conftest_api"]

OURS = (f"/ecs/{PROD_PREFIX}-api", f"/aws/rds/cluster/{PROD_PREFIX}/postgresql")
AWS_MADE = f"/aws/lambda/{PROD_PREFIX}-network-CustomVpcRestrict-1a2b"
OTHERS = (f"/ecs/{PROD_PREFIX}-api-2", f"/ecs/{PROD_PREFIX}-eu-api", f"/ecs/{DEV_PREFIX}-api")


@pytest.fixture
def logs(aws: str) -> Iterator[Any]:
    with closing(boto3.Session().client("logs")) as client:
        yield client


def names(logs: Any) -> set[str]:
    return {group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]}


def test_an_empty_account_is_told_what_a_first_deploy_needs(
    aws: str, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = of_stage("dev").folder
    assert moor("preflight", "--stage", "dev", "--template", folder, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    found = {each["id"]: each for each in report["findings"]}
    assert found["not-bootstrapped"]["severity"] == "error"
    assert "npx cdk bootstrap" in found["not-bootstrapped"]["fix"]
    assert "service-role-missing" in found
    assert {"left-behind", "stack-stuck", "zones-missing", "change-refused"} <= set(
        report["passed"]
    )


def test_what_is_left_behind_is_found_before_the_deploy_and_goes_when_asked(
    aws: str, logs: Any, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (*OURS, AWS_MADE, *OTHERS):
        logs.create_log_group(logGroupName=name)
    folder = of_stage("prod").folder
    assert moor("preflight", "--stage", "prod", "--template", folder, "--json") == 1
    said = [
        each["message"]
        for each in json.loads(capsys.readouterr().out)["findings"]
        if each["id"] == "left-behind"
    ]
    assert [next(name for name in OURS if name in each) for each in said] == [OURS[1], OURS[0]]
    assert moor("leftovers", "--stage", "prod", "--delete") == 8
    assert names(logs) == {*OURS, AWS_MADE, *OTHERS}, "nobody was asked"
    capsys.readouterr()
    assert moor("leftovers", "--stage", "prod", "--json") == 0
    listed = {each["name"] for each in json.loads(capsys.readouterr().out)}
    assert listed == {*OURS, AWS_MADE}
    assert moor("leftovers", "--stage", "prod", "--delete", "--yes") == 0
    assert names(logs) == set(OTHERS)
    assert moor("leftovers", "--stage", "prod") == 0
    assert "Nothing of stage prod is left" in capsys.readouterr().err


def test_a_live_stage_has_no_leftovers_and_its_change_is_judged(
    aws: str, moor: Moor, capsys: pytest.CaptureFixture[str]
) -> None:
    group = {
        "Type": "AWS::Logs::LogGroup",
        "Properties": {"LogGroupName": f"/ecs/{DEV_PREFIX}-api"},
    }
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "old-name"}}
    with closing(boto3.Session().client("cloudformation")) as cloudformation:
        cloudformation.create_stack(
            StackName=f"{DEV_PREFIX}-data",
            TemplateBody=json.dumps({"Resources": {"Group": group, "Bucket": bucket}}),
        )
    assert moor("leftovers", "--stage", "dev") == 8
    capsys.readouterr()
    folder = of_stage("dev").folder
    assert moor("preflight", "--stage", "dev", "--template", folder, "--json") == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    refused = [each["message"] for each in found if each["id"] == "change-refused"]
    assert any("data/Bucket (AWS::S3::Bucket) would be deleted" in each for each in refused), (
        refused
    )
    assert "left-behind" not in {each["id"] for each in found}


def test_the_local_stage_needs_neither(moor: Moor) -> None:
    assert moor("preflight", "--stage", "local") == 2
    assert moor("leftovers", "--stage", "local") == 2
