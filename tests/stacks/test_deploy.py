"""A real `cdk bootstrap`, `deploy`, second `deploy` and `destroy`, against an imitation of AWS.

The exit status alone proves little there, so what was made is looked up through the APIs.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from scripts.delivery import github
from scripts.delivery.plan import Deployment
from scripts.twin.iam.access_keys import AccessKey
from service.contract import EnvVar, ProcessName, UiSecretField
from stacks.config.naming import Output
from stacks.config.pipeline import ROLE_OUTPUT
from stacks.config.read_stage import read_stage
from tests.conftest import ROOT
from tests.ports import free_port
from tests.project import copy
from tests.sample import MADE
from tests.stacks.rules.monitoring import wanted_alarms

ACCOUNT, REGION = "123456789012", "us-east-1"
STAGE = read_stage("local")
NAMES = STAGE.names
CDK = ROOT / "node_modules/.bin/cdk"


@dataclass
class Cloud:
    """The imitation, and the CDK's command line pointed at it."""

    port: int
    folder: Path
    key: AccessKey = field(default_factory=AccessKey.new)

    @property
    def environment(self) -> dict[str, str]:
        kept = {"HOME", "TMPDIR", "LANG"}
        given = {name: value for name, value in os.environ.items() if name in kept}  # noqa: TID251
        return {
            **given,
            # the Node of the virtual environment, and its Python for app.py
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # noqa: TID251
            # by name: moto takes the first part of an address for the name of a bucket
            "AWS_ENDPOINT_URL": f"http://localhost:{self.port}",
            "AWS_ACCESS_KEY_ID": self.key.id,
            "AWS_SECRET_ACCESS_KEY": self.key.secret,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "CDK_DOCKER": "false",  # an image that is named is not built
        }

    @property
    def assembly(self) -> Path:
        """What the last command has synthesized."""
        return self.folder / "cdk.out"

    def cdk(self, *arguments: str, cwd: Path = ROOT) -> str:
        """What the command printed; fails where it does."""
        result = subprocess.run(
            [CDK, *arguments, "--no-notices", "--context=stage=local",
             f"--output={self.assembly}"],
            cwd=cwd, env=self.environment, capture_output=True, text=True, check=False,
            timeout=300,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def deploy(self, image: str = "moorage:first", **settings: object) -> dict[str, str]:
        """Deploys all stacks; the outputs by key, as the command wrote them down."""
        context = [
            f"--context={key}={value}" for key, value in (settings | {"image": image}).items()
        ]
        self.cdk(
            "deploy", "--all", "--require-approval=never", "--method=direct",
            f"--outputs-file={self.outputs_file}", *context,
        )  # fmt: skip
        return self.outputs()

    def deploy_as_a_pipeline(self, image: str = "moorage:first") -> dict[str, str]:
        """The same by the last step of what `moor ci github` writes, in a clone of the project."""
        plan = [Deployment("local", is_protected=False, is_arm=False)]
        workflow = yaml.safe_load(github.workflow(plan, branch="main", by_hand=False))
        step: str = workflow["jobs"]["deploy-local"]["steps"][-1]["run"]
        options = f"--method=direct --output={self.assembly} --outputs-file={self.outputs_file}"
        clone = self.folder / "clone"
        copy(clone, has=lambda file: file.parts[0] != "tests")
        for made in MADE:
            (clone / made).symlink_to(ROOT / made)
        result = subprocess.run(
            ["bash", "-e", "-c", f"{step.rstrip()} {options} -c image={image}"],
            cwd=clone, env=self.environment, capture_output=True, text=True, check=False,
            timeout=300,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr
        return self.outputs()

    @property
    def outputs_file(self) -> Path:
        return self.folder / "outputs.json"

    def outputs(self) -> dict[str, str]:
        """What the last deployment wrote down, of all stacks."""
        found: dict[str, dict[str, str]] = json.loads(self.outputs_file.read_text())
        return {key: value for stack in found.values() for key, value in stack.items()}

    def client(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=f"http://localhost:{self.port}",
            region_name=REGION,
            aws_access_key_id=self.key.id,
            aws_secret_access_key=self.key.secret,
        )

    def service(self, process: ProcessName) -> dict[str, Any]:
        """An ECS service, as it is now."""
        (found,) = self.client("ecs").describe_services(
            cluster=NAMES.cluster, services=[NAMES.service(process)]
        )["services"]
        assert isinstance(found, dict)
        return found

    def deployed_service(self, process: ProcessName) -> dict[str, Any]:
        """What CloudFormation was told of it."""
        body = self.client("cloudformation").get_template(StackName=NAMES.service_stack)
        template = body["TemplateBody"]
        resources = (json.loads(template) if isinstance(template, str) else template)["Resources"]
        (found,) = [
            each["Properties"]
            for each in resources.values()
            if each["Properties"].get("ServiceName") == NAMES.service(process)
        ]
        assert isinstance(found, dict)
        return found


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The imitation, bootstrapped."""
    folder = tmp_path_factory.mktemp("cloud")
    made = Cloud(free_port(), folder)
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "scripts.twin.cloud", str(made.port)],
            cwd=ROOT, env=made.environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", made.port)) == 0:
                    break
            assert time.monotonic() < deadline, (folder / "server.log").read_text()
            time.sleep(0.1)
        # In the project's folder the CDK would synthesize first.
        made.cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}", cwd=folder)
        yield made
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(10)


@pytest.fixture(scope="module")
def outputs(cloud: Cloud) -> dict[str, str]:
    """What the first deployment told."""
    return cloud.deploy_as_a_pipeline()


def test_three_stacks_are_deployed(cloud: Cloud, outputs: dict[str, str]) -> None:
    stacks = cloud.client("cloudformation").describe_stacks()["Stacks"]
    found = {each["StackName"]: each for each in stacks}
    for name in (NAMES.network_stack, NAMES.data_stack, NAMES.service_stack):
        assert found[name]["StackStatus"] == "CREATE_COMPLETE"
    of_others = {
        Output.EXEC_COMMAND, Output.DEBUG_ROLE, Output.WORKER_POOLS,
        Output.READ_POLICY, Output.OPERATE_POLICY, Output.DEBUG_POLICY,
    }  # fmt: skip
    assert set(Output) - of_others <= set(outputs)


def test_both_ecs_services_run_what_was_synthesized(cloud: Cloud, outputs: dict[str, str]) -> None:
    for process in (ProcessName.API, ProcessName.WORKER):
        service = cloud.service(process)
        assert service["desiredCount"] == 1
        # moto's answer leaves the strategy out
        asked = cloud.deployed_service(process)
        (provider,) = asked["CapacityProviderStrategy"]
        assert (provider["CapacityProvider"], provider["Weight"]) == ("FARGATE", 1)
        assert "LaunchType" not in asked
        network = service["networkConfiguration"]["awsvpcConfiguration"]
        assert len(network["subnets"]) == 2
        definition = cloud.client("ecs").describe_task_definition(
            taskDefinition=service["taskDefinition"]
        )["taskDefinition"]
        migrate, main = definition["containerDefinitions"]
        assert migrate["name"] == ProcessName.MIGRATE
        assert main["name"] == process
        assert main["stopTimeout"] == 120
        told = {each["name"]: each["value"] for each in main["environment"]}
        assert told[EnvVar.STAGE] == "local"
        assert outputs[Output.DATABASE_ENDPOINT] in told[EnvVar.DATABASE_URL]
        assert told[EnvVar.DATABASE_SECRET_ARN] == outputs[Output.DATABASE_USER_SECRET]
        assert told[EnvVar.BUCKET] == outputs[Output.BUCKET]
    (target,) = cloud.service(ProcessName.API)["loadBalancers"]
    groups = cloud.client("elbv2").describe_target_groups()["TargetGroups"]
    assert target["targetGroupArn"] in {group["TargetGroupArn"] for group in groups}


def test_credentials_are_where_the_containers_look(cloud: Cloud, outputs: dict[str, str]) -> None:
    def secret(arn: str) -> str:
        text = cloud.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
        assert isinstance(text, str)
        return text

    assert len(secret(outputs[Output.API_KEY_SECRET])) == 40
    pages = json.loads(secret(outputs[Output.UI_SECRET]))
    assert pages[UiSecretField.USERNAME] == "operator"
    assert len(pages[UiSecretField.PASSWORD]) == 40
    owner, user = (
        json.loads(secret(outputs[output]))
        for output in (Output.DATABASE_SECRET, Output.DATABASE_USER_SECRET)
    )
    assert owner["username"] != user["username"] == "moorage_app"
    assert owner["password"] != user["password"]


def test_database_bucket_and_logs_are_as_synthesized(cloud: Cloud, outputs: dict[str, str]) -> None:
    (cluster,) = cloud.client("rds").describe_db_clusters()["DBClusters"]
    assert cluster["DBClusterIdentifier"] == NAMES.database
    assert cluster["StorageEncrypted"] is True
    assert cluster["ServerlessV2ScalingConfiguration"] == {"MinCapacity": 0.5, "MaxCapacity": 2}
    policy = cloud.client("s3").get_bucket_policy(Bucket=outputs[Output.BUCKET])["Policy"]
    assert "aws:SecureTransport" in policy
    groups = {
        each["logGroupName"]: each.get("retentionInDays")
        for each in cloud.client("logs").describe_log_groups()["logGroups"]
    }
    for process in (ProcessName.API, ProcessName.WORKER):
        assert groups[NAMES.log_group(process)] == STAGE.log_retention_days


def test_alarms_and_scaling_are_there(cloud: Cloud, outputs: dict[str, str]) -> None:
    alarms = cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]
    told = [each for each in alarms if each["AlarmActions"] == [outputs[Output.ALARM_TOPIC]]]
    assert len(told) == len(wanted_alarms(STAGE))
    assert all("docs/runbook.md#" in each["AlarmDescription"] for each in told)
    targets = cloud.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="ecs"
    )["ScalableTargets"]
    assert {(each["MinCapacity"], each["MaxCapacity"]) for each in targets} == {(1, 4)}
    assert len(targets) == 2


def test_commands_in_the_outputs_answer(cloud: Cloud, outputs: dict[str, str]) -> None:
    ecs = cloud.client("ecs")
    ecs.update_service(
        cluster=outputs[Output.CLUSTER], service=outputs[Output.WORKER_SERVICE], desiredCount=2
    )
    assert cloud.service(ProcessName.WORKER)["desiredCount"] == 2
    assert (
        cloud.client("logs").describe_log_streams(logGroupName=outputs[Output.WORKER_LOG_GROUP])[
            "logStreams"
        ]
        == []
    )


def test_the_role_of_a_pipeline_is_deployed_and_its_provider_stays(cloud: Cloud) -> None:
    cloud.cdk(
        "deploy", f"--app={sys.executable} -m stacks.delivery", "--require-approval=never",
        "--method=direct", f"--outputs-file={cloud.outputs_file}", "--context=github=acme/shop",
    )  # fmt: skip
    name = cloud.outputs()[ROLE_OUTPUT].rpartition("/")[2]
    iam = cloud.client("iam")

    (statement,) = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    (provider,) = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    assert statement["Principal"] == {"Federated": provider["Arn"]}
    (policy,) = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    document = iam.get_policy_version(PolicyArn=policy["PolicyArn"], VersionId="v1")
    (allowed,) = document["PolicyVersion"]["Document"]["Statement"]
    bootstrapped = {each["Arn"] for each in iam.list_roles()["Roles"]}
    assert set(allowed["Resource"]) < bootstrapped  # the names are those of `cdk bootstrap`

    cloud.client("cloudformation").delete_stack(StackName=NAMES.delivery_stack)
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == [provider]


@pytest.fixture(scope="module")
def deployed_again(cloud: Cloud, outputs: dict[str, str]) -> dict[str, str]:
    """A second deployment, with another number of workers and another image."""
    return cloud.deploy(worker_desired_count=3, image="moorage:next")


def test_a_second_deploy_changes_the_count_and_moves_the_services(
    cloud: Cloud, outputs: dict[str, str], deployed_again: dict[str, str]
) -> None:
    assert cloud.service(ProcessName.WORKER)["desiredCount"] == 3
    assert cloud.service(ProcessName.API)["desiredCount"] == 1
    for process, key in (
        (ProcessName.API, Output.API_TASK_DEFINITION),
        (ProcessName.WORKER, Output.WORKER_TASK_DEFINITION),
    ):
        arn = cloud.service(process)["taskDefinition"]
        assert arn == deployed_again[key] != outputs[key]
        definition = cloud.client("ecs").describe_task_definition(taskDefinition=arn)
        images = {each["image"] for each in definition["taskDefinition"]["containerDefinitions"]}
        assert images == {"moorage:next"}
    for key in (Output.BUCKET, Output.DATABASE_ENDPOINT, Output.API_KEY_SECRET):
        assert deployed_again[key] == outputs[key]  # what holds data stays


@pytest.mark.usefixtures("deployed_again")
def test_destroy_leaves_nothing_that_costs(cloud: Cloud) -> None:
    cloud.cdk("destroy", "--all", "--force", f"--app={cloud.assembly}")

    stacks = cloud.client("cloudformation").describe_stacks()["Stacks"]
    assert {each["StackName"] for each in stacks} == {"CDKToolkit"}
    clusters = cloud.client("ecs").describe_clusters(clusters=[NAMES.cluster])["clusters"]
    assert {each["status"] for each in clusters} <= {"INACTIVE"}  # ECS remembers it for a while
    assert cloud.client("rds").describe_db_clusters()["DBClusters"] == []
    assert cloud.client("elbv2").describe_load_balancers()["LoadBalancers"] == []
    assert cloud.client("elbv2").describe_target_groups()["TargetGroups"] == []
    assert cloud.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    assert cloud.client("secretsmanager").list_secrets()["SecretList"] == []
    networks = cloud.client("ec2").describe_vpcs()["Vpcs"]
    assert [each for each in networks if not each["IsDefault"]] == []
    buckets = [each["Name"] for each in cloud.client("s3").list_buckets()["Buckets"]]
    assert [name for name in buckets if not name.startswith("cdk-")] == []
    groups = cloud.client("logs").describe_log_groups()["logGroups"]
    assert [each for each in groups if NAMES.prefix in each["logGroupName"]] == []


# --- a stack whose resource fails says why, as on AWS: the CDK would ask again otherwise ---

TOPIC = {"Type": "AWS::SNS::Topic"}
BAD = {"Type": "AWS::RDS::DBCluster", "Properties": {"Engine": "nonsense", "MasterUsername": "x"}}


def template(**resources: Any) -> str:
    return json.dumps({"Resources": resources})


def reasons(cloudformation: Any, name: str, status: str) -> list[str]:
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    return [each["ResourceStatusReason"] for each in events if each["ResourceStatus"] == status]


def test_a_stack_that_cannot_be_made_says_why_and_can_be_deleted(cloud: Cloud) -> None:
    cloudformation, name = cloud.client("cloudformation"), f"bad-{secrets.token_hex(4)}"

    cloudformation.create_stack(StackName=name, TemplateBody=template(Topic=TOPIC, Bad=BAD))

    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    (reason,) = reasons(cloudformation, name, "CREATE_FAILED")
    assert "DBClusterIdentifier" in reason
    cloudformation.delete_stack(StackName=name)
    cloudformation.create_stack(StackName=name, TemplateBody=template(Topic=TOPIC))
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    cloudformation.delete_stack(StackName=name)


def test_a_change_that_cannot_be_made_says_why_and_can_be_made_again(cloud: Cloud) -> None:
    cloudformation, name = cloud.client("cloudformation"), f"changed-{secrets.token_hex(4)}"
    cloudformation.create_stack(StackName=name, TemplateBody=template(Topic=TOPIC))

    cloudformation.update_stack(StackName=name, TemplateBody=template(Topic=TOPIC, Bad=BAD))

    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    (reason,) = reasons(cloudformation, name, "UPDATE_FAILED")
    assert "DBClusterIdentifier" in reason
    cloudformation.update_stack(
        StackName=name, TemplateBody=template(Topic=TOPIC, Second=TOPIC)
    )  # fmt: skip
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    cloudformation.delete_stack(StackName=name)


def test_a_bucket_with_a_generated_name_can_be_changed(cloud: Cloud) -> None:
    cloudformation, name = cloud.client("cloudformation"), f"bucket-{secrets.token_hex(4)}"

    def tagged(value: str) -> str:
        tags = [{"Key": "team", "Value": value}]
        return template(Files={"Type": "AWS::S3::Bucket", "Properties": {"Tags": tags}})

    cloudformation.create_stack(StackName=name, TemplateBody=tagged("a"))
    cloudformation.update_stack(StackName=name, TemplateBody=tagged("b"))

    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    cloudformation.delete_stack(StackName=name)
