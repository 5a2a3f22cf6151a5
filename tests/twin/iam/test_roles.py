"""ECS tasks have the rights of their roles and no others, and are told so in AWS's words."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from itertools import count
from typing import Any

import boto3
import httpx
import psutil
import pytest
from botocore.config import Config
from botocore.credentials import ContainerProvider, CredentialResolver
from botocore.exceptions import ClientError
from botocore.session import Session

from scripts.twin.client.permissions import NOT_JUDGED, read_entries, switch
from scripts.twin.client.state import ACCOUNT, REGION
from tests.scripts.conftest import wait_until
from tests.twin.conftest import GROUP, Ecs
from tests.twin.ecs_stand import LIFE

NUMBERS = count(1)
TRUST = {
    "Effect": "Allow",
    "Action": "sts:AssumeRole",
    "Principal": {"Service": "ecs-tasks.amazonaws.com"},
    "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
}
BUCKET, SECRET = "of-roles", "team/of-roles"
OBJECT = f"arn:aws:s3:::{BUCKET}/a b/ü.txt"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions: str, on: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": on, **more}


class Role:
    """A role that ECS tasks may have, with one policy."""

    def __init__(
        self, ecs: Ecs, *statements: dict[str, Any], trust: dict[str, Any] = TRUST
    ) -> None:
        self.name = f"role-{next(NUMBERS)}"
        self._iam = ecs.boto("iam")
        made = self._iam.create_role(
            RoleName=self.name, AssumeRolePolicyDocument=document(trust)
        )["Role"]  # fmt: skip
        self.arn: str = made["Arn"]
        self.may(*statements)

    def may(self, *statements: dict[str, Any]) -> None:
        """From now on, what the statements say and nothing else."""
        self._iam.put_role_policy(
            RoleName=self.name, PolicyName="own", PolicyDocument=document(*statements)
        )


class Task:
    """A running ECS task with a task role; boto3 finds its credentials as in its container."""

    def __init__(self, ecs: Ecs, role: Role) -> None:
        self.role, self._ecs = role, ecs
        self.arn = ecs.run(ecs.define({"command": ["wait"]}, taskRoleArn=role.arn))
        pid = int(ecs.await_line(self.arn, "pid "))
        self.environment = psutil.Process(pid).environ()
        self._session = Session()
        provider = ContainerProvider(environ=self.environment)
        self._session.register_component("credential_provider", CredentialResolver([provider]))
        self._boto3 = boto3.Session(botocore_session=self._session)
        self.boto = cache(self._client)

    @property
    def who(self) -> str:
        """The session, as AWS writes it."""
        id = self.arn.rpartition("/")[2]
        return f"arn:aws:sts::{ACCOUNT}:assumed-role/{self.role.name}/{id}"

    @property
    def credentials(self) -> Any:
        found = self._session.get_credentials()
        assert found is not None
        return found.get_frozen_credentials()

    def _client(self, service: str) -> Any:
        return self._boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self._ecs.twin.endpoint,
            region_name=REGION,
            config=Config(retries={"total_max_attempts": 1}),
        )


@pytest.fixture(scope="module")
def task(ecs: Ecs) -> Iterator[Task]:
    """Its role may do nothing at first."""
    s3 = ecs.boto("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="a b/ü.txt", Body=b"x")
    ecs.boto("sqs").create_queue(QueueName="of-roles")
    made = Task(ecs, Role(ecs, allow("ec2:Nothing")))
    yield made
    ecs.client.stop_task(cluster="test", task=made.arn)


def refused(call: Callable[[], Any]) -> tuple[str, int, str]:
    """Code, HTTP status and sentence."""
    with pytest.raises(ClientError) as found:
        call()
    answer = found.value.response
    return (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"],
            answer["Error"].get("Message", ""))  # fmt: skip


def test_container_has_the_credentials_of_its_role_which_are_renewed(ecs: Ecs, task: Task) -> None:
    assert "AWS_ACCESS_KEY_ID" not in task.environment
    assert ecs.twin.secret_key not in str(task.environment)
    sts, before = task.boto("sts"), task.credentials
    assert sts.get_caller_identity()["Arn"] == task.who

    time.sleep(LIFE.total_seconds())

    assert sts.get_caller_identity()["Arn"] == task.who
    assert task.credentials.access_key != before.access_key
    old = boto3.client(
        "sts", endpoint_url=ecs.twin.endpoint, region_name=REGION,
        aws_access_key_id=before.access_key, aws_secret_access_key=before.secret_key,
        aws_session_token=before.token,
    )  # fmt: skip
    assert refused(old.get_caller_identity)[0] == "ExpiredToken"


def test_container_without_a_task_role_has_no_credentials(ecs: Ecs) -> None:
    arn = ecs.run(ecs.define({"command": ["show", "AWS_REGION"]}))
    assert not [each for each in ecs.await_line(arn, "all ").split()
                if "KEY" in each or "CREDENTIALS_FULL" in each]  # fmt: skip


QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:of-roles"
# For each protocol: a call, the code and status of its refusal, the action and resource in it.
REFUSED: dict[str, tuple[Callable[[Any], Any], str, int, str, str]] = {
    "s3": (lambda it: it.get_object(Bucket=BUCKET, Key="a b/ü.txt"),
           "AccessDenied", 403, "s3:GetObject", f'"{OBJECT}"'),
    "sqs": (lambda it: it.send_message(QueueUrl=f"http://localhost/{ACCOUNT}/of-roles",
                                       MessageBody="x"),
            "AccessDenied", 400, "sqs:sendmessage", QUEUE),
    "sns": (lambda it: it.publish(TopicArn=f"arn:aws:sns:{REGION}:{ACCOUNT}:t", Message="x"),
            "AuthorizationError", 403, "SNS:Publish", f"arn:aws:sns:{REGION}:{ACCOUNT}:t"),
    "ec2": (lambda it: it.describe_subnets(),
            "UnauthorizedOperation", 403, "ec2:DescribeSubnets", "*"),
    "lambda": (lambda it: it.invoke(FunctionName="f"), "AccessDeniedException", 403,
               "lambda:InvokeFunction", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"),
    "dynamodb": (lambda it: it.get_item(TableName="t", Key={"k": {"S": "1"}}),
                 "AccessDeniedException", 400, "dynamodb:GetItem",
                 f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/t"),
    "cloudwatch": (lambda it: it.list_metrics(), "AccessDeniedException", 400,
                   "cloudwatch:ListMetrics", "*"),
    "ecs": (lambda it: it.describe_tasks(cluster="test", tasks=["1"]), "AccessDeniedException", 400,
            "ecs:DescribeTasks", f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/test/1"),
    "secretsmanager": (lambda it: it.get_secret_value(SecretId="team/none"),
                       "AccessDeniedException", 400, "secretsmanager:GetSecretValue", "team/none"),
}  # fmt: skip


@pytest.mark.parametrize("service", REFUSED)
def test_call_without_the_right_is_refused_in_its_service_s_words(task: Task, service: str) -> None:
    call, code, status, action, resource = REFUSED[service]
    client = task.boto(service)
    task.role.may(allow("ec2:Nothing"))

    found = refused(lambda: call(client))

    why = f"because no identity-based policy allows the {action} action"
    text = f"User: {task.who} is not authorized to perform: {action} on resource: {resource} {why}"
    if service == "ec2":
        text = f"You are not authorized to perform this operation. {text}"
    assert found == (code, status, text)
    task.role.may(allow(f"{service}:*"))
    said: list[str] = []  # also that what is asked for is not there
    client.meta.events.register("after-call", lambda parsed, **_: said.append(str(parsed)))
    with suppress(ClientError):
        call(client)
    assert said
    assert "not authorized" not in said[0]


def test_object_that_is_not_there_is_told_only_to_who_may_list(task: Task) -> None:
    s3 = task.boto("s3")

    def read() -> Any:
        return s3.get_object(Bucket=BUCKET, Key="none")

    task.role.may(allow("s3:GetObject", on=f"arn:aws:s3:::{BUCKET}/*"))
    assert s3.get_object(Bucket=BUCKET, Key="a b/ü.txt")["Body"].read() == b"x"
    assert refused(read)[0] == "AccessDenied"
    task.role.may(allow("s3:GetObject", "s3:ListBucket"))
    assert refused(read)[0] == "NoSuchKey"


def test_policy_of_a_bucket_counts(ecs: Ecs, task: Task) -> None:
    s3, own = task.boto("s3"), ecs.boto("s3")
    me = {"Principal": {"AWS": task.role.arn}, "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    task.role.may(allow("ec2:Nothing"))
    own.put_bucket_policy(Bucket=BUCKET, Policy=document(allow("s3:PutObject") | me))
    s3.put_object(Bucket=BUCKET, Key="1", Body=b"")
    task.role.may(allow("s3:*"))
    own.put_bucket_policy(
        Bucket=BUCKET, Policy=document({"Effect": "Deny", "Action": "s3:Put*", **me})
    )
    code, _, text = refused(lambda: s3.put_object(Bucket=BUCKET, Key="1", Body=b""))
    own.delete_bucket_policy(Bucket=BUCKET)
    assert (code, "with an explicit deny in a resource-based policy" in text) == (
        "AccessDenied", True
    )  # fmt: skip


def test_who_reads_a_secret_needs_its_key_through_secrets_manager(ecs: Ecs, task: Task) -> None:
    key = ecs.boto("kms").create_key()["KeyMetadata"]["Arn"]
    ecs.boto("secretsmanager").create_secret(Name=SECRET, SecretString="s", KmsKeyId=key)
    secrets = task.boto("secretsmanager")
    read = allow("secretsmanager:GetSecretValue")
    via: dict[str, Any] = {
        "Condition": {"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}
    }

    def get() -> Any:
        return secrets.get_secret_value(SecretId=SECRET)

    for statements in ([read], [read, allow("kms:Decrypt", on=key, **via)]):
        task.role.may(*statements)
        assert refused(get)[2] == "Access to KMS is not allowed"
    task.role.may(read, allow("kms:Decrypt", on=key))
    assert get()["SecretString"] == "s"


def test_what_only_aws_can_judge_passes_and_is_noted(ecs: Ecs, task: Task) -> None:
    condition: dict[str, Any] = {"Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}}}
    task.role.may(allow("s3:ListAllMyBuckets", **condition))
    assert task.boto("s3").list_buckets()["Buckets"]
    found = [each for each in read_entries(ecs.home) if each.result == NOT_JUDGED]
    assert ("s3:ListAllMyBuckets", "own/0") in {(each.action, each.why) for each in found}


def test_refusal_is_a_line_in_the_log_of_its_ecs_task(task: Task, ecs: Ecs) -> None:
    task.role.may(allow("ec2:Nothing"))
    key = f"{next(NUMBERS)}.txt"
    refused(lambda: task.boto("s3").put_object(Bucket=BUCKET, Key=key, Body=b""))

    def said() -> list[dict[str, Any]]:
        return [json.loads(each) for each in ecs.lines(task.arn) if key in each]

    wait_until(said, "the line")
    (line,) = said()
    statement = allow("s3:PutObject", on=f"arn:aws:s3:::{BUCKET}/{key}")
    assert (line["level"], line["logger"]) == ("warning", "iam")
    assert line["event"].startswith(f"IAM refused {task.role.name}: s3:PutObject on ")
    assert line["event"].endswith(json.dumps({**statement, "Action": "s3:PutObject"}))


def test_switched_off_a_refusal_is_noted_and_let_through(task: Task, ecs: Ecs) -> None:
    task.role.may(allow("ec2:Nothing"))
    switch(ecs.home, is_on=False)
    try:
        task.boto("s3").put_object(Bucket=BUCKET, Key="let through", Body=b"")
    finally:
        switch(ecs.home, is_on=True)
    assert "let through" in str(read_entries(ecs.home)[-1])
    assert refused(lambda: task.boto("s3").put_object(Bucket=BUCKET, Key="let through", Body=b""))


# --- what ECS does itself, as the execution role ---

LOG = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{GROUP}:*"
WRITE_LOG = allow("logs:CreateLogStream", "logs:PutLogEvents", on=LOG)
STARTED: list[tuple[dict[str, Any], list[dict[str, Any]], str]] = [
    ({}, [], "failed to create Cloudwatch log stream: AccessDeniedException: User: {who} is not "
     "authorized to perform: logs:CreateLogStream on resource: "),
    ({"secrets": [{"name": "A", "valueFrom": "{secret}"}]}, [WRITE_LOG],
     "unable to retrieve secret from asm: failed to fetch secret {secret} from secrets manager: "
     "AccessDeniedException: User: {who} is not authorized to perform: "
     "secretsmanager:GetSecretValue on resource: {secret} because no identity-based policy allows "
     "the secretsmanager:GetSecretValue action"),
    ({"secrets": [{"name": "A", "valueFrom": "{secret}"}]},
     [WRITE_LOG, allow("secretsmanager:GetSecretValue")], "Access to KMS is not allowed"),
    ({"image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/repo:good"}, [WRITE_LOG],
     "CannotPullContainerError: pull image manifest has been retried 1 time(s): "
     "AccessDeniedException: User: {who} is not authorized to perform: "
     "ecr:GetAuthorizationToken on resource: *"),
    ({"image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/repo:good"},
     [WRITE_LOG, allow("ecr:GetAuthorizationToken")],
     f"ecr:BatchGetImage on resource: arn:aws:ecr:{REGION}:{ACCOUNT}:repository/repo"),
]  # fmt: skip


@pytest.mark.parametrize(("container", "statements", "reason"), STARTED)
def test_ecs_task_does_not_start_without_the_rights_of_its_execution_role(
    ecs: Ecs, container: dict[str, Any], statements: list[dict[str, Any]], reason: str
) -> None:
    name = f"execution/{next(NUMBERS)}"
    key = ecs.boto("kms").create_key()["KeyMetadata"]["Arn"]
    made = ecs.boto("secretsmanager").create_secret(Name=name, SecretString="s", KmsKeyId=key)
    filled = json.loads(json.dumps(container).replace("{secret}", made["ARN"]))
    role = Role(ecs, allow("ec2:Nothing"), *statements)
    arn = ecs.run(ecs.define({"command": ["leave", "0"], **filled}, executionRoleArn=role.arn))

    stopped = ecs.await_stopped(arn)

    id = arn.rpartition("/")[2]
    who = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.name}/{id}"
    assert stopped["stopCode"] == "TaskFailedToStart"
    assert reason.replace("{who}", who).replace("{secret}", made["ARN"]) in stopped["stoppedReason"]


@pytest.mark.parametrize(
    "trust",
    [
        {**TRUST, "Principal": {"Service": "ec2.amazonaws.com"}},
        {**TRUST, "Condition": {"StringEquals": {"aws:SourceAccount": "210987654321"}}},
    ],
)
def test_ecs_task_does_not_start_with_a_role_that_does_not_trust_ecs(
    ecs: Ecs, trust: dict[str, Any]
) -> None:
    role = Role(ecs, allow("*"), trust=trust)
    stopped = ecs.await_stopped(ecs.run(ecs.define({}, taskRoleArn=role.arn)))
    assert f"ECS was unable to assume the role '{role.arn}'" in stopped["stoppedReason"]


def test_protection_needs_the_right_of_the_task_role(ecs: Ecs, task: Task) -> None:

    url = f"{task.environment['ECS_AGENT_URI']}/task-protection/v1/state"
    task.role.may(allow("ec2:Nothing"))
    for method, body in (("GET", None), ("PUT", {"ProtectionEnabled": True})):
        answer = httpx.request(method, url, json=body)
        assert (answer.status_code, answer.json()["error"]["Code"]) == (
            400, "AccessDeniedException"
        )  # fmt: skip
    task.role.may(allow("ecs:GetTaskProtection", on=task.arn))
    assert httpx.get(url).status_code == 200


# --- what CloudFormation changes is what counts ---


def template(trusted: str, action: str, *managed: str) -> str:
    """A role, its policies, and a policy on a key."""
    trust, own = (json.loads(document(each)) for each in (
        {**TRUST, "Principal": {"Service": trusted}}, allow(action)
    ))  # fmt: skip
    on_key = json.loads(document(allow(action, Principal={"AWS": ACCOUNT})))
    resources = {
        "Role": {"Type": "AWS::IAM::Role", "Properties": {
            "RoleName": "of-a-template", "AssumeRolePolicyDocument": trust,
            "Policies": [{"PolicyName": f"own-{action[:2]}", "PolicyDocument": own}],
            "ManagedPolicyArns": [f"arn:aws:iam::aws:policy/{each}" for each in managed],
        }},
        "Managed": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {
            "ManagedPolicyName": "of-a-template", "PolicyDocument": own,
            "Roles": [{"Ref": "Role"}],
        }},
        "Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": on_key}},
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "of-a-template"}},
        "BucketPolicy": {"Type": "AWS::S3::BucketPolicy", "Properties": {
            "Bucket": {"Ref": "Bucket"}, "PolicyDocument": on_key,
        }},
    }  # fmt: skip
    return json.dumps({"Resources": resources, "Outputs": {"Key": {"Value": {"Ref": "Key"}}}})


def test_policies_and_roles_follow_their_template(ecs: Ecs) -> None:
    formation, iam = ecs.boto("cloudformation"), ecs.boto("iam")
    given: dict[str, Any] = {"StackName": "policies", "Capabilities": ["CAPABILITY_NAMED_IAM"]}
    first = template("ec2.amazonaws.com", "s3:GetObject", "ReadOnlyAccess")
    formation.create_stack(**given, TemplateBody=first)
    then = template("ecs-tasks.amazonaws.com", "kms:Sign", "service-role/NewerThanMoto")
    formation.update_stack(**given, TemplateBody=then)

    (stack,) = formation.describe_stacks(StackName="policies")["Stacks"]
    arn = f"arn:aws:iam::{ACCOUNT}:policy/of-a-template"
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    role = {"RoleName": "of-a-template"}
    found = {
        "trust": iam.get_role(**role)["Role"]["AssumeRolePolicyDocument"],
        "own": iam.list_role_policies(**role)["PolicyNames"],
        "managed": sorted(
            each["PolicyName"]
            for each in iam.list_attached_role_policies(RoleName="of-a-template")[
                "AttachedPolicies"
            ]
        ),
        "document": iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"],
        "key": ecs.boto("kms").get_key_policy(
            KeyId=stack["Outputs"][0]["OutputValue"], PolicyName="default"
        )["Policy"],
        "bucket": ecs.boto("s3").get_bucket_policy(Bucket="of-a-template")["Policy"],
    }
    assert found["trust"]["Statement"][0]["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
    assert (found["own"], found["managed"]) == (
        ["own-km"], ["NewerThanMoto", "of-a-template"]
    )  # fmt: skip
    for name in ("document", "key", "bucket"):
        assert "kms:Sign" in str(found[name]), name
    ecs.boto("s3").delete_bucket_policy(Bucket="of-a-template")
    formation.delete_stack(StackName="policies")
    assert "of-a-template" not in {each["RoleName"] for each in iam.list_roles()["Roles"]}
