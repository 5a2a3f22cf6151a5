"""Every kind of failure has an exit code of its own, and AWS's own errors become one sentence."""

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
    UnauthorizedSSOTokenError,
)

from scripts import errors
from scripts.aws import Aws, explain
from scripts.aws_errors import About
from scripts.target import Target
from stacks.config.naming import Output
from stacks.config.read_stage import read_stage

ON_AWS = Target(read_stage("dev"))
TWIN = Target(read_stage("local"), endpoint="http://localhost:5000", region="us-east-1")


def answered(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribeServices")


def test_each_kind_of_failure_has_its_own_exit_code() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.OperatorError)
    ]
    codes = [kind.exit_code for kind in kinds]
    assert len(codes) == len(set(codes))
    assert all(f"    {kind.exit_code}    {kind.__name__} " in str(errors.__doc__) for kind in kinds)


# The codes and words are those that AWS answers with (botocore's own tests and AWS's pages).
@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (NoCredentialsError(), errors.CredentialsError, "no AWS credentials"),
        (NoRegionError(), errors.CredentialsError, "no AWS region"),
        (ProfileNotFound(profile="x"), errors.CredentialsError, "(x) could not be found"),
        (UnauthorizedSSOTokenError(), errors.CredentialsError, "session has ended"),
        (answered("ExpiredToken", "expired"), errors.CredentialsError, "expired"),
        (
            answered("UnrecognizedClientException", "The security token is invalid."),
            errors.CredentialsError,
            "does not know",
        ),
        (
            answered("AccessDeniedException", "User: x is not authorized to perform: ecs:…"),
            errors.DeniedError,
            "may not call DescribeServices, which no policy of operators has",
        ),
        (answered("ThrottlingException", "Rate exceeded"), errors.UnreachableError, "slow down"),
        (
            answered("ClusterNotFoundException", "Cluster not found."),
            errors.NotFoundError,
            "Cluster not found.",
        ),
        (
            answered("ValidationError", "Stack with id x does not exist"),
            errors.NotFoundError,
            "x does not exist",
        ),
        (
            answered("InvalidParameterException", "Wrong."),
            errors.OperatorError,
            "DescribeServices failed: Wrong.",
        ),
        (
            EndpointConnectionError(endpoint_url="https://ecs.nowhere.amazonaws.com"),
            errors.UnreachableError,
            "ecs.nowhere.amazonaws.com",
        ),
    ],
)
def test_what_aws_raises_becomes_one_sentence(
    error: Exception, kind: type[errors.OperatorError], says: str
) -> None:
    found = explain(error, ON_AWS)
    assert type(found) is kind
    assert says in str(found)
    assert "\n" not in str(found)


def test_a_twin_that_is_gone_is_named() -> None:
    found = explain(EndpointConnectionError(endpoint_url="http://localhost:5000"), TWIN)
    assert isinstance(found, errors.UnreachableError)
    assert str(found) == "the local twin does not answer"
    assert "moor up" in found.hint


def test_region_is_chosen_as_with_awss_own_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert Aws(ON_AWS).region == "eu-north-1"
    assert Aws(TWIN).region == "us-east-1"


NO_POLICY = "because no identity-based policy allows it"
ENCODED = (
    "You are not authorized to perform this operation. Encoded authorization failure message: "
)
SECRET = About("secretsmanager", Output.DATABASE_SECRET)


# AWS's words, by service; and the right and the policy that are to be named.
@pytest.mark.parametrize(
    ("call", "code", "said", "about", "says"),
    [
        ("UpdateService", "AccessDeniedException",
         f"User: u is not authorized to perform: ecs:UpdateService on resource: r {NO_POLICY}",
         About("ecs"), "ecs:UpdateService, which the policy operate of stage dev can"),
        ("RunTask", "AccessDeniedException",
         f"User: u is not authorized to perform: iam:PassRole on resource: r {NO_POLICY}",
         About("ecs"), "iam:PassRole, which the policy debug of stage dev can"),
        ("RunTask", "AccessDeniedException",
         f"User: u is not authorized to perform: ecs:TagResource on resource: r {NO_POLICY}",
         About("ecs"), "ecs:TagResource, which the policy debug of stage dev can"),
        ("TagResource", "AccessDeniedException", "Not today.",
         About("ecs"), "ecs:TagResource, which the policy operate of stage dev can"),
        ("GetSecretValue", "AccessDeniedException", "Access to KMS is not allowed",
         SECRET, "kms:Decrypt, which the policy debug of stage dev can"),
        ("GetSecretValue", "AccessDeniedException", "User: u is not authorized to perform: "
         "secretsmanager:GetSecretValue on resource: r", SECRET,
         "secretsmanager:GetSecretValue, which the policy debug of stage dev can"),
        ("GetSecretValue", "AccessDeniedException", "No.", About("secretsmanager"),
         "secretsmanager:GetSecretValue, which the policies operate and debug of stage dev can"),
        ("DescribeTargetHealth", "AccessDenied", "No.", About("elasticloadbalancing"),
         "elasticloadbalancing:DescribeTargetHealth, which the policy read of stage dev can"),
        ("DescribeSubnets", "UnauthorizedOperation", ENCODED + "x" * 5000, About("ec2"),
         "ec2:DescribeSubnets, which the policy read of stage dev can"),
        ("StopTask", "AccessDeniedException", "User: u is not authorized to perform: ecs:StopTask "
         "on resource: r with an explicit deny in a service control policy", About("ecs"),
         "ecs:StopTask, which a policy denies them explicitly: ask who administers the account"),
        ("CreateCluster", "AccessDenied", "No.", About("ecs"),
         "ecs:CreateCluster, which no policy of operators has: ask whoever deploys"),
    ],
)  # fmt: skip
def test_a_refused_call_names_the_right_and_the_policy_that_has_it(
    call: str, code: str, said: str, about: About, says: str
) -> None:
    error = ClientError({"Error": {"Code": code, "Message": said}}, call)
    found = explain(error, ON_AWS, about)
    assert type(found) is errors.DeniedError
    assert str(found).startswith(f"these credentials may not call {says}")
    assert "\n" not in str(found)
    assert len(found.hint) < 500
