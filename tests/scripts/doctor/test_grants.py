"""`moor doctor` judges whoever asks by the policies that are really his, and stages' roles too."""

import functools
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from scripts.aws import Aws
from scripts.doctor.grants import find_role, read_caller
from scripts.errors import DeniedError, OperatorError
from scripts.target import Target
from stacks.config.read_stage import read_stage
from tests.scripts.gate import Gate, Parameters, gate
from tests.scripts.prefixes import DEV_PREFIX

KEY = "arn:aws:kms:us-east-1:123456789012:key/1"
TRUST = '{"Version": "2012-10-17", "Statement": []}'
SSO = "/aws-reserved/sso.amazonaws.com/eu-west-1/"
IDENTITY = "<Arn>{arn}</Arn><UserId>AROA1:ann</UserId><Account>123456789012</Account>"
FOUND = (
    "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><EvaluationResults><member>"
    "<EvalActionName>{action}</EvalActionName><EvalDecision>{decision}</EvalDecision></member>"
    "</EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
)
NOBODY = "<ErrorResponse><Error><Code>NoSuchEntity</Code><Message>No {arn}</Message></Error>"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Gate]:
    """IAM with a gate before it that simulates: moto does not."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        try:
            with gate(f"http://localhost:{server.get_host_and_port()[1]}") as found:
                patch.setenv("AWS_ENDPOINT_URL", found.url)
                yield found
        finally:
            aws.cache_clear()
            iam_client.cache_clear()
            server.stop()


@pytest.fixture
def iam(cloud: Gate) -> Iterator[Any]:
    """Roles and users of a new account; only principals that exist are simulated, by their ARN."""
    client = iam_client()
    cloud.refused, cloud.simulated = set(), []

    def simulate(given: Parameters) -> tuple[int, str]:
        (arn,), action = given["PolicySourceArn"], given["ActionNames.member.1"][0]
        known = [each["Arn"] for each in client.list_roles()["Roles"]]
        known += [each["Arn"] for each in client.list_users()["Users"]]
        cloud.simulated.append(given)
        if arn not in known:
            return 404, NOBODY.format(arn=arn) + "</ErrorResponse>"
        decision = "allowed" if "may" in arn else "implicitDeny"
        return 200, FOUND.format(action=action, decision=decision)

    cloud.answers = {"iam:SimulatePrincipalPolicy": simulate}
    yield client
    for role in client.list_roles()["Roles"]:
        client.delete_role(RoleName=role["RoleName"])
    for user in client.list_users()["Users"]:
        client.delete_user(UserName=user["UserName"])


@functools.cache
def aws() -> Aws:
    return Aws(Target(read_stage("dev"), region="us-east-1"))


@functools.cache
def iam_client() -> Any:
    return boto3.client("iam")


def ask_as(cloud: Gate, arn: str, key: str = KEY) -> dict[str, bool]:
    """As whoever has that ARN."""

    def identity(_given: Parameters) -> tuple[int, str]:
        inner = IDENTITY.format(arn=arn)
        result = f"<GetCallerIdentityResult>{inner}</GetCallerIdentityResult>"
        return 200, f"<GetCallerIdentityResponse>{result}</GetCallerIdentityResponse>"

    cloud.answers["sts:GetCallerIdentity"] = identity
    return read_caller(aws(), key)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "may"), ("/team/of/two/", "may"), (SSO, "AWSReservedSSO_may_0123456789abcdef"),
        (SSO.replace("eu-west-1/", ""), "AWSReservedSSO_may_0123456789abcdef"),
    ],
)  # fmt: skip
def test_a_session_is_judged_by_its_role_with_the_roles_path(
    cloud: Gate, iam: Any, path: str, name: str
) -> None:
    role = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=TRUST)["Role"]
    found = ask_as(cloud, f"arn:aws:sts::123456789012:assumed-role/{name}/ann@example.com")
    assert found == {"ssm:StartSession": True, "kms:GenerateDataKey": True}
    assert {given["PolicySourceArn"][0] for given in cloud.simulated} == {role["Arn"]}


@pytest.mark.parametrize("path", ["/", "/division/team/"])
def test_a_user_is_judged_by_his_own_arn(cloud: Gate, iam: Any, path: str) -> None:
    user = iam.create_user(UserName="nobody", Path=path)["User"]
    assert set(ask_as(cloud, user["Arn"]).values()) == {False}


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_the_root_user_may_everything_in_any_partition(
    cloud: Gate, iam: Any, partition: str
) -> None:
    assert set(ask_as(cloud, f"arn:{partition}:iam::123456789012:root").values()) == {True}
    assert cloud.simulated == []


def test_a_federated_user_cannot_be_judged(cloud: Gate, iam: Any) -> None:
    with pytest.raises(OperatorError, match="cannot simulate the federated user bob"):
        ask_as(cloud, "arn:aws:sts::123456789012:federated-user/bob")


def test_the_key_is_asked_about_as_a_session_uses_it(cloud: Gate, iam: Any) -> None:
    iam.create_user(UserName="may")
    arn = "arn:aws:iam::123456789012:user/may"
    assert ask_as(cloud, arn, key="") == {"ssm:StartSession": True}
    ask_as(cloud, arn)
    asked = cloud.simulated[-1]
    assert asked["ResourceArns.member.1"] == [KEY]
    name = "kms:EncryptionContext:aws:ssm:TargetId"
    assert asked["ContextEntries.member.1.ContextKeyName"] == [name]
    value = asked["ContextEntries.member.1.ContextKeyValues.member.1"][0]
    assert value.startswith(f"ecs:{DEV_PREFIX}-cluster_")


def test_a_refused_question_names_the_right_to_ask(cloud: Gate, iam: Any) -> None:
    iam.create_role(RoleName="may", Path=SSO, AssumeRolePolicyDocument=TRUST)
    cloud.refused = {"iam:GetRole"}
    with pytest.raises(DeniedError, match="iam:GetRole, which the policy read of stage dev"):
        ask_as(cloud, "arn:aws:sts::123456789012:assumed-role/may/ann")


def test_a_role_with_a_path_is_read(cloud: Gate, iam: Any) -> None:
    iam.create_role(RoleName="task", Path="/deep/down/", AssumeRolePolicyDocument=TRUST)
    iam.put_role_policy(
        RoleName="task", PolicyName="own",
        PolicyDocument='{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": '
        '"s3:GetObject", "Resource": "*"}}',
    )  # fmt: skip
    role = find_role(aws(), "task")
    assert [each.actions for each in role.statements] == [("s3:GetObject",)]
    iam.delete_role_policy(RoleName="task", PolicyName="own")
