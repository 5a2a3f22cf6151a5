"""Each right of the task roles, the calls that need it, and what AWS says without it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import httpx
from botocore.credentials import ContainerProvider, CredentialResolver
from botocore.exceptions import ClientError
from botocore.session import Session

from scripts.aws import Aws
from service.contract import PAYLOADS_PREFIX, RESULTS_PREFIX, EnvVar
from stacks.config.naming import Output
from tests.twin.client.local_stage import Stage

PASSWORD, READ, PAYLOAD, RESULT, PROTECT = "password", "read", "payload", "result", "protect"
# Process and statement: the calls that fail without it, and the right that their refusal names.
NEEDED = {
    ("api", "AskForPassword"): {PASSWORD: "secretsmanager:GetSecretValue"},
    ("api", "DecryptPassword"): {PASSWORD: "Access to KMS is not allowed"},
    ("api", "ReadObjects"): {READ: "s3:GetObject"},
    ("api", "WritePayloads"): {PAYLOAD: "s3:PutObject"},
    ("api", "UseBucketKey"): {READ: "kms:Decrypt", PAYLOAD: "kms:GenerateDataKey"},
    ("worker", "AskForPassword"): {PASSWORD: "secretsmanager:GetSecretValue"},
    ("worker", "DecryptPassword"): {PASSWORD: "Access to KMS is not allowed"},
    ("worker", "ReadObjects"): {READ: "s3:GetObject"},
    ("worker", "WritePayloads"): {PAYLOAD: "s3:PutObject"},
    ("worker", "WriteResults"): {RESULT: "s3:PutObject"},
    ("worker", "UseBucketKey"): {
        READ: "kms:Decrypt", PAYLOAD: "kms:GenerateDataKey", RESULT: "kms:GenerateDataKey",
    },
    ("worker", "ProtectItselfFromScaleIn"): {PROTECT: "ecs:UpdateTaskProtection"},
}  # fmt: skip


def calls(stage: Stage, process: str) -> dict[str, Callable[[], Any]]:
    """What its code calls, with the credentials of its running container."""
    environment = stage.container(process).environ()
    session = Session()
    provider = ContainerProvider(environ=environment)
    session.register_component("credential_provider", CredentialResolver([provider]))
    given: Any = {"endpoint_url": stage.twin.endpoint, "region_name": stage.twin.region}
    made = boto3.Session(botocore_session=session)
    s3, secrets = made.client("s3", **given), made.client("secretsmanager", **given)
    bucket = environment[EnvVar.BUCKET]
    read = f"{PAYLOADS_PREFIX if process == 'worker' else RESULTS_PREFIX}read"
    stage.aws.call("s3", "put_object", Bucket=bucket, Key=read, Body=b"")
    url = f"{environment['ECS_AGENT_URI']}/task-protection/v1/state"

    def protect() -> None:
        answer = httpx.put(url, json={"ProtectionEnabled": False})
        if answer.status_code != httpx.codes.OK:
            error = answer.json()["error"]
            raise ClientError({"Error": error}, "UpdateTaskProtection")

    found: dict[str, Callable[[], Any]] = {
        PASSWORD: lambda: secrets.get_secret_value(
            SecretId=stage.aws.output(Output.DATABASE_USER_SECRET)
        ),
        READ: lambda: s3.get_object(Bucket=bucket, Key=read),
        PAYLOAD: lambda: s3.put_object(Bucket=bucket, Key=f"{PAYLOADS_PREFIX}new", Body=b""),
    }
    if process == "worker":
        found[RESULT] = lambda: s3.put_object(Bucket=bucket, Key=f"{RESULTS_PREFIX}new", Body=b"")
        found[PROTECT] = protect
    return found


def refused(of_process: dict[str, Callable[[], Any]]) -> dict[str, str]:
    """What AWS says, by call."""
    found = {}
    for name, call in of_process.items():
        try:
            call()
        except ClientError as error:
            found[name] = str(error.response["Error"]["Message"])
    return found


@contextmanager
def without(aws: Aws, process: str, sid: str) -> Iterator[None]:
    """The stage's task role of that process has not this statement meanwhile."""
    named = f"-service-{process.capitalize()}RolesTaskRolePolicy"
    (policy,) = (
        each
        for each in aws.pages("iam", "list_policies", "Policies", Scope="Local")
        if named in each["PolicyName"]
    )
    given = {"PolicyArn": policy["Arn"]}
    before = policy["DefaultVersionId"]
    kept = aws.call("iam", "get_policy_version", **given, VersionId=before)["PolicyVersion"]
    document = kept["Document"]
    statements = [each for each in document["Statement"] if each.get("Sid") != sid]
    assert len(statements) == len(document["Statement"]) - 1, sid
    text = json.dumps({**document, "Statement": statements})
    made = aws.call(
        "iam", "create_policy_version", **given, PolicyDocument=text, SetAsDefault=True
    )["PolicyVersion"]["VersionId"]
    try:
        yield
    finally:
        aws.call("iam", "set_default_policy_version", **given, VersionId=before)
        aws.call("iam", "delete_policy_version", **given, VersionId=made)
