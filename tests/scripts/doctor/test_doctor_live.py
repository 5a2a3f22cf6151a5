"""`moor doctor` on a deployed stage: our own templates, made in an imitation of AWS."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import boto3
import httpx
import pytest

from scripts.aws import connect
from scripts.doctor.live_system import read_live_system
from scripts.doctor.model import System
from scripts.doctor.queue import read_readiness, ready_reason
from scripts.doctor.rule import judge
from scripts.doctor.rules import RULES
from scripts.doctor.synthesized_system import read_system
from scripts.twin.iam.access_keys import AccessKey
from stacks.config.read_stage import read_stage
from tests.conftest import ROOT
from tests.ports import free_port
from tests.scripts.deployed import one_command
from tests.scripts.prefixes import DEV_PREFIX
from tests.stacks.templates import of_stage

NOW = datetime.now(UTC)
START_SECONDS = 60
ACCOUNT = "123456789012"  # moto's
# What moto does not keep of an ECS service or simulate of IAM, and what nobody has measured in it.
BLIND = {"start-session-allowed", "worker-deaf", "breaker-off", "exec-no-channel"}
FOUND = {"api-not-ready", "tasks-missing"}  # nobody runs there


@pytest.fixture(scope="module")
def cloud() -> Iterator[str]:
    """The imitation as a process of its own; it mends moto wherever it runs."""
    port = free_port()
    endpoint, key = f"http://localhost:{port}", AccessKey.new()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": key.id,
            "AWS_SECRET_ACCESS_KEY": key.secret,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        command = [sys.executable, "-m", "scripts.twin.cloud", str(port)]
        process = subprocess.Popen(command, cwd=ROOT)
        try:
            _await(endpoint, process)
            _deploy("dev")
            yield endpoint
        finally:
            process.terminate()
            process.wait(20)


def _await(endpoint: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            httpx.get(f"{endpoint}/")
            return
        except httpx.TransportError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)


def _deploy(stage: str) -> None:
    """The stage's three stacks, as CloudFormation gets them from the CDK."""
    with closing(boto3.Session().client("ssm")) as ssm:
        ssm.put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String")
    with closing(boto3.Session().client("s3")) as s3:
        s3.create_bucket(Bucket=f"cdk-hnb659fds-assets-{ACCOUNT}-us-east-1")
    templates = of_stage(stage)
    with closing(boto3.Session().client("cloudformation")) as cloudformation:
        for kind in ("network", "data", "service"):
            cloudformation.create_stack(
                StackName=f"{templates.stage.names.prefix}-{kind}",
                TemplateBody=json.dumps(templates.stacks[kind]),
                Capabilities=["CAPABILITY_NAMED_IAM"],
            )


@pytest.fixture
def live(cloud: str) -> System:
    with one_command():
        return read_live_system(connect("dev"), now=NOW, ca_ends=None)


def _values(system: System) -> list[dict[str, Any]]:
    """What both ways of looking must agree on."""
    return [
        {
            "process": s.process, "least": s.least, "most": s.most,
            "percent": (s.least_healthy_percent, s.most_percent), "balancer": s.has_balancer,
            "address": s.has_public_address, "spot": s.uses_spot,
            "architecture": s.definition.architecture,
            "containers": [
                replace(c, image="", environment={}, secrets={}, log_options={})
                for c in s.definition.containers
            ],
            "environment": [sorted(c.environment) for c in s.definition.containers],
            "secrets": [sorted(c.secrets) for c in s.definition.containers],
            "policies": sorted(s.policies, key=lambda policy: policy.metric),
        }
        for s in sorted(system.services or (), key=lambda service: service.name)
    ]  # fmt: skip


def test_a_deployed_stage_has_the_normal_form_of_its_template(live: System) -> None:
    template = read_system(of_stage("dev").folder, read_stage("dev"), now=NOW, ca_ends=None)
    assert _values(live) == _values(template)
    assert live.target_group is not None
    assert template.target_group is not None
    assert live.target_group == template.target_group
    assert live.database is not None
    assert template.database is not None
    unlike: dict[str, Any] = {"master_secret": "", "force_ssl": "", "has_proxy": False}
    assert replace(live.database, **unlike) == replace(template.database, **unlike)
    assert live.network is not None
    assert template.network is not None
    assert (live.network.zones, live.network.nat_gateways, live.network.endpoints) == (
        template.network.zones,
        template.network.nat_gateways,
        template.network.endpoints,
    )


def test_roles_of_a_deployed_stage_are_read(live: System) -> None:
    for service in live.services or ():
        assert service.definition.task_role is not None
        assert service.definition.task_role.statements
    report = judge(RULES, live)
    assert {"role-too-wide", "secret-unreadable"} <= set(report.passed)


def test_a_stage_that_nobody_runs_says_so_and_nothing_else(live: System) -> None:
    # There is no container here: the API's address leads nowhere.
    report = judge(RULES, live)
    assert {finding.id for finding in report.findings} <= FOUND
    assert "api-not-ready" in {finding.id for finding in report.findings}
    assert report.not_checked.keys() >= BLIND
    assert "no-worker" in report.not_checked


def test_a_part_that_is_refused_is_said_and_the_rest_is_judged(cloud: str) -> None:
    with closing(boto3.Session().client("rds")) as rds:
        rds.modify_db_cluster(
            DBClusterIdentifier=DEV_PREFIX, NewDBClusterIdentifier="somebody-elses"
        )
    try:
        with one_command():
            found = read_live_system(connect("dev"), now=NOW, ca_ends=None)
    finally:
        with closing(boto3.Session().client("rds")) as rds:
            rds.modify_db_cluster(
                DBClusterIdentifier="somebody-elses", NewDBClusterIdentifier=DEV_PREFIX
            )
    report = judge(RULES, found)
    assert DEV_PREFIX in report.not_checked["database-unencrypted"]
    assert "stop-timeout" in report.passed


def test_a_stopped_task_and_a_failed_deployment_reach_the_rules(live: System) -> None:
    assert live.stopped == ()
    assert live.rollouts is not None
    assert set(live.rollouts) == {
        f"{DEV_PREFIX}-api-service",
        f"{DEV_PREFIX}-worker-service",
    }


def test_what_is_not_ready_is_named() -> None:
    parts = {"database": "ready", "queue": "TimeoutError"}
    assert ready_reason({"status": "not ready", "parts": parts}) == "queue: TimeoutError"
    assert "does not answer" in read_readiness("http://127.0.0.1:1")
