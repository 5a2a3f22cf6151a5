"""AWS in this process, by moto, with what the operator's commands look at."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from scripts.aws import Aws
from scripts.target import Target
from service.contract import ProcessName
from stacks.config.read_stage import read_stage

ACCOUNT, REGION = "123456789012", "us-east-1"  # moto's own
STAGE = read_stage("dev")
NAMES = STAGE.names


@pytest.fixture
def aws() -> Iterator[Aws]:
    """The stage dev, with nothing in it."""
    with mock_aws():
        yield Aws(Target(STAGE, region=REGION))


def client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]


def make_log_groups() -> None:
    """Those of API and worker, and the stacks, whose outputs say that there is no other pool."""
    stack = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    known = {each["StackName"] for each in client("cloudformation").describe_stacks()["Stacks"]}
    for name in {NAMES.data_stack, NAMES.service_stack} - known:
        client("cloudformation").create_stack(StackName=name, TemplateBody=stack)
    for process in (ProcessName.API, ProcessName.WORKER):
        client("logs").create_log_group(logGroupName=NAMES.log_group(process))


def write_lines(group: ProcessName, stream: str, *lines: tuple[int, str]) -> None:
    """Each with its time in milliseconds; the stream is made if it is not there."""
    logs = client("logs")
    name = NAMES.log_group(group)
    known = logs.describe_log_streams(logGroupName=name)["logStreams"]
    if stream not in {each["logStreamName"] for each in known}:
        logs.create_log_stream(logGroupName=name, logStreamName=stream)
    logs.put_log_events(
        logGroupName=name,
        logStreamName=stream,
        logEvents=[{"timestamp": at, "message": message} for at, message in lines],
    )
